"""A bundle among the regressors: it predicts as the server does, with the server's intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from app.bundles.bundle import Bundle
from app.families.task_rows import TaskRows
from app.learn.inner import Examples
from app.learn.outer_directions import Tasks
from app.training.calibration import distances_of, half_widths_of
from app.training.predictor import offline, predict_initially
from app.training.tables.baselines.majority_label import LabelShares
from app.training.tables.baselines.pooled import Rows
from app.training.tables.regressor import Prediction
from app.training.tables.scores import NORMAL_QUANTILE


@dataclass(frozen=True)
class BundleRegressor:
    """A bundle for regression that is trained already, so that it learns nothing from the tasks that `fit` gets.

    A variance is that of the normal distribution whose 90 % interval is as wide as the one that the server gives.
    """

    name: str
    bundle: Bundle

    def fit(self, tasks: Sequence[TaskRows]) -> "BundleRegressor":
        """See `Regressor.fit`."""
        return self

    def predict(self, support_inputs: np.ndarray, support_targets: np.ndarray, query_inputs: np.ndarray) -> Prediction:
        """Adapt by the default steps; see `FittedRegressor.predict`."""
        tasks = _tasks(support_inputs, support_targets, query_inputs)
        if len(support_inputs):
            outputs = offline(self.bundle)(tasks, [self.bundle.manifest.inner_loop.steps]).outputs[0]
        else:
            outputs = predict_initially(self.bundle, tasks)
        return Prediction(outputs[0, :, 0].double().numpy(), self._variance(tasks, len(support_inputs)))

    def _variance(self, tasks: Tasks, known: int) -> np.ndarray | None:
        if not self.bundle.manifest.calibration.has_intervals:
            return None
        distances = distances_of(self.bundle, tasks) if known else None
        half_widths = half_widths_of(self.bundle, known, tasks, distances)
        return np.asarray((half_widths[0, :, 0].double().numpy() / NORMAL_QUANTILE) ** 2)


def _tasks(support_inputs: np.ndarray, support_targets: np.ndarray, query_inputs: np.ndarray) -> Tasks:
    """One task. The targets of its queries are 0, as nobody knows them."""
    unknown = np.zeros((len(query_inputs), 1), np.float32)
    return Tasks(_examples(support_inputs, support_targets), _examples(query_inputs, unknown))


def _examples(inputs: np.ndarray, targets: np.ndarray) -> Examples:
    return Examples(
        torch.from_numpy(np.ascontiguousarray(inputs, np.float32))[None],
        torch.from_numpy(np.ascontiguousarray(targets, np.float32))[None],
        torch.ones((1, len(inputs)), dtype=torch.bool),
    )


@dataclass(frozen=True)
class BundleClassifier:
    """A bundle for classification that is trained already. It knows the labels of the support set alone.

    shares: how frequent labels are in training: without known rows, the most frequent one is predicted
    """

    name: str
    bundle: Bundle
    shares: LabelShares | None = None

    def fit(self, tasks: Sequence[TaskRows]) -> "BundleClassifier":
        """See `Regressor.fit`."""
        return BundleClassifier(self.name, self.bundle, LabelShares.fit(Rows.of(tasks)))

    def predict(self, support_inputs: np.ndarray, support_targets: np.ndarray, query_inputs: np.ndarray) -> Prediction:
        """The labels after the default steps; see `FittedRegressor.predict`."""
        labels, ways = np.unique(support_targets[:, 0], return_inverse=True)
        if len(labels) < 2:
            return self._most_frequent(support_targets, len(query_inputs))
        one_hot = np.eye(len(labels), dtype=np.float32)[ways]
        unknown = np.zeros((len(query_inputs), len(labels)), np.float32)
        tasks = Tasks(_examples(support_inputs, one_hot), _examples(query_inputs, unknown))
        logits = offline(self.bundle)(tasks, [self.bundle.manifest.inner_loop.steps]).outputs[0, 0]
        return Prediction(labels[logits.argmax(-1).numpy()], None)

    def _most_frequent(self, support_targets: np.ndarray, count: int) -> Prediction:
        assert self.shares is not None, "fit comes first"
        label = support_targets[0, 0] if len(support_targets) else np.argmax(self.shares.shares)
        return Prediction(np.full(count, label), None)
