"""How far a bundle's answers can be trusted, from validation tasks (`app.learn.calibration`), and whether that holds."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import ceil, exp

import torch
from torch import Tensor

from app.bundles import Bundle
from app.families.family import Family, Split
from app.learn.calibration import FALSE_ALARM_RATE, Calibration
from app.learn.losses import KINDS
from app.learn.outer import Tasks
from app.learn.shapes import Bool, Float
from app.training.evaluation import Setting, draw
from app.training.predictor import answered, offline, without_a_class

SEED = 20190907
"""Of these validation tasks."""
LEVELS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.925, 0.95, 0.975, 0.99)
EXAMPLES = (1, 2, 3, 5, 7, 10, 15, 20)
"""Support examples of regression tasks."""
TASKS, QUERIES = 4_000, 20
"""Regression tasks of each size. Errors of one task are alike, so that many tasks count and not many queries."""
SHOTS = (1, 2, 3, 5, 10)
"""Support examples of each class of classification tasks."""
CLASS_TASKS, CLASS_QUERIES = 200, 5
SHOWN_LEVEL = 0.9
"""Of the intervals whose coverage is evaluated."""
BINS = 15
SHARPEST, FLATTEST = -4.0, 4.0
"""Temperatures are looked for from e to the power of the one to e to the power of the other."""


def with_calibration(bundle: Bundle, family: Family) -> Bundle:
    """The same bundle with its trust; one for decisions has none. family: where its tasks come from."""
    if KINDS[bundle.manifest.kind].weighted:
        return bundle
    find = _of_classes if KINDS[bundle.manifest.kind].one_hot else _of_numbers
    return replace(bundle, manifest=replace(bundle.manifest, calibration=find(bundle, family)))


def _tasks(
    bundle: Bundle, family: Family, setting: Setting, tasks: int, queries: int, split: Split = "validation"
) -> Tasks:
    device = next(iter(bundle.meta.values())).device
    return draw(family, setting, device, tasks=tasks, queries=queries, split=split, seed=SEED)


def _of_numbers(bundle: Bundle, family: Family) -> Calibration:
    widths = []
    for examples in EXAMPLES:
        tasks = _tasks(bundle, family, Setting(examples), TASKS, QUERIES)
        answers = answered(offline(bundle), tasks, [bundle.manifest.inner_loop.steps])
        errors = (answers.outputs[0] - tasks.query.targets).abs()
        # what diverged is answered 422 and has no interval
        kept = errors[answers.usable[0]]
        if not len(kept):
            return Calibration()
        widths.append(tuple(tuple(upper(error, level) for level in LEVELS) for error in kept.unbind(-1)))
    return Calibration(TASKS, SEED, EXAMPLES, LEVELS, tuple(widths))


def upper(errors: Float[Tensor, "task query"], level: float) -> float:
    """What an error of a fresh task exceeds with a probability of 1 - level at most.

    Conformal prediction where queries come in tasks: a fresh task is as probable to be anywhere in the order as each
    of these. Lee, Barber and Willett 2023, "Distribution-free inference with hierarchical data"
    """
    tasks = len(errors)
    rank = ceil(level * (tasks + 1) / tasks * errors.numel())
    return errors.flatten().sort().values[min(rank, errors.numel()) - 1].item()


def _of_classes(bundle: Bundle, family: Family) -> Calibration:
    ways = family.targets
    known: list[tuple[Tensor, Tensor]] = []
    familiar = []
    for shots in SHOTS:
        logits, targets, absent = unfamiliar_answers(bundle, family, Setting(shots, ways))
        known.append((logits[~absent], targets[~absent]))
        familiar.append(lower(logits[~absent].amax(-1)))
    return Calibration(CLASS_TASKS, SEED, SHOTS, temperature=temperature(known), familiarity=tuple(familiar))


def unfamiliar_answers(
    bundle: Bundle, family: Family, setting: Setting, split: Split = "validation"
) -> tuple[Float[Tensor, "task query way"], Float[Tensor, "task query way"], Bool[Tensor, "task query"]]:
    """Logits and targets of tasks with one class more than the support set has; which queries are of it."""
    assert setting.ways is not None
    wider = _tasks(bundle, family, setting._replace(ways=setting.ways + 1), CLASS_TASKS, CLASS_QUERIES, split)
    tasks, absent = without_a_class(wider)
    answers = answered(offline(bundle), tasks, [bundle.manifest.inner_loop.steps])
    return answers.outputs[0], tasks.query.targets, absent


def lower(scores: Tensor) -> float:
    """What all but FALSE_ALARM_RATE of the scores reach."""
    return scores.flatten().double().quantile(FALSE_ALARM_RATE).item()


def temperature(answers: Sequence[tuple[Float[Tensor, "query way"], Float[Tensor, "query way"]]]) -> float:
    """The temperature under which the true classes are the most probable, all numbers of shots counting alike.

    answers: logits and one-hot targets for each. Guo et al. 2017, "On OODReference of Modern Neural Networks", by
    halving the interval that holds it: the loss has one minimum in the temperature.
    """

    def loss(log: float) -> float:
        return sum(loss_at(exp(log), *each) for each in answers)

    low, high = SHARPEST, FLATTEST
    while high - low > 1e-3:
        third = (high - low) / 3
        if loss(low + third) < loss(high - third):
            high -= third
        else:
            low += third
    return exp((low + high) / 2)


def loss_at(temperature: float, logits: Float[Tensor, "*task query way"], targets: Tensor) -> float:
    """Minus the mean log-probability of the true classes, in nats."""
    # a class that does not exist has a probability of 0, and minus infinity times 0 would be NaN
    return -(targets * (logits.double() / temperature).log_softmax(-1).clamp(min=-1e30)).sum(-1).mean().item()


def measured(
    bundle: Bundle, family: Family, setting: Setting, tasks: Tasks, outputs: Tensor, usable: Tensor
) -> Mapping[str, float]:
    """What holds of a bundle's trust on tasks that it was not made from; nothing where the bundle has none.

    outputs, usable: the answers after the default steps, as in `Scored`

    For regression how many true values the intervals cover; for classes how good the probabilities are, how many
    queries of known classes are called unlike all, and how many of another class.
    """
    calibration = bundle.manifest.calibration
    if calibration.has_intervals:
        half = outputs.new_tensor(calibration.interval(SHOWN_LEVEL, setting.shots))
        errors = (outputs - tasks.query.targets).abs()[usable]
        return {"coverage_90": (errors <= half).double().mean().item(), "half_width_90": half.mean().item()}
    if calibration.has_familiarity:
        least = calibration.familiarity_threshold(setting.shots)
        logits, _, absent = unfamiliar_answers(bundle, family, setting, split="test")
        return {
            "nll": loss_at(calibration.temperature, outputs, tasks.query.targets),
            "ece": calibration_error(outputs, tasks.query.targets, calibration.temperature),
            "false_alarms": (outputs.amax(-1) < least).double().mean().item(),
            "strangers_found": (logits[absent].amax(-1) < least).double().mean().item(),
        }
    return {}


def calibration_error(logits: Tensor, targets: Tensor, temperature: float) -> float:
    """How far a probability is from the share of times it was right, on average, in BINS bins (ECE, Guo et al.)."""
    likely, chosen = (logits.double() / temperature).softmax(-1).flatten(0, -2).max(-1)
    right = (chosen == targets.flatten(0, -2).argmax(-1)).double()
    bins = (likely * BINS).long().clamp(max=BINS - 1)
    gap = torch.zeros(BINS, dtype=torch.float64, device=logits.device).index_add_(0, bins, right - likely)
    return (gap.abs().sum() / len(right)).item()
