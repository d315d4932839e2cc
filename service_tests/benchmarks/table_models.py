"""The models that `table_accuracy` measures: the ensemble, and ALPaCA for its intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from app.families.task_rows import TaskRows
from app.training.tables.ensemble.fit import FittedEnsemble, fit
from app.training.tables.ensemble.members import KINDS, MemberKind
from app.training.tables.ensemble.predictor import predictor
from app.training.tables.kept_stages import KeptStages
from app.training.tables.regressor import Prediction
from service_tests.benchmarks.kept_scores import tasks_digest

ALPACA = tuple(kind for kind in KINDS if kind.name == "learned 1")
"""A Bayesian linear regression on features that are learned for it."""


@dataclass(frozen=True)
class FittedModel:
    """A fitted ensemble, as it is served."""

    fitted: FittedEnsemble

    def predict(self, support_inputs: np.ndarray, support_targets: np.ndarray, query_inputs: np.ndarray) -> Prediction:
        """See `FittedRegressor.predict`."""
        return Prediction(*predictor(self.fitted)(support_inputs, support_targets, query_inputs))


@dataclass(frozen=True)
class Model:
    """An ensemble among the regressors.

    kinds: of members; None for all
    stages: the folder of the stages of fits, which models with members in common share
    """

    name: str
    ordered: bool
    stages: Path
    kinds: Sequence[MemberKind] | None = None

    def fit(self, tasks: Sequence[TaskRows]) -> FittedModel:
        """See `Regressor.fit`."""
        kept = KeptStages(self.stages / f"{tasks_digest(tasks)}{'-ordered' if self.ordered else ''}")
        return FittedModel(fit(tasks, ordered=self.ordered, kept=kept, kinds=self.kinds))
