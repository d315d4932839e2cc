"""Calibrating a bundle on validation tasks (`app.learn.calibration`), and measuring the calibration on test tasks."""

from collections.abc import Mapping, Sequence
from math import ceil, exp

import torch
from torch import Tensor

from app.bundles.bundle import Bundle
from app.families.family import Family, Split
from app.learn.calibration import FALSE_ALARM_RATE, Calibration
from app.learn.outer import Tasks
from app.learn.query_ood import familiarity_threshold
from app.learn.shapes import Bool, Float
from app.training.predictor import offline, predict_in_portions, predict_initially, without_last_class
from app.training.problem import device_of
from app.training.tasks import Setting, draw_held_out

SEED = 20190907
"""Of the validation tasks."""
LEVELS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.925, 0.95, 0.975, 0.99)
EXAMPLES = (1, 2, 3, 5, 7, 10, 15, 20)
"""Support examples of regression tasks. The initialization is calibrated too, on the queries of the first of these."""
TASKS, QUERIES = 4_000, 20
"""Regression tasks of each size. Errors within a task are alike, so many tasks matter more than many queries."""
SHOTS = (1, 2, 3, 5, 10)
"""Support examples per class of classification tasks."""
CLASS_TASKS, CLASS_QUERIES = 200, 5
SHOWN_LEVEL = 0.9
"""The level of the intervals whose coverage is measured."""
BINS = 15
MIN_LOG_TEMPERATURE, MAX_LOG_TEMPERATURE = -4.0, 4.0


def calibrate_intervals(bundle: Bundle, family: Family) -> Calibration:
    """Half widths of intervals for regression, by number of support examples, target and level."""
    tasks = _draw(bundle, family, Setting(EXAMPLES[0]), TASKS, QUERIES)
    widths = [_half_widths((predict_initially(bundle, tasks) - tasks.query.targets).abs())]
    for examples in EXAMPLES:
        tasks = _draw(bundle, family, Setting(examples), TASKS, QUERIES)
        answers = predict_in_portions(offline(bundle), tasks, [bundle.manifest.inner_loop.steps])
        errors = (answers.outputs[0] - tasks.query.targets).abs()
        # the server answers 422 where the inner loop diverged, without an interval
        usable = errors[answers.usable[0]]
        if not len(usable):
            return Calibration()
        widths.append(_half_widths(usable))
    return Calibration(TASKS, SEED, (0, *EXAMPLES), LEVELS, tuple(widths))


def _half_widths(errors: Float[Tensor, "task query target"]) -> tuple[tuple[float, ...], ...]:
    """The half widths of intervals, [target][level]."""
    return tuple(tuple(error_quantile(error, level) for level in LEVELS) for error in errors.unbind(-1))


def calibrate_classes(bundle: Bundle, family: Family) -> Calibration:
    """The temperature of probabilities, and how large the largest logit of a query of a known class usually is."""
    answers: list[tuple[Tensor, Tensor]] = []
    familiarity = []
    for shots in SHOTS:
        logits, targets, absent = predict_with_absent_class(bundle, family, Setting(shots, family.targets))
        answers.append((logits[~absent], targets[~absent]))
        familiarity.append(logits[~absent].amax(-1).flatten().double().quantile(FALSE_ALARM_RATE).item())
    return Calibration(CLASS_TASKS, SEED, SHOTS, temperature=fit_temperature(answers), familiarity=tuple(familiarity))


def _draw(
    bundle: Bundle, family: Family, setting: Setting, tasks: int, queries: int, split: Split = "validation"
) -> Tasks:
    return draw_held_out(family, setting, device_of(bundle), tasks=tasks, queries=queries, split=split, seed=SEED)


def error_quantile(errors: Float[Tensor, "task query"], level: float) -> float:
    """The error that a query of a fresh task exceeds with a probability of at most 1 - level.

    Conformal prediction where queries come in tasks: a fresh task is equally likely to have any rank among these tasks.
    Lee, Barber and Willett 2023, "Distribution-free inference with hierarchical data"
    """
    tasks = len(errors)
    rank = ceil(level * (tasks + 1) / tasks * errors.numel())
    return errors.flatten().sort().values[min(rank, errors.numel()) - 1].item()


def predict_with_absent_class(
    bundle: Bundle, family: Family, setting: Setting, split: Split = "validation"
) -> tuple[Float[Tensor, "task query way"], Float[Tensor, "task query way"], Bool[Tensor, "task query"]]:
    """Predictions for tasks whose queries come from one class more than the support set has.

    Returns logits, targets, and which queries are of the class that the support set lacks.
    """
    assert setting.ways is not None
    wider = _draw(bundle, family, setting._replace(ways=setting.ways + 1), CLASS_TASKS, CLASS_QUERIES, split)
    tasks, absent = without_last_class(wider)
    answers = predict_in_portions(offline(bundle), tasks, [bundle.manifest.inner_loop.steps])
    return answers.outputs[0], tasks.query.targets, absent


def fit_temperature(answers: Sequence[tuple[Float[Tensor, "query way"], Float[Tensor, "query way"]]]) -> float:
    """The temperature that makes the true classes most probable. All numbers of shots count alike.

    answers: logits and one-hot targets for each number of shots

    Guo et al. 2017, "On Calibration of Modern Neural Networks". Found by ternary search: the loss has one minimum.
    """

    def loss(log_temperature: float) -> float:
        return sum(mean_surprise(exp(log_temperature), *each) for each in answers)

    low, high = MIN_LOG_TEMPERATURE, MAX_LOG_TEMPERATURE
    while high - low > 1e-3:
        third = (high - low) / 3
        if loss(low + third) < loss(high - third):
            high -= third
        else:
            low += third
    return exp((low + high) / 2)


def mean_surprise(temperature: float, logits: Float[Tensor, "*task query way"], targets: Tensor) -> float:
    """Minus the mean log-probability of the true classes at that temperature, in nats."""
    # a class that does not exist has the probability 0, and minus infinity times 0 would be NaN
    return -(targets * (logits.double() / temperature).log_softmax(-1).clamp(min=-1e30)).sum(-1).mean().item()


def measure_calibration(
    bundle: Bundle, family: Family, setting: Setting, tasks: Tasks, outputs: Tensor, usable: Tensor
) -> Mapping[str, float]:
    """How well the bundle's calibration holds on tasks that it was not made from; empty if the bundle has none.

    outputs, usable: after the default steps, as in `app.training.evaluation.TaskScores`

    For regression: the share of true values that the intervals cover, and their half width. For classes: the negative
    log-likelihood and the calibration error of the probabilities, the share of queries of known classes that are called
    unlike the support set, and that of queries of another class.
    """
    calibration = bundle.manifest.calibration
    if calibration.has_intervals:
        half_width = outputs.new_tensor(calibration.widths_for(SHOWN_LEVEL, setting.shots))
        errors = (outputs - tasks.query.targets).abs()[usable]
        return {
            "coverage_90": (errors <= half_width).double().mean().item(),
            "half_width_90": half_width.mean().item(),
        }
    if calibration.has_familiarity:
        threshold = familiarity_threshold(calibration, setting.shots)
        logits, _, absent = predict_with_absent_class(bundle, family, setting, split="test")
        return {
            "nll": mean_surprise(calibration.temperature, outputs, tasks.query.targets),
            "ece": calibration_error(outputs, tasks.query.targets, calibration.temperature),
            "false_alarms": (outputs.amax(-1) < threshold).double().mean().item(),
            "unfamiliar_found": (logits[absent].amax(-1) < threshold).double().mean().item(),
        }
    return {}


def calibration_error(logits: Tensor, targets: Tensor, temperature: float) -> float:
    """The mean distance between a probability and the share of times it was right, in BINS bins (ECE, Guo et al.)."""
    likely, predicted = (logits.double() / temperature).softmax(-1).flatten(0, -2).max(-1)
    right = (predicted == targets.flatten(0, -2).argmax(-1)).double()
    bins = (likely * BINS).long().clamp(max=BINS - 1)
    gap = torch.zeros(BINS, dtype=torch.float64, device=logits.device).index_add_(0, bins, right - likely)
    return (gap.abs().sum() / len(right)).item()
