"""Calibrating a bundle of texts: its probabilities, and how alike a query and its support set usually are."""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from app.bundles.bundle import Bundle
from app.families.family import Family, HasClassLimits, HasLabelNames, Split
from app.learn.calibration_table import Calibration
from app.learn.outer_directions import Tasks
from app.learn.query_ood import largest_cosines, similarity_threshold
from app.learn.shape_annotations import Bool, Float, Int
from app.learn.significance import interval
from app.training.calibration import SEED, calibration_error, fit_temperature, mean_surprise
from app.training.family_and_network import device_of
from app.training.predictor import offline, predict_in_portions, without_last_class
from app.training.tasks import Setting, draw_held_out

FALSE_ALARM_RATE = 0.05
"""The share of queries of known classes that are flagged as unlike the support set, at most."""
LEVELS = 51
"""Thresholds that are tried: quantiles of the similarities, from FALSE_ALARM_RATE downwards."""
SHOTS = (1, 2, 3, 5, 10)
"""Texts of each class. Its name counts as one more."""
TASKS, QUERIES = 200, 5


class Compared(NamedTuple):
    """Queries compared with a support set that lacks the last class of the task.

    similarities: the largest cosine (`app.learn.query_ood.largest_cosines`)
    absent: which queries are of the class that the support set lacks
    labels: the number of the label that each query has
    """

    logits: Float[Tensor, "task query way"]
    targets: Float[Tensor, "task query way"]
    similarities: Float[Tensor, "task query"]
    absent: Bool[Tensor, "task query"]
    labels: Int[Tensor, "task query"]

    @property
    def threshold(self) -> float:
        """The similarity below which FALSE_ALARM_RATE of the queries of other labels are, at most.

        It is the upper end of the 95 % confidence interval over labels that is no more than that: nearly all queries of
        a label may be alike, or few, so the queries of a split with few labels say little of other labels.
        """
        known = ~self.absent
        similarities, numbers = self.similarities[known].double(), self.labels[known]
        count = numbers.bincount()
        for level in torch.linspace(FALSE_ALARM_RATE, 0, LEVELS, dtype=torch.float64):
            threshold = similarities.quantile(level)
            flagged = numbers.bincount((similarities < threshold).double())
            mean, half_width = interval((flagged / count)[count > 0])
            if mean + half_width <= FALSE_ALARM_RATE:
                break
        return threshold.item()


def calibrate_texts(bundle: Bundle, family: Family) -> Calibration:
    """The temperature of probabilities, and how alike a query and its nearest class usually are.

    By the number of examples of a class, of which its name is one: 1 is calibrated without names.
    """
    assert isinstance(family, HasLabelNames), "a family of texts"
    ways, answers, similarity = _ways(family), [], []
    for shots in SHOTS:
        compared = compare(bundle, family, Setting(shots, ways), "validation")
        known = ~compared.absent
        answers.append((compared.logits[known], compared.targets[known]))
        similarity.append(compared.threshold)
    sizes = tuple(shots + family.label_names for shots in SHOTS)
    if family.label_names:
        without = compare(bundle, nameless(family), Setting(1, ways), "validation")
        similarity.insert(0, without.threshold)
        sizes = (1, *sizes)
    # a query is no less alike where there is more to compare it with, whatever the draws
    rising = torch.tensor(similarity).cummax(0).values.tolist()
    return Calibration(TASKS, SEED, sizes, temperature=fit_temperature(answers), similarity=tuple(rising))


def _ways(family: Family) -> int:
    """The classes of a task, one fewer where a split has no more."""
    return min(family.targets, family.max_ways - 1) if isinstance(family, HasClassLimits) else family.targets


def nameless(family: Family) -> Family:
    """The same family, without names."""
    return replace(family, label_names=False)  # type: ignore[type-var]  # a family of texts is a dataclass


def compare(bundle: Bundle, family: Family, setting: Setting, split: Split, tasks: int = TASKS) -> Compared:
    """Adapt to tasks without one of their classes, and compare all queries with the support sets."""
    assert setting.ways is not None
    assert isinstance(family, HasLabelNames), "a family of texts"
    wider = setting._replace(ways=setting.ways + 1)
    drawn = draw_held_out(family, wider, device_of(bundle), tasks=tasks, queries=QUERIES, split=split, seed=SEED)
    held_out, absent = without_last_class(drawn)
    answers = predict_in_portions(offline(bundle), held_out, [bundle.manifest.inner_loop.steps])
    labels = family.labels_of(held_out.query.inputs, split)
    return Compared(answers.outputs[0], held_out.query.targets, similarities_of(held_out), absent, labels)


def similarities_of(tasks: Tasks) -> Float[Tensor, "task query"]:
    """The largest cosine of each query to an example or to the mean of a class."""
    support = tasks.support
    return largest_cosines(tasks.query.inputs, support.inputs, support.targets, support.mask)


def measure_similarity(
    bundle: Bundle, family: Family, setting: Setting, outputs: Tensor, targets: Tensor
) -> Mapping[str, float]:
    """As `app.training.calibration.measure_calibration`, for texts."""
    calibration = bundle.manifest.calibration
    named = isinstance(family, HasLabelNames) and family.label_names
    compared = compare(bundle, family, setting._replace(ways=_ways(family)), "test")
    flagged = compared.similarities < similarity_threshold(calibration, setting.shots + named)
    return {
        "nll": mean_surprise(calibration.temperature, outputs, targets),
        "ece": calibration_error(outputs, targets, calibration.temperature),
        "false_alarms": flagged[~compared.absent].double().mean().item(),
        "unfamiliar_found": flagged[compared.absent].double().mean().item(),
    }
