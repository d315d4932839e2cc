"""The baselines that every model on a table is compared with."""

from app.training.tables.baselines.boosting import fit_boosting
from app.training.tables.baselines.boosting_with_task import BoostingWithTask
from app.training.tables.baselines.mixed_model import MixedModel
from app.training.tables.baselines.pooled import Pooled, SharedFit
from app.training.tables.baselines.ridge import fit_ridge, fit_within_tasks
from app.training.tables.baselines.ridge_per_task import RidgePerTask
from app.training.tables.baselines.splines import SplineMixedModel
from app.training.tables.baselines.task_mean import fit_mean
from app.training.tables.regressor import Regressor


def all_baselines(*, ordered: bool = False) -> list[Regressor]:
    """What a statistician would try.

    ordered: whether the known rows of a task are its first ones
    """
    ridge, within, boosting = SharedFit(fit_ridge), SharedFit(fit_within_tasks), SharedFit(fit_boosting)
    return [
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
    ]
