"""Decisions as a stage keeps them, and as the loss takes them.

A row is one decision. Its target is the action, its place among the names or its numbers; then the reward that came of
it, and how probable it was to be taken (its propensity), both NaN where they were not told.
"""

import numpy as np
import torch

from app.bundles import Schema
from app.learn import policies
from app.service.task import Task


def columns_of(schema: Schema) -> int:
    """The columns that hold an action."""
    assert schema.actions is not None, "a bundle of decisions says what an action is"
    return schema.targets if schema.actions.is_box else 1


def fit(targets: np.ndarray, schema: Schema) -> bool:
    """Whether a model of that schema takes these decisions. targets: float32 [row, column]."""
    if targets.shape[1] != columns_of(schema) + 2:
        return False
    named = targets[:, 0]
    is_box = schema.actions is not None and schema.actions.is_box
    return is_box or bool(((named >= 0) & (named < schema.targets) & (named == np.floor(named))).all())


def weighed(task: Task, schema: Schema) -> np.ndarray:
    """The targets of a stage as the loss takes them, float32 [row, action + 1]: the weight of each is behind it."""
    actions, rewards, propensities = np.split(task.targets, [-2, -1], axis=1)
    assert schema.actions is not None, "a bundle of decisions says what an action is"
    if not schema.actions.is_box:
        actions = np.eye(schema.targets, dtype=np.float32)[actions[:, 0].astype(np.int64)]
    weights = np.ones((len(actions), 1), np.float32)
    if not (np.isnan(rewards[0, 0]) and np.isnan(propensities[0, 0])):
        weights = _weights(task, rewards, propensities, schema)
    return np.concatenate([actions, weights], axis=1)


def _weights(task: Task, rewards: np.ndarray, propensities: np.ndarray, schema: Schema) -> np.ndarray:
    """What each decision counts by what came of it, float32 [row, 1]."""
    assert task.episodes is not None, "decisions come in episodes"
    assert schema.weighing is not None, "a bundle of decisions says how they are weighed"
    _, lengths = np.unique(task.episodes, return_counts=True)
    mask = np.arange(lengths.max()) < lengths[:, None]

    def padded(rows: np.ndarray) -> torch.Tensor:
        array = np.zeros((*mask.shape, rows.shape[1]), np.float32)
        array[mask] = rows  # row after row, as the mask is true
        return torch.from_numpy(array)

    worth = policies.weights(
        padded(task.inputs),
        None if np.isnan(rewards[0, 0]) else padded(rewards).squeeze(-1),
        None if np.isnan(propensities[0, 0]) else padded(propensities).squeeze(-1),
        torch.from_numpy(mask),
        schema.weighing,
    )
    return worth.numpy()[mask][:, None]
