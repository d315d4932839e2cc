"""The evaluation of a bundle on held-out tasks, predicted in this process or by a server."""

from collections.abc import Mapping, Sequence

from app.bundles.bundle import Bundle
from app.errors import TrainingError, expectation
from app.families.family import Family, HasCaveat
from app.training.calibration import measure_calibration
from app.training.evaluation import Curve, curve, score_tasks, seconds_per_task
from app.training.evaluation_tables import Evaluation
from app.training.family_and_network import device_of
from app.training.predictor import Predictor
from app.training.similarity_calibration import measure_similarity
from app.training.tasks import IMAGE_FEATURES, SEED, TASKS, Setting, draw_held_out, limit_draws

SHOWN_STEPS = 10
"""An evaluation covers 0 to this many steps, as far as the bundle allows, and its default. On images it covers only 0
and the default unless told otherwise: four convolutions take a second a task for every ten steps."""
OFFLINE = "offline"
"""The way of predictions made in this process. Their logits are known, so the calibration can be measured."""


def steps_to_evaluate(bundle: Bundle, max_steps: int | None = None) -> list[int]:
    """The numbers of steps that a bundle is evaluated after, which include its default.

    max_steps: the largest besides the default; SHOWN_STEPS or 0, within the bundle's bound, if None

    Raises TrainingError where the bundle does not allow so many.
    """
    bounds = bundle.manifest.inner_loop
    if max_steps is None:
        max_steps = min(SHOWN_STEPS, bounds.max_steps) if bundle.manifest.schema.features < IMAGE_FEATURES else 0
    if max_steps > bounds.max_steps:
        raise TrainingError(expectation("--steps", f"0 to {bounds.max_steps} for {bundle.name}", max_steps))
    return sorted({*range(max_steps + 1), bounds.steps})


def evaluate_bundle(
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

    family: where its tasks come from; predictor: what predicts for it
    steps: ascending, from 0 on
    machine, way: what ran the predictor and how, to be noted
    """
    default, tasks = bundle.manifest.inner_loop.steps, limit_draws(family, tasks, "test")
    keep = steps.index(default) if default in steps else -1
    curves: dict[Setting, Curve] = {}
    calibration: dict[Setting, Mapping[str, float]] = {}
    seconds: dict[Setting, float] = {}
    for setting in settings:
        held_out = draw_held_out(family, setting, device_of(bundle), tasks=tasks, seed=seed)
        scores = score_tasks(predictor, bundle.manifest.kind, held_out, steps, keep)
        curves[setting] = curve(scores)
        seconds[setting] = seconds_per_task(predictor, held_out, default)
        if way == OFFLINE and default in steps:
            calibration[setting] = (
                measure_similarity(bundle, family, setting, scores.outputs, held_out.query.targets)
                if bundle.manifest.calibration.has_similarity
                else measure_calibration(bundle, family, setting, held_out, scores.outputs, scores.usable[keep])
            )
    caveat = family.caveat if isinstance(family, HasCaveat) else ""
    return Evaluation(
        bundle.manifest.kind, steps, curves, calibration, seconds, machine, way, tasks, seed, caveat=caveat
    )
