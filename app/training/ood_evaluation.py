"""What `unlike` marks inside and outside of training's range, and how well intervals hold inside."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from app.bundles.bundle import Bundle
from app.families.family import Family
from app.learn.outer_directions import Tasks
from app.learn.query_ood import familiarity_threshold
from app.learn.shape_annotations import Bool, Float
from app.learn.support_ood import OODReference
from app.training.calibration import SHOWN_LEVEL, are_marked, distances_of, half_widths_of
from app.training.family_and_network import device_of
from app.training.observation_ood_reference import draw_observations
from app.training.predictor import offline, predict_in_portions
from app.training.tasks import Setting, draw_held_out, limit_draws

TASKS = 300
SEED = 20220607
"""Of tasks that nothing else is measured or made with."""
CLASS_QUERIES = 5
"""Images of each class of a task."""
NEAREST, FURTHEST = 2.0, 200.0
"""Numbers outside are so many times as far from the middle of their range in training as its ends are."""
FURTHEST_SHARE = 1 / 8
"""Of the queries inside: the part that is furthest from the support set, whose intervals are measured alone too."""
OBSERVATIONS = "observations"
"""The row of a policy, whose observations are compared whatever it has adapted to."""

Measures = Mapping[str, float]


def measure_unlike(
    bundle: Bundle, family: Family, settings: Sequence[Setting], tasks: int = TASKS
) -> dict[str, Any] | None:
    """The part `unlike` of a bundle's evaluation; None where the bundle has nothing to compare queries with.

    tasks: fresh tasks of the test split in each setting

    By setting: the share of the queries of these tasks that are marked (`false_alarms`), and that of queries outside of
    training's range: `outside_marked` for numbers, `inverted_marked` and `empty_marked` for images. Where there are
    intervals, those of the queries that are not marked (`coverage_90`, `interval_score_90`, and `far_coverage_90` for
    those that are furthest from the support set), and the share of the queries outside that have one
    (`outside_intervals`).
    """
    manifest, tasks = bundle.manifest, limit_draws(family, tasks, "test")
    by_setting: Mapping[str, Measures] = {}
    if manifest.image_reference is not None and manifest.kind == "classification":
        by_setting = {str(each): _images(bundle, family, each, tasks) for each in settings}
    elif manifest.ood_reference.tasks and manifest.kind == "decision":
        by_setting = {OBSERVATIONS: _observations(bundle, family, tasks)}
    elif manifest.ood_reference.tasks:
        by_setting = {str(each): _numbers(bundle, family, each, tasks) for each in settings}
    if not by_setting:
        return None
    return {"tasks": tasks, "seed": SEED, "split": "test", "by_setting": by_setting}


def _numbers(bundle: Bundle, family: Family, setting: Setting, count: int) -> Measures:
    """Of queries that are rows of numbers, after adapting with the bundle's defaults."""
    manifest, tasks = bundle.manifest, draw_held_out(family, setting, device_of(bundle), tasks=count, seed=SEED)
    distances = distances_of(bundle, tasks)
    marked = are_marked(bundle, setting.shots, tasks, distances)
    outside = manifest.ood_reference.is_beyond(move_outside(tasks.query.inputs, manifest.ood_reference))
    false_alarms, outside_marked = {"false_alarms": _share(marked)}, {"outside_marked": _share(outside)}
    if not manifest.calibration.has_intervals:
        return false_alarms | outside_marked
    answers = predict_in_portions(offline(bundle), tasks, [manifest.inner_loop.steps])
    inside = answers.usable[0].unsqueeze(-1) & ~marked
    errors = (answers.outputs[0] - tasks.query.targets).abs()
    half_widths = half_widths_of(bundle, setting.shots, tasks, distances)
    intervals = measure_intervals(half_widths[inside], errors[inside])
    far_intervals: Measures = {}
    if distances is not None:
        far = inside & (distances >= distances[inside].quantile(1 - FURTHEST_SHARE))
        far_intervals = {"far_coverage_90": measure_intervals(half_widths[far], errors[far])["coverage_90"]}
    score = {"interval_score_90": intervals["interval_score_90"]}
    coverage = {"coverage_90": intervals["coverage_90"], **far_intervals}
    return {**false_alarms, **coverage, **score, **outside_marked, "outside_intervals": _share(~outside)}


def measure_intervals(half_widths: Float[Tensor, "query target"], errors: Float[Tensor, "query target"]) -> Measures:
    """The coverage of 90 % intervals, and their mean interval score. errors: distances of true values from predictions.

    The score of an interval is its width, and 2 / (1 - level) times the distance of a true value outside of it.
    Gneiting and Raftery 2007, "Strictly proper scoring rules, prediction, and estimation", section 6.2
    """
    scores = 2 * half_widths + 2 / (1 - SHOWN_LEVEL) * (errors - half_widths).clamp(min=0)
    return {"coverage_90": _share(errors <= half_widths), "interval_score_90": scores.double().mean().item()}


def _observations(bundle: Bundle, family: Family, count: int) -> Measures:
    reference, rows = bundle.manifest.ood_reference, draw_observations(bundle, family, count, "test", SEED)
    outside = move_outside(rows, reference)
    return {
        "false_alarms": _share(reference.is_beyond(rows)),
        "outside_marked": _share(reference.is_beyond(outside)),
    }


def move_outside(inputs: Float[Tensor, "*query feature"], reference: OODReference) -> Float[Tensor, "*query feature"]:
    """Queries with one number, at random, beyond twice its range in training, on either side.

    Its distance from the middle of the range is log-uniform between NEAREST and FURTHEST times that of the ends. A
    number that did not vary in training counts as one with ends at a distance of 1.
    """
    generator = torch.Generator(inputs.device).manual_seed(SEED)
    low, high = inputs.new_tensor(reference.input_range).unbind(-1)
    half = torch.where(high > low, (high - low) / 2, 1.0)
    chosen, distance, side = torch.rand((3, *inputs.shape[:-1]), generator=generator, device=inputs.device)
    chosen = (chosen * len(low)).long().clamp(max=len(low) - 1)
    times = (math.log(NEAREST) + distance * math.log(FURTHEST / NEAREST)).exp() * torch.where(side < 0.5, -1, 1)
    moved = ((low + high) / 2)[chosen] + times * half[chosen]
    return inputs.scatter(-1, chosen.unsqueeze(-1), moved.unsqueeze(-1))


def _images(bundle: Bundle, family: Family, setting: Setting, count: int) -> Measures:
    """Of drawings of the classes of the support set, of the same ones inverted, and of an empty image."""
    tasks = draw_held_out(family, setting, device_of(bundle), tasks=count, queries=CLASS_QUERIES, seed=SEED)
    drawings = tasks.query.inputs
    images = torch.cat([drawings, 1 - drawings, torch.zeros_like(drawings[:, :1])], 1)
    marked = _marked_images(bundle, Tasks(tasks.support, tasks.query._replace(inputs=images)), setting.shots)
    each = drawings.shape[1]
    return {
        "false_alarms": _share(marked[:, :each]),
        "inverted_marked": _share(marked[:, each : 2 * each]),
        "empty_marked": _share(marked[:, 2 * each :]),
    }


def _marked_images(bundle: Bundle, tasks: Tasks, shots: int) -> Bool[Tensor, "task query"]:
    """Which queries are marked: those unlike the images of training, or unlike the classes of the support set."""
    manifest = bundle.manifest
    assert manifest.image_reference is not None
    flat = tasks.query.inputs.flatten(0, 1)
    marked = manifest.image_reference.is_unlike(flat, manifest.schema.shape).reshape(tasks.query.inputs.shape[:2])
    if not manifest.calibration.has_familiarity:
        return marked
    logits = predict_in_portions(offline(bundle), tasks, [manifest.inner_loop.steps]).outputs[0]
    return marked | (logits.amax(-1) < familiarity_threshold(manifest.calibration, shots))


def _share(marked: Tensor) -> float:
    return marked.double().mean().item()
