"""Episodes become arrays here: what `app.service.decisions` says of a stage."""

from collections.abc import Sequence

import numpy as np
from msgspec import UNSET, UnsetType

from app.api import schemas
from app.api.codec import inputs, numbers
from app.bundles import Schema
from app.errors import Invalid
from app.service.decisions import action_columns
from app.service.record import SupportSet

MAX_NUMBERS = 2**24
"""In the observations of a stage, each episode as long as its longest: 64 MiB, which weighing holds several times."""


def episodes(sent: Sequence[schemas.Episode], schema: Schema, place: str, most: int) -> SupportSet:
    """A posted set of episodes. Raises Invalid at the first thing that the model does not take.

    most: so many episodes at most
    """
    if len(sent) > most:
        raise Invalid(f"at most {most} episodes, got {len(sent)}", place)
    found = [_episode(each, schema, f"{place}[{index}]") for index, each in enumerate(sent)]
    for name, column in (("rewards", -2), ("propensities", -1)):
        _all_or_none(name, [not np.isnan(targets[0, column]) for _, targets in found], place)
    lengths = [len(observations) for observations, _ in found]
    if len(found) * max(lengths) * schema.features > MAX_NUMBERS:
        many = f"{len(found)} episodes, the longest of {max(lengths)} decisions"
        raise Invalid(f"{many}, are too much at once: send the long ones apart", place)
    observations, targets = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return SupportSet(observations, targets, np.repeat(np.arange(len(found), dtype=np.int32), lengths))


def _episode(sent: schemas.Episode, schema: Schema, place: str) -> tuple[np.ndarray, np.ndarray]:
    """One episode: float32 [row, feature], and the targets of its rows."""
    observations = inputs(sent.observations, schema, f"{place}.observations")
    actions = _actions(sent.actions, schema, f"{place}.actions")
    rewards = _told(sent.rewards, len(actions), f"{place}.rewards")
    propensities = _told(sent.propensities, len(actions), f"{place}.propensities")
    columns = {"actions": actions, "rewards": rewards, "propensities": propensities}
    for name, column in columns.items():
        if len(column) != len(observations):
            raise Invalid(f"{len(observations)} observations but {len(column)} {name}", place)
    _check_propensities(propensities, schema, f"{place}.propensities")
    return observations, np.concatenate(list(columns.values()), axis=1)


def _actions(sent: schemas.Decided, schema: Schema, place: str) -> np.ndarray:
    """Actions, float32 [row, column]."""
    found = numbers(sent, action_columns(schema), place)
    if schema.actions is not None and not schema.actions.is_box:
        known = (found >= 0) & (found < schema.targets) & (found == np.floor(found))
        if not known.all():
            index = int(np.argmin(known[:, 0]))
            raise Invalid(
                f"an action is a whole number from 0 to {schema.targets - 1}, got {found[index, 0]:g}",
                f"{place}[{index}]",
            )
    return found


def _told(sent: schemas.Told | UnsetType, length: int, place: str) -> np.ndarray:
    """A number of each decision, float32 [row, 1]; NaN where none was told."""
    return np.full((length, 1), np.nan, np.float32) if sent is UNSET else numbers(sent, 1, place)


def _check_propensities(column: np.ndarray, schema: Schema, place: str) -> None:
    """Raises Invalid at the first that is no probability, or no density where actions are numbers."""
    is_box = schema.actions is not None and schema.actions.is_box
    good = np.isnan(column) | ((column > 0) & (is_box | (column <= 1)))
    if not good.all():
        index = int(np.argmin(good[:, 0]))
        wanted = "a density above 0" if is_box else "a probability above 0 and up to 1"
        raise Invalid(f"a propensity is {wanted}, got {column[index, 0]:g}", f"{place}[{index}]")


def _all_or_none(name: str, told: Sequence[bool], place: str) -> None:
    """Raises Invalid where some episodes have what others lack."""
    if any(told) and not all(told):
        without = told.index(False)
        raise Invalid(
            f"episode {told.index(True)} has {name} and this one has none: all of a stage have them, or none",
            f"{place}[{without}]",
        )
