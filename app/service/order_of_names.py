"""Support sets whose columns are in the order of their names, the same for each order that a model may have."""

from collections.abc import Sequence

import numpy as np

from app.bundles.bundle import Bundle
from app.service.stage import object_rows
from app.service.support_set import SupportSet

AFTER_ACTIONS = 2
"""Columns of the targets of decisions that no model names: rewards and propensities."""


def by_name(support: SupportSet, bundle: Bundle) -> tuple[np.ndarray, ...] | None:
    """What `SupportSet.content` is, with columns in the order of their names, and these names.

    None where the bundle, in whose order the columns are, does not name them, and where inputs and targets have one
    column each, which has no other order.
    """
    inputs, targets, *others = support.content
    input_names, target_names = bundle.value_names
    input_names = input_names or bundle.columns
    unnamed = 0 if support.episodes is None else AFTER_ACTIONS
    if len(input_names) < 2 or not _are_of(inputs, input_names):
        input_names = ()
    if len(target_names) < 2 or targets.ndim < 2 or targets.shape[1] != len(target_names) + unnamed:
        target_names = ()
    if not input_names and not target_names:
        return None
    order = [*_order(target_names), *range(len(target_names), targets.shape[1] if targets.ndim == 2 else 0)]
    named = [np.array(sorted(names), object) for names in (input_names, target_names)]
    return _sorted(inputs, input_names), targets[:, order] if target_names else targets, *others, *named


def _are_of(rows: np.ndarray, names: Sequence[str]) -> bool:
    """Whether rows have a value for each name."""
    if rows.dtype == object:
        return all(isinstance(row, list) and len(row) == len(names) for row in rows)
    return rows.ndim == 2 and rows.shape[1] == len(names)


def _order(names: Sequence[str]) -> list[int]:
    return sorted(range(len(names)), key=names.__getitem__)


def _sorted(rows: np.ndarray, names: Sequence[str]) -> np.ndarray:
    if not names:
        return rows
    order = _order(names)
    if rows.dtype == object:
        return object_rows([[row[index] for index in order] for row in rows])
    in_order: np.ndarray = rows[:, order]
    return in_order
