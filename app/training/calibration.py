"""Calibrating a bundle on validation tasks, and measuring the calibration (`learn.calibration_table`) on test tasks."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from math import ceil, exp
from typing import NamedTuple

import torch
from torch import Tensor

from app.bundles.bundle import Bundle
from app.families.family import Family, HasClassLimits, HasTaskCounts, Split
from app.learn.calibration_table import FALSE_ALARM_RATE, Calibration
from app.learn.outer_directions import Tasks
from app.learn.query_ood import familiarity_threshold, nearest_distances
from app.learn.shape_annotations import Bool, Float
from app.learn.width_interpolation import interpolate_stretch
from app.training.family_and_network import device_of
from app.training.predictor import offline, predict_in_portions, predict_initially, without_last_class
from app.training.relative_intervals import std_of, with_distance_limits
from app.training.tasks import Setting, draw_held_out, limit_draws

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
KNOTS = (0.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1 - FALSE_ALARM_RATE)
"""Quantiles of the distance at which the stretch of intervals is measured."""
MIN_STRETCH = 0.01
"""So that no interval has no width at all."""
BINS = 15
MIN_LOG_TEMPERATURE, MAX_LOG_TEMPERATURE = -4.0, 4.0


class _BySize(NamedTuple):
    """What intervals need for one number of support examples; the fields of `Calibration` without their first axis."""

    half_widths: tuple[tuple[float, ...], ...]
    distances: tuple[float, ...]
    stretch: tuple[tuple[float, ...], ...]


def calibrate_intervals(bundle: Bundle, family: Family) -> Calibration:
    """Half widths of intervals for regression, by number of support examples, target and level.

    Where the bundle has an OOD reference, which tells the scale of each feature, they depend on the distance of a query
    from the support set too. Numbers of examples that no validation task has, beside a query, are left out. A bundle
    whose intervals were measured in training (`relative`) keeps them.
    """
    if bundle.manifest.calibration.relative:
        return with_distance_limits(bundle, family)
    count = limit_draws(family, TASKS, "validation")
    distinct = family.task_counts["validation"] if isinstance(family, HasTaskCounts) else count
    tasks = _draw(bundle, family, Setting(EXAMPLES[0]), count, QUERIES)
    initially = _half_widths((predict_initially(bundle, tasks) - tasks.query.targets).abs(), distinct)
    by_size = [_BySize(initially, (), ((),) * bundle.manifest.schema.targets)]
    for examples in EXAMPLES:
        tasks = _draw(bundle, family, Setting(examples), count, QUERIES)
        if tasks.support.mask.sum(1).max() < examples:
            break
        answers = predict_in_portions(offline(bundle), tasks, [bundle.manifest.inner_loop.steps])
        # the server answers 422 where the inner loop diverged, without an interval
        usable = answers.usable[0]
        if not usable.any():
            return Calibration()
        errors = (answers.outputs[0] - tasks.query.targets).abs()[usable]
        distances = distances_of(bundle, tasks)
        by_size.append(
            _BySize(_half_widths(errors, distinct), (), ())
            if distances is None
            else _by_distance(errors, distances[usable], distinct)
        )
    half_widths, distances_by_size, stretch = zip(*by_size, strict=True)
    calibration = Calibration(count, SEED, (0, *EXAMPLES[: len(by_size) - 1]), LEVELS, half_widths)
    if not bundle.manifest.ood_reference.tasks:
        return calibration
    return replace(calibration, distances=distances_by_size, stretch=stretch)


def distances_of(bundle: Bundle, tasks: Tasks) -> Float[Tensor, "task query"] | None:
    """How far queries are from the nearest support example; None where the bundle has no OOD reference."""
    scale = bundle.manifest.ood_reference.input_scale
    return nearest_distances(tasks.query.inputs, tasks.support.inputs, scale) if scale else None


def _by_distance(
    errors: Float[Tensor, "task query target"], distances: Float[Tensor, "task query"], distinct: int
) -> _BySize:
    """From the errors of one number of support examples, and the distances of their queries from the support set.

    distinct: how many different tasks there are
    """
    order = distances.flatten().argsort()
    ascending, errors_by_distance = distances.flatten()[order], errors.flatten(0, 1)[order].double()
    size = len(order)
    borders = [0, *(round((first + second) / 2 * size) for first, second in pairwise(KNOTS)), size]
    means = torch.stack([errors_by_distance[start : max(end, start + 1)].mean(0) for start, end in pairwise(borders)])
    mean = errors_by_distance.mean(0)
    # an interval is never narrower at a larger distance, though a wave is easy to tell half a period away
    stretch = torch.where(mean > 0, means / mean, 1.0).clamp(min=MIN_STRETCH).cummax(0).values.T
    # a little more, because the server may round the same distance otherwise
    knots = tuple(ascending[min(round(knot * size), size - 1)].item() * (1 + 1e-6) for knot in KNOTS)
    by_size = _BySize((), knots, tuple(tuple(each) for each in stretch.tolist()))
    return by_size._replace(
        half_widths=_half_widths(errors / interpolate_stretch(knots, by_size.stretch, distances), distinct)
    )


def _half_widths(errors: Float[Tensor, "task query target"], distinct: int) -> tuple[tuple[float, ...], ...]:
    """The half widths of intervals, [target][level]. distinct: how many different tasks there are"""
    return tuple(tuple(error_quantile(error, level, distinct) for level in LEVELS) for error in errors.unbind(-1))


def calibrate_classes(bundle: Bundle, family: Family) -> Calibration:
    """The temperature of probabilities, and how large the largest logit of a query of a known class usually is.

    A family whose tasks have no further class gets the temperature alone.
    """
    if isinstance(family, HasClassLimits) and family.max_ways <= family.targets:
        return _calibrate_temperature(bundle, family, [shots for shots in SHOTS if shots <= family.max_shots])
    answers: list[tuple[Tensor, Tensor]] = []
    familiarity = []
    for shots in SHOTS:
        logits, targets, absent = predict_with_absent_class(bundle, family, Setting(shots, family.targets))
        answers.append((logits[~absent], targets[~absent]))
        familiarity.append(logits[~absent].amax(-1).flatten().double().quantile(FALSE_ALARM_RATE).item())
    return Calibration(CLASS_TASKS, SEED, SHOTS, temperature=fit_temperature(answers), familiarity=tuple(familiarity))


def _calibrate_temperature(bundle: Bundle, family: Family, sizes: Sequence[int]) -> Calibration:
    answers = []
    for shots in sizes:
        tasks = _draw(bundle, family, Setting(shots, family.targets), CLASS_TASKS, CLASS_QUERIES)
        outputs = predict_in_portions(offline(bundle), tasks, [bundle.manifest.inner_loop.steps]).outputs[0]
        answers.append((outputs, tasks.query.targets))
    return Calibration(CLASS_TASKS, SEED, tuple(sizes), temperature=fit_temperature(answers))


def _draw(
    bundle: Bundle, family: Family, setting: Setting, tasks: int, queries: int, split: Split = "validation"
) -> Tasks:
    return draw_held_out(family, setting, device_of(bundle), tasks=tasks, queries=queries, split=split, seed=SEED)


def error_quantile(errors: Float[Tensor, "task query"], level: float, distinct: int | None = None) -> float:
    """The error that a query of a fresh task exceeds with a probability of at most 1 - level.

    distinct: how many different tasks there are, where some are drawn several times

    Conformal prediction where queries come in tasks: a fresh task is equally likely to have any rank among these tasks.
    Lee, Barber and Willett 2023, "Distribution-free inference with hierarchical data"
    """
    tasks = distinct or len(errors)
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

    For regression: the share of true values that the intervals cover, and their mean half width, where the server gives
    an interval. For classes: the negative log-likelihood and the calibration error of the probabilities, the share of
    queries of known classes that are called unlike the support set, and that of queries of another class.
    """
    calibration = bundle.manifest.calibration
    if calibration.has_intervals:
        errors = (outputs - tasks.query.targets).abs()
        distances = distances_of(bundle, tasks)
        half_widths = half_widths_of(bundle, setting.shots, tasks, distances)
        answered = usable.unsqueeze(-1) & ~are_marked(bundle, setting.shots, tasks, distances)
        return {
            "coverage_90": (errors <= half_widths)[answered].double().mean().item(),
            "half_width_90": half_widths[answered].mean().item(),
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


def half_widths_of(
    bundle: Bundle, shots: int, tasks: Tasks, distances: Float[Tensor, "task query"] | None
) -> Float[Tensor, "task query target"]:
    """The half width of the 90 % interval of each query. distances: those of `distances_of`"""
    calibration = bundle.manifest.calibration
    widths = torch.zeros_like(tasks.query.targets) + tasks.query.targets.new_tensor(
        calibration.widths_for(SHOWN_LEVEL, shots)
    )
    if calibration.relative:
        widths = widths * std_of(bundle, tasks)
    if distances is None or not calibration.has_distances:
        return widths
    return widths * calibration.stretch_for(shots, distances)


def are_marked(
    bundle: Bundle, shots: int, tasks: Tasks, distances: Float[Tensor, "task query"] | None
) -> Bool[Tensor, "task query"]:
    """Which queries, rows of numbers, the server marks `unlike`. distances: those of `distances_of`"""
    reference, calibration = bundle.manifest.ood_reference, bundle.manifest.calibration
    marked = reference.is_beyond(tasks.query.inputs)
    if distances is None or not calibration.has_distances:
        return marked
    far_support = torch.tensor([reference.has_far_inputs(inputs) for inputs in tasks.support.inputs])
    return marked | (distances > calibration.largest_distance(shots)) | far_support.to(marked.device).unsqueeze(-1)


def calibration_error(logits: Tensor, targets: Tensor, temperature: float) -> float:
    """The mean distance between a probability and the share of times it was right, in BINS bins (ECE, Guo et al.)."""
    likely, predicted = (logits.double() / temperature).softmax(-1).flatten(0, -2).max(-1)
    right = (predicted == targets.flatten(0, -2).argmax(-1)).double()
    bins = (likely * BINS).long().clamp(max=BINS - 1)
    gap = torch.zeros(BINS, dtype=torch.float64, device=logits.device).index_add_(0, bins, right - likely)
    return (gap.abs().sum() / len(right)).item()
