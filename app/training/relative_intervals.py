"""Intervals of a bundle whose algorithm says how sure it is: widths in standard deviations of each prediction.

Training measures these widths on tasks that parts of the model were not fitted to, so that all training tasks count.
"""

from dataclasses import replace

import torch
from torch import Tensor

from app.bundles.bundle import Bundle
from app.families.family import Family
from app.learn.calibration_table import FALSE_ALARM_RATE, Calibration
from app.learn.inner import Schedule, batched, final_states, repeat_state
from app.learn.outer_directions import Tasks
from app.learn.query_ood import nearest_distances
from app.learn.shape_annotations import Float
from app.training.family_and_network import device_of
from app.training.predictor import portions
from app.training.tasks import Setting, draw_held_out, limit_draws

TASKS, QUERIES = 600, 20
"""Training tasks for the distances, and queries of each."""
SEED = 20250415
ROUNDING = 1 + 1e-6
"""A little more, because the server may round the same distance otherwise."""


@torch.no_grad()
def std_of(bundle: Bundle, tasks: Tasks) -> Float[Tensor, "task query target"]:
    """The standard deviation of each prediction, after the default steps; without support rows the initialization's."""
    inner, defaults = batched(bundle.inner_loop()), bundle.manifest.inner_loop
    variance = inner.variance
    assert variance is not None, "relative intervals are of an algorithm that gives the variance"
    parts = []
    for portion in portions(tasks):
        count = len(portion.support.mask)
        rates = torch.full((count,), defaults.learning_rate, device=portion.support.mask.device)
        schedule = Schedule(rates, torch.full_like(rates, defaults.steps, dtype=torch.int64), defaults.steps)
        if portion.support.mask.shape[1]:
            states = final_states(inner, bundle.meta, portion.support, schedule)
        else:
            states = repeat_state(bundle.inner_loop().init(bundle.meta), count)
        parts.append(variance(bundle.meta, states, portion.query.inputs).sqrt())
    return torch.cat(parts)


def with_distance_limits(bundle: Bundle, family: Family) -> Calibration:
    """The calibration of the bundle with the distances beyond which a query is unlike the support set.

    They do not depend on what the model has learned, so they are those of training tasks.
    """
    calibration, scale = bundle.manifest.calibration, bundle.manifest.ood_reference.input_scale
    if not scale:
        return replace(calibration, distances=None, stretch=None)
    knots = tuple(_ends(bundle, family, scale, shots) if shots else () for shots in calibration.shots)
    targets = bundle.manifest.schema.targets
    return replace(calibration, distances=knots, stretch=tuple(((1.0,) * len(each),) * targets for each in knots))


def _ends(bundle: Bundle, family: Family, scale: tuple[float, ...], shots: int) -> tuple[float, float]:
    """The smallest distance from the nearest support example, and that which FALSE_ALARM_RATE of queries exceed."""
    tasks = draw_held_out(
        family,
        Setting(shots),
        device_of(bundle),
        tasks=limit_draws(family, TASKS, "training"),
        queries=QUERIES,
        split="training",
        seed=SEED,
    )
    distances = nearest_distances(tasks.query.inputs, tasks.support.inputs, scale).flatten()
    return distances.min().item(), distances.quantile(1 - FALSE_ALARM_RATE).item() * ROUNDING
