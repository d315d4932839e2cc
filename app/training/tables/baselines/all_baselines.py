"""The baselines that every model on a table is compared with."""

from app.training.tables.baselines.boosting import fit_boosting
from app.training.tables.baselines.boosting_with_task import BoostingWithTask
from app.training.tables.baselines.classifiers import (
    ClassifierPerTask,
    PooledClassifier,
    boosting_classifier,
    logistic_regression,
)
from app.training.tables.baselines.last_residual import LastResidual
from app.training.tables.baselines.majority_label import MajorityLabel
from app.training.tables.baselines.mixed_model import MixedModel
from app.training.tables.baselines.pooled import Pooled, SharedFit
from app.training.tables.baselines.ridge import fit_ridge, fit_within_tasks
from app.training.tables.baselines.ridge_per_task import RidgePerTask
from app.training.tables.baselines.splines import SplineMixedModel
from app.training.tables.baselines.standard_targets import OnStandardTargets, StandardTasks
from app.training.tables.baselines.task_mean import fit_mean
from app.training.tables.regressor import Regressor


def all_baselines(*, ordered: bool = False) -> list[Regressor]:
    """What a statistician would try. Targets are standardised, so that their unit and origin make no difference.

    ordered: whether the known rows of a task are its first ones
    """
    ridge, within, boosting = SharedFit(fit_ridge), SharedFit(fit_within_tasks), SharedFit(fit_boosting)
    forecasts: list[Regressor] = [
        LastResidual("last value", SharedFit(fit_mean)),
        LastResidual("boosting + last residual", boosting),
    ]
    baselines: list[Regressor] = [
        Pooled("task mean", fit_mean, "shrunk"),
        Pooled("ridge", ridge, "none"),
        Pooled("ridge + offset", ridge, "shrunk"),
        RidgePerTask(ordered),
        Pooled("within-task regression", within, "unshrunk"),
        Pooled("within-task regression + shrunk offset", within, "shrunk"),
        MixedModel(),
        SplineMixedModel(),
        Pooled("boosting", boosting, "none"),
        Pooled("boosting + offset", boosting, "shrunk"),
        BoostingWithTask(ordered),
        *(forecasts if ordered else []),
    ]
    standard_tasks = StandardTasks()
    return [OnStandardTargets(each, standard_tasks) for each in baselines]


def label_baselines() -> list[Regressor]:
    """What a statistician would try where a target is the index of a label."""
    return [
        MajorityLabel(),
        PooledClassifier("logistic regression", logistic_regression),
        PooledClassifier("boosting", boosting_classifier),
        ClassifierPerTask(),
        PooledClassifier("boosting with the labels of the task", boosting_classifier, with_task=True),
    ]
