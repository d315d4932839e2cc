"""What training and evaluation need for each kind of prediction. The losses of the kinds are in `app.learn.losses`."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from app.bundles.bundle import Bundle
from app.families.family import Family, HasLabelNames
from app.learn.calibration_table import Calibration
from app.learn.losses import Error, squared_error
from app.learn.policies import weighted_nll
from app.learn.shape_annotations import Float
from app.learn.support_ood import OODReference
from app.training.calibration import calibrate_classes, calibrate_intervals
from app.training.observation_ood_reference import make_observation_reference
from app.training.recipes.recipe import Recipe
from app.training.similarity_calibration import calibrate_texts
from app.training.support_ood_reference import make_ood_reference
from app.training.tasks import IMAGE_FEATURES

FEW_SHOTS = 3
"""On images, gradient steps are known to work best up to this many shots, prototypes above it."""
NUMBERS = ("alpaca", "metasgd", "ridge", "mamlpp", "maml", "cavia", "anil", "fomaml", "reptile", "boil")
ONE_SHOT_IMAGES = ("metasgd", "mamlpp", "protomaml", "foprotomaml", "protonet", "ridge", "maml", "anil", "boil")
MORE_IMAGES = ("protonet", "ridge", "foprotomaml", "protomaml", "metasgd", "mamlpp", "maml", "anil", "boil")
POLICIES = ("metasgd", "maml", "reptile", "fomaml", "mamlpp", "cavia", "anil", "boil")
ROWS_OF_CLASSES = ("protonet", "ridge", "protomaml", "metasgd", "mamlpp", "maml", "anil", "foprotomaml")
"""Algorithms in the order in which a search tries them (`app.training.algorithm_search`), the most promising first."""


@dataclass(frozen=True)
class Score:
    """How good predictions are. The score of a task is the mean over its query set.

    per_example: (outputs, targets) -> the score of each example
    more_is_better: whether a larger score is better
    percentage: whether tables show it in per cent
    """

    name: str
    per_example: Error
    more_is_better: bool
    percentage: bool = False

    def better(self, one: float, two: float) -> bool:
        """Whether one score is better than two. A score that is not finite never is."""
        return math.isfinite(one) and (not math.isfinite(two) or (one > two if self.more_is_better else one < two))


@dataclass(frozen=True)
class Kind:
    """What training and evaluation need for a kind.

    score: what bundles are judged by
    algorithms: (family, shots) -> the algorithms that a search tries, the most promising first
    training_ways: (recipe, family) -> the smallest and the largest number of classes of a training task; None where
        there are no classes
    evaluation_ways: (recipe, family) -> the numbers of classes that a bundle is evaluated at; None alone where there
        are no classes
    calibrate, make_ood_reference: (bundle, family) -> these parts of the manifest, empty where the kind has none
    plots_task: whether a task can be plotted before and after adapting
    pipeline: how Hugging Face names the kind where inputs are rows of numbers
    """

    score: Score
    algorithms: Callable[[Family, int], Sequence[str]]
    training_ways: Callable[[Recipe, Family], tuple[int, int] | None] = lambda recipe, family: None
    evaluation_ways: Callable[[Recipe, Family], Sequence[int | None]] = lambda recipe, family: (None,)
    calibrate: Callable[[Bundle, Family], Calibration] = lambda bundle, family: Calibration()
    make_ood_reference: Callable[[Bundle, Family], OODReference] = lambda bundle, family: OODReference()
    plots_task: bool = False
    pipeline: str = "other"


def _class_algorithms(family: Family, shots: int) -> Sequence[str]:
    if family.features < IMAGE_FEATURES:
        return ROWS_OF_CLASSES
    return ONE_SHOT_IMAGES if shots <= FEW_SHOTS else MORE_IMAGES


def _calibrate_labels(bundle: Bundle, family: Family) -> Calibration:
    return (calibrate_texts if isinstance(family, HasLabelNames) else calibrate_classes)(bundle, family)


def accuracy(
    logits: Float[Tensor, "*task example way"], targets: Float[Tensor, "*task example way"]
) -> Float[Tensor, "*task example"]:
    """1 where the largest logit is that of the example's class, else 0. targets: one-hot."""
    return (logits.argmax(-1) == targets.argmax(-1)).to(logits.dtype)


def _log_likelihood(outputs: Tensor, targets: Tensor) -> Tensor:
    return -weighted_nll(outputs, targets)


KINDS: Mapping[str, Kind] = {
    "classification": Kind(
        score=Score("accuracy", accuracy, more_is_better=True, percentage=True),
        algorithms=_class_algorithms,
        training_ways=lambda recipe, family: recipe.ways or (family.targets, family.targets),
        evaluation_ways=lambda recipe, family: recipe.evaluation_ways or (family.targets,),
        calibrate=_calibrate_labels,
        pipeline="tabular-classification",
    ),
    "decision": Kind(
        score=Score("weighted log-likelihood", _log_likelihood, more_is_better=True),
        algorithms=lambda family, shots: POLICIES,
        make_ood_reference=make_observation_reference,
        pipeline="reinforcement-learning",
    ),
    "regression": Kind(
        score=Score("mean squared error", squared_error, more_is_better=False),
        algorithms=lambda family, shots: NUMBERS,
        calibrate=calibrate_intervals,
        make_ood_reference=make_ood_reference,
        plots_task=True,
        pipeline="tabular-regression",
    ),
}
"""By name, with the same keys as `app.learn.losses.KINDS`."""
