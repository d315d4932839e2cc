"""A bundle on its held-out tasks, answered in this process or by a server."""

from collections.abc import Mapping, Sequence

from app.bundles import Bundle
from app.families.family import Family, HasCaveat
from app.training.calibration import measured
from app.training.evaluation import IMAGE, SEED, TASKS, Curve, Setting, curve, draw, scored, seconds_a_task
from app.training.predictor import Predictor
from app.training.tables import Evaluation

SHOWN_STEPS = 10
"""An evaluation goes from 0 to so many steps, if the bundle may take as many, and to its default. Of images it is only
before and after the default, unless one asks for more: four convolutions take a second a task for each ten steps."""


OFFLINE = "offline"
"""The way of what is answered in this process, whose logits are seen and so what holds of its calibration."""


def steps_of(bundle: Bundle, most: int | None = None) -> list[int]:
    """The numbers of steps that a bundle is evaluated after: its default is one of them, if that is above all."""
    bounds = bundle.manifest.inner_loop
    if most is None:
        most = SHOWN_STEPS if bundle.manifest.schema.features < IMAGE else 0
    return sorted({*range(min(most, bounds.max_steps) + 1), bounds.steps})


def evaluated(
    bundle: Bundle,
    family: Family,
    predictor: Predictor,
    settings: Sequence[Setting],
    steps: Sequence[int],
    *,
    machine: str = "",
    way: str = OFFLINE,
    tasks: int = TASKS,
    seed: int = SEED,
) -> Evaluation:
    """Score a bundle in each setting.

    family: where its tasks come from; predictor: what answers for it; steps: ascending, from 0 on
    machine, way: what it is computed on, and how it is asked; they are noted
    """
    device = next(iter(bundle.meta.values())).device
    default = bundle.manifest.inner_loop.steps
    keep = steps.index(default) if default in steps else -1
    curves: dict[Setting, Curve] = {}
    calibration: dict[Setting, Mapping[str, float]] = {}
    seconds: dict[Setting, float] = {}
    for setting in settings:
        held_out = draw(family, setting, device, tasks=tasks, seed=seed)
        found = scored(predictor, bundle.manifest.kind, held_out, steps, keep)
        curves[setting] = curve(found)
        seconds[setting] = seconds_a_task(predictor, held_out, default)
        if way == OFFLINE and default in steps:
            calibration[setting] = measured(bundle, family, setting, held_out, found.outputs, found.usable[keep])
    caveat = family.caveat if isinstance(family, HasCaveat) else ""
    return Evaluation(
        bundle.manifest.kind, steps, curves, calibration, seconds, machine, way, tasks, seed, caveat=caveat
    )
