"""Support sets whose columns are in the order of their names, the same for each order that a model may have."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from app.bundles.bundle import Bundle
from app.service.stored_examples import object_rows
from app.service.support_set import SupportSet

AFTER_ACTIONS = 2
"""Columns of the targets of decisions that no model names: rewards and propensities."""


class Columns(NamedTuple):
    """The columns of the inputs of a request, or those of its targets.

    names: in the order that they have there; empty where they have none, None where they are not known
    are_meant: whether the request means these columns, whatever their order is, and not the positions
    """

    names: Sequence[str] | None
    are_meant: bool


def columns_of(
    support: SupportSet, model: Bundle, version: Bundle | None, *, has_version: bool
) -> tuple[Columns, Columns]:
    """The columns of inputs and targets.

    model: that has read the support set
    version: whose order the values have that go by their positions; None if that is not known
    has_version: whether the request says so
    """
    parts = (_input_names, support.named_inputs), (_target_names, support.named_targets)
    columns = []
    for names_of, are_named in parts:
        bundle = model if are_named else version
        columns.append(Columns(None if bundle is None else names_of(support, bundle), are_named or has_version))
    inputs, targets = columns
    return inputs, targets


def _input_names(support: SupportSet, bundle: Bundle) -> Sequence[str]:
    names, rows = bundle.value_names[0] or bundle.columns, support.inputs
    if rows.dtype == object:
        fits = all(isinstance(row, list) and len(row) == len(names) for row in rows)
    else:
        fits = rows.ndim == 2 and rows.shape[1] == len(names)
    return names if fits else ()


def _target_names(support: SupportSet, bundle: Bundle) -> Sequence[str]:
    names, targets = bundle.value_names[1], support.targets
    others = 0 if support.episodes is None else AFTER_ACTIONS
    fits = targets.ndim == 2 and targets.shape[1] == len(names) + others
    return names if fits and len(names) > 1 else ()  # one column has no other order


def inputs_by_name(inputs: np.ndarray, names: Sequence[str]) -> tuple[np.ndarray, ...]:
    """Inputs with their columns in the order of the names, and the names. Columns without a value are left out."""
    places = [place for place in _order(names) if not _is_missing(inputs, place)]
    kept = object_rows([[row[place] for place in places] for row in inputs]) if inputs.dtype == object else None
    return inputs[:, places] if kept is None else kept, np.array([names[place] for place in places], object)


def targets_by_name(targets: np.ndarray, names: Sequence[str]) -> tuple[np.ndarray, ...]:
    """Targets with their columns in the order of the names, and the names. Columns that have none come last."""
    places = [*_order(names), *range(len(names), targets.shape[1])]
    return targets[:, places], np.array(sorted(names), object)


def _order(names: Sequence[str]) -> list[int]:
    return sorted(range(len(names)), key=names.__getitem__)


def _is_missing(inputs: np.ndarray, place: int) -> bool:
    """Whether a column has no value: a request that leaves it out is the same for a model without it."""
    if inputs.dtype != object:
        return bool(np.isnan(inputs[:, place]).all())
    values: list[Any] = [row[place] for row in inputs]
    return all(value is None or value != value for value in values)
