"""Logistic regression and boosting as baselines where a target is the index of a label."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.families.task_rows import TaskRows
from app.training.tables.baselines.majority_label import FittedMajority, LabelShares
from app.training.tables.baselines.pooled import Rows, fold_numbers
from app.training.tables.baselines.ridge import Standardisation
from app.training.tables.held_out_rows import Protocol
from app.training.tables.regressor import Prediction

SIZES = (0, 3, 5, 10, 20)
"""Known rows in training, of a classifier that sees the labels of the task."""

MAX_ROWS = 12_000
"""That such a classifier is fitted to."""

STRENGTHS = 10.0 ** np.arange(-3, 3)
"""Of logistic regression: C of scikit-learn, the inverse of its penalty."""

MakeClassifier = Callable[[float], Any]
"""A hyperparameter that validation chooses -> an unfitted classifier of scikit-learn."""


def logistic_regression(strength: float) -> Any:
    """Multinomial."""
    # scikit-learn takes a second to import, and serving does not need it
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, max_iter=1000)


def boosting_classifier(strength: float) -> Any:
    """Gradient boosting. strength: the more, the more trees"""
    from sklearn.ensemble import HistGradientBoostingClassifier

    trees = int(np.clip(30 * strength**0.3, 5, 100))
    return HistGradientBoostingClassifier(
        max_iter=trees, max_leaf_nodes=7, l2_regularization=1.0, early_stopping=False, random_state=0
    )


@dataclass(frozen=True)
class FittedClassifier:
    """A classifier for the rows of all tasks, which may see how frequent labels are in the known rows of the task."""

    standardisation: Standardisation
    classifier: Any
    shares: LabelShares | None

    def predict(self, support_inputs: np.ndarray, support_targets: np.ndarray, query_inputs: np.ndarray) -> Prediction:
        """See `FittedRegressor.predict`."""
        inputs = _with_shares(query_inputs, support_targets[:, 0], self.shares)
        return Prediction(self.classifier.predict(self.standardisation.apply(inputs)), None)


@dataclass(frozen=True)
class PooledClassifier:
    """A classifier for the rows of all tasks; validation on unseen tasks chooses its hyperparameter.

    with_task: whether it sees how frequent labels are in the known rows of the task
    """

    name: str
    make: MakeClassifier
    with_task: bool = False

    def fit(self, tasks: Sequence[TaskRows]) -> FittedClassifier:
        """See `Regressor.fit`."""
        rows, shares = Rows.of(tasks), None
        if self.with_task:
            shares = LabelShares.fit(rows)
            rows = Rows.of(_with_known_labels(tasks, shares))
        standardisation = Standardisation.of(rows.inputs)
        inputs, targets = standardisation.apply(rows.inputs), rows.targets
        folds = fold_numbers(rows.task[-1] + 1, 3)[rows.task]
        errors = [sum(_errors(self.make(each), inputs, targets, folds)) for each in STRENGTHS]
        classifier = self.make(float(STRENGTHS[np.argmin(errors)])).fit(inputs, targets)
        return FittedClassifier(standardisation, classifier, shares)


@dataclass(frozen=True)
class FittedPerTask:
    """A logistic regression for each task."""

    standardisation: Standardisation
    strengths: Mapping[int, float]
    majority: FittedMajority

    def predict(self, support_inputs: np.ndarray, support_targets: np.ndarray, query_inputs: np.ndarray) -> Prediction:
        """See `FittedRegressor.predict`."""
        if len(np.unique(support_targets)) < 2:
            return self.majority.predict(support_inputs, support_targets, query_inputs)
        size = min(self.strengths, key=lambda each: abs(np.log(each / len(support_inputs))))
        apply = self.standardisation.apply
        fitted = logistic_regression(self.strengths[size]).fit(apply(support_inputs), support_targets[:, 0])
        return Prediction(fitted.predict(apply(query_inputs)), None)


@dataclass(frozen=True)
class ClassifierPerTask:
    """Logistic regression on the known rows of a task alone. Other tasks only tune its penalty."""

    name: str = "logistic regression per task"

    def fit(self, tasks: Sequence[TaskRows]) -> FittedPerTask:
        """See `Regressor.fit`."""
        rows = Rows.of(tasks)
        standardisation, majority = Standardisation.of(rows.inputs), FittedMajority(LabelShares.fit(rows))
        protocol = Protocol(draws=1, seed=1)
        strengths = {}
        for size in SIZES[1:]:
            wrong = []
            for strength in STRENGTHS:
                fitted = FittedPerTask(standardisation, {size: float(strength)}, majority)
                wrong.append(_wrong_labels(fitted, tasks[:50], size, protocol))
            strengths[size] = float(STRENGTHS[np.argmin(wrong)])
        return FittedPerTask(standardisation, strengths, majority)


def _wrong_labels(fitted: FittedPerTask, tasks: Sequence[TaskRows], size: int, protocol: Protocol) -> int:
    """How many queries of all tasks get a wrong label."""
    wrong = 0
    for task in tasks:
        for support, queries in protocol.known_rows(task, size):
            predicted = fitted.predict(task.inputs[support], task.targets[support], task.inputs[queries]).mean
            wrong += int((predicted != task.targets[queries, 0]).sum())
    return wrong


def _with_shares(inputs: np.ndarray, known: np.ndarray, shares: LabelShares | None) -> np.ndarray:
    """Inputs with a column for how frequent each label is in the known rows, and one for their number."""
    if shares is None:
        return inputs
    columns = [*shares.of_task(known)[: len(shares.shares)], np.log1p(len(known))]
    return np.concatenate([inputs, np.tile(columns, (len(inputs), 1))], axis=1)


def _with_known_labels(tasks: Sequence[TaskRows], shares: LabelShares) -> list[TaskRows]:
    """Queries of all tasks after different numbers of known rows."""
    protocol = Protocol(draws=1, max_queries=max(MAX_ROWS // (len(tasks) * len(SIZES)), 1), seed=2)
    examples = []
    for task in tasks:
        choices = [rows for size in SIZES for rows in protocol.known_rows(task, size)]
        inputs = [_with_shares(task.inputs[each.queries], task.targets[each.support, 0], shares) for each in choices]
        targets = [task.targets[each.queries] for each in choices]
        examples.append(TaskRows(task.name, np.concatenate(inputs), np.concatenate(targets)))
    return examples


def _errors(classifier: Any, inputs: np.ndarray, targets: np.ndarray, folds: np.ndarray) -> list[int]:
    """The wrong labels of each fold. Folds whose other tasks have a single label do not count."""
    wrong = []
    for fold in range(folds.max() + 1):
        seen, held_out = folds != fold, folds == fold
        if len(np.unique(targets[seen])) > 1:
            predicted = classifier.fit(inputs[seen], targets[seen]).predict(inputs[held_out])
            wrong.append(int((predicted != targets[held_out]).sum()))
    return wrong
