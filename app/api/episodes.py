"""Episodes from the wire to arrays and back; `app.service.decisions` says what the arrays of a stage hold."""

from collections.abc import Iterable, Sequence

import numpy as np
from msgspec import UNSET, UnsetType

from app.api import schemas
from app.api.read_arrays import columns_of, have_names, read_inputs, read_numbers, show_rows
from app.bundles.bundle import Bundle
from app.bundles.schema import Schema
from app.errors import Invalid, exact
from app.service.decisions import action_columns
from app.service.stored_examples import Stage, concatenate_rows
from app.service.support_set import SupportSet

MAX_NUMBERS = 2**24
"""In the observations of a stage, each episode padded to the longest: 64 MiB, which weighing holds several times."""


def read_episodes(values: Sequence[schemas.Episode], bundle: Bundle, place: str) -> SupportSet:
    """Posted episodes as arrays. Raises Invalid at the first thing that the model does not take."""
    episodes = [_read_episode(each, bundle, f"{place}[{index}]") for index, each in enumerate(values)]
    for name, column in (("rewards", -2), ("propensities", -1)):
        _check_all_or_none(name, [not np.isnan(targets[0, column]) for _, _, targets in episodes], place)
    lengths = [len(observations) for observations, _, _ in episodes]
    if (numbers := len(episodes) * max(lengths) * bundle.manifest.schema.features) > MAX_NUMBERS:
        expected = f"at most {MAX_NUMBERS} numbers in the observations, with each episode padded to the longest"
        size = f"{numbers} in {len(episodes)} episodes, the longest with {max(lengths)} decisions"
        raise Invalid(place, expected, size, "send the longest episodes in separate requests")
    kept, features, targets = zip(*episodes, strict=True)
    observations = concatenate_rows(kept)
    encoded = None if all(each is None for each in features) else np.concatenate(_features(kept, features))
    owners = np.repeat(np.arange(len(episodes), dtype=np.int32), lengths)
    return SupportSet(
        observations,
        np.concatenate(targets),
        owners,
        encoded,
        columns_of(observations, bundle),
        named_inputs=any(have_names(each.observations) for each in values),
    )


def _features(kept: Sequence[np.ndarray], features: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """The features of each episode: what is kept of it, where there are no others."""
    return [rows if encoded is None else encoded for rows, encoded in zip(kept, features, strict=True)]


def _read_episode(
    episode: schemas.Episode, bundle: Bundle, place: str
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """One episode: its observations and their features, as from `read_inputs`, and the targets of its rows."""
    schema = bundle.manifest.schema
    observations, features = read_inputs(episode.observations, bundle.encoder, f"{place}.observations")
    actions = _read_actions(episode.actions, schema, f"{place}.actions")
    rewards = _read_per_step(episode.rewards, len(actions), f"{place}.rewards")
    propensities = _read_per_step(episode.propensities, len(actions), f"{place}.propensities")
    columns = {"actions": actions, "rewards": rewards, "propensities": propensities}
    for name, column in columns.items():
        if len(column) != len(observations):
            raise Invalid(place, f"as many {name} as observations", f"{len(column)} and {len(observations)}")
    _check_propensities(propensities, schema, f"{place}.propensities")
    return observations, features, np.concatenate(list(columns.values()), axis=1)


def _read_actions(values: schemas.ActionValues, schema: Schema, place: str) -> np.ndarray:
    """Actions, float32 [row, column]."""
    actions = read_numbers(values, action_columns(schema), place)
    if schema.actions is not None and not schema.actions.is_box:
        known = (actions >= 0) & (actions < schema.targets) & (actions == np.floor(actions))
        if not known.all():
            index = int(np.argmin(known[:, 0]))
            expected = f"a whole number from 0 to {schema.targets - 1}"
            raise Invalid(f"{place}[{index}]", expected, exact(actions[index, 0]))
    return actions


def _read_per_step(values: schemas.PerStep | UnsetType, length: int, place: str) -> np.ndarray:
    """A number for each decision, float32 [row, 1]; NaN where none was posted."""
    return np.full((length, 1), np.nan, np.float32) if values is UNSET else read_numbers(values, 1, place)


def _check_propensities(column: np.ndarray, schema: Schema, place: str) -> None:
    """Raises Invalid at the first that is not a probability, or not a density where actions are numbers."""
    is_box = schema.actions is not None and schema.actions.is_box
    good = np.isnan(column) | ((column > 0) & (is_box | (column <= 1)))
    if not good.all():
        index = int(np.argmin(good[:, 0]))
        expected = "a density above 0" if is_box else "a probability above 0 and at most 1"
        raise Invalid(f"{place}[{index}]", expected, exact(column[index, 0]))


def _check_all_or_none(name: str, present: Sequence[bool], place: str) -> None:
    """Raises Invalid where some episodes have what others lack."""
    if any(present) and not all(present):
        expected = f"{name}, as in episode {present.index(True)} of this request"
        fix = f"send {name} in all episodes of a request, or in none"
        raise Invalid(f"{place}[{present.index(False)}].{name}", expected, "none", fix)


def show_episodes(stages: Iterable[Stage]) -> list[schemas.EpisodeView]:
    """The episodes of a record, as they were posted."""
    return [_show_episode(stage, number) for stage in stages for number in stage.examples]


def _show_episode(stage: Stage, number: int) -> schemas.EpisodeView:
    rows = stage.numbers == number
    shown = stage._replace(inputs=stage.inputs[rows])
    actions, rewards, propensities = np.split(stage.targets[rows], [-2, -1], axis=1)
    if actions.shape[1] == 1:
        actions = actions[:, 0]
        actions = actions.astype(np.int64) if (actions == np.floor(actions)).all() else actions
    return schemas.EpisodeView(
        stage=stage.revision,
        observations=show_rows(shown.rows),
        actions=actions,
        rewards=_show_per_step(rewards),
        propensities=_show_per_step(propensities),
    )


def _show_per_step(column: np.ndarray) -> np.ndarray | UnsetType:
    """A number for each decision, or nothing where none was posted."""
    return UNSET if np.isnan(column[0, 0]) else column[:, 0]
