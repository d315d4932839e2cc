"""Decisions as a stage stores them, and as the loss takes them.

A row is one decision. Its target is the action (an index into the names, or numbers), then its reward and its
propensity, the probability with which it was chosen. Both are NaN where the client left them out.
"""

import numpy as np
import torch

from app.bundles.schema import Schema
from app.learn import decision_weights
from app.service.task import Task


def action_columns(schema: Schema) -> int:
    """The number of columns that hold an action."""
    assert schema.actions is not None, "the schema of decisions has actions"
    return schema.targets if schema.actions.is_box else 1


def fits(targets: np.ndarray, schema: Schema) -> bool:
    """Whether decisions fit a schema. targets: float32 [row, column]."""
    if targets.shape[1] != action_columns(schema) + 2:
        return False
    index = targets[:, 0]
    is_box = schema.actions is not None and schema.actions.is_box
    return is_box or bool(((index >= 0) & (index < schema.targets) & (index == np.floor(index))).all())


def with_weights(task: Task, schema: Schema) -> np.ndarray:
    """The targets of a stage as the loss takes them, float32 [row, action + 1]: the action, then its weight."""
    actions, rewards, propensities = np.split(task.targets, [-2, -1], axis=1)
    assert schema.actions is not None, "the schema of decisions has actions"
    if not schema.actions.is_box:
        actions = np.eye(schema.targets, dtype=np.float32)[actions[:, 0].astype(np.int64)]
    weights = np.ones((len(actions), 1), np.float32)
    if not (np.isnan(rewards[0, 0]) and np.isnan(propensities[0, 0])):
        weights = _weights(task, rewards, propensities, schema)
    return np.concatenate([actions, weights], axis=1)


def _weights(task: Task, rewards: np.ndarray, propensities: np.ndarray, schema: Schema) -> np.ndarray:
    """The weight of each decision by its reward and propensity, float32 [row, 1]."""
    assert task.episodes is not None, "decisions come in episodes"
    assert schema.weighing is not None, "the schema of decisions has a weighing"
    _, lengths = np.unique(task.episodes, return_counts=True)
    mask = np.arange(lengths.max()) < lengths[:, None]

    def padded(rows: np.ndarray) -> torch.Tensor:
        array = np.zeros((*mask.shape, rows.shape[1]), np.float32)
        array[mask] = rows  # in order, where the mask is true
        return torch.from_numpy(array)

    weights = decision_weights.weights(
        padded(task.inputs),
        None if np.isnan(rewards[0, 0]) else padded(rewards).squeeze(-1),
        None if np.isnan(propensities[0, 0]) else padded(propensities).squeeze(-1),
        torch.from_numpy(mask),
        schema.weighing,
    )
    return weights.numpy()[mask][:, None]
