"""What a request may ask of the inner loop: up to how many steps and which rate adapting still helps."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import mean

from app.bundles.bundle import Bundle
from app.bundles.manifest import Bounds
from app.families.family import Family
from app.training.evaluation import Curve, curve, score_tasks
from app.training.family_and_network import device_of
from app.training.prediction_kinds import KINDS
from app.training.predictor import offline
from app.training.tasks import IMAGE_FEATURES, Setting, draw_held_out, limit_draws

STEPS = (*range(21), 25, 30, 40, 50, 75, 100)
"""The bound on the steps of a request is one of these, or the default."""
RATE_FACTOR = 1.25
"""The bound on the rate is found by raising the rate by this factor."""

SEED = 20171211
"""Of the validation tasks that bounds are found on."""
TASKS, IMAGE_TASKS = 600, 20
"""In each setting. A task of images takes a thousand times as long."""

Better = Callable[[float, float], bool]
"""(one score, another) -> whether the first is better."""


def with_bounds(bundle: Bundle, family: Family, settings: Sequence[Setting]) -> Bundle:
    """The same bundle with its initial loss and its bounds on steps and rate, from validation tasks."""
    defaults, kind = bundle.manifest.inner_loop, bundle.manifest.kind
    tasks = TASKS if family.features < IMAGE_FEATURES else IMAGE_TASKS
    tasks = limit_draws(family, tasks, "validation")
    held_out = [
        draw_held_out(family, setting, device_of(bundle), tasks=tasks, split="validation", seed=SEED)
        for setting in settings
    ]
    initial = mean(score_tasks(offline(bundle), kind, each, [0]).losses.mean().item() for each in held_out)
    bundle = replace(bundle, manifest=replace(bundle.manifest, initial_loss=initial))

    def curves(rate: float, steps: Sequence[int]) -> list[Curve]:
        return [curve(score_tasks(offline(bundle, rate), kind, each, steps)) for each in held_out]

    if bundle.algorithm.closed_form:
        return bundle
    better, default, rate = KINDS[kind].score.better, defaults.steps, defaults.learning_rate
    steps = sorted({*STEPS, default})
    max_steps = find_max_steps(curves(rate, steps), steps, default, better)
    max_rate = rate
    if not bundle.algorithm.learned_rate:
        max_rate = find_max_rate(rate, lambda rate: curves(rate, [0, default]), better)
    bounds = Bounds(default, max_steps, rate, max_rate)
    return replace(bundle, manifest=replace(bundle.manifest, inner_loop=bounds))


def find_max_steps(curves: Sequence[Curve], steps: Sequence[int], default: int, better: Better) -> int:
    """The largest of the numbers of steps that scores no worse than the default, in every setting.

    curves: with a score for each of `steps`, which include the default
    """
    usual = steps.index(default)
    return max(
        count
        for index, count in enumerate(steps)
        if not any(better(each.mean[usual], each.mean[index]) for each in curves)
    )


def find_max_rate(default: float, curves: Callable[[float], Sequence[Curve]], better: Better) -> float:
    """The largest rate up to which adapting still helps in every setting, found by raising it by RATE_FACTOR.

    curves: the scores at a rate. Adapting helps where the last score is better than the first.
    """
    rate = default
    while rate < 1000 * default and all(better(each.mean[-1], each.mean[0]) for each in curves(RATE_FACTOR * rate)):
        rate *= RATE_FACTOR
    return float(f"{rate:.2g}") if rate > default else default
