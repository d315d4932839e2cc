"""Intervals cover the share of fresh tasks that they promise, probabilities are calibrated, strangers are found."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from app.bundles.folder import load
from app.learn.calibration_table import FALSE_ALARM_RATE
from app.training.calibration import (
    calibration_error,
    distances_of,
    error_quantile,
    fit_temperature,
    mean_surprise,
    measure_calibration,
)
from app.training.evaluation import score_tasks
from app.training.family_and_network import family_of
from app.training.predictor import offline, predict_initially
from app.training.publish import with_calibration
from app.training.recipes.recipe import Recipe
from app.training.tasks import SEED, Setting, draw_held_out
from app.training.training_run import Run

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ["sinusoid", "linear"])
def test_intervals_cover_what_they_say_of_fresh_queries_of_fresh_tasks(models_dir: Path, name: str) -> None:
    """At the sizes that are known, and at those between and above."""
    bundle = load(models_dir / name)
    bundle = with_calibration(bundle, family_of(bundle))
    steps, calibration = bundle.manifest.inner_loop.steps, bundle.manifest.calibration
    assert calibration.fits(bundle.manifest.schema.targets)
    assert calibration.shots[:2] == (0, 1)
    fresh = draw_held_out(family_of(bundle), Setting(1), CPU, tasks=3000, queries=20, seed=SEED + 5)
    errors = (predict_initially(bundle, fresh) - fresh.query.targets).abs()
    for level in (0.8, 0.88, 0.9, 0.95):
        covered = (errors <= errors.new_tensor(calibration.widths_for(level, 0))).double().mean().item()
        assert covered == pytest.approx(level, abs=0.02)
    for examples in (1, 4, 5, 6, 8, 10, 12):
        tasks = draw_held_out(family_of(bundle), Setting(examples), CPU, tasks=3000, queries=20, seed=SEED + 5)
        scores = score_tasks(offline(bundle), "regression", tasks, [steps])
        usable = scores.usable[-1]
        errors = (scores.outputs - tasks.query.targets).abs()[usable]
        distances = distances_of(bundle, tasks)
        assert distances is not None
        distances = distances[usable]
        stretch = calibration.stretch_for(examples, distances)
        for level in (0.8, 0.88, 0.9, 0.95):
            inside = errors <= errors.new_tensor(calibration.widths_for(level, examples)) * stretch
            share = inside.double().mean().item()
            print(f"{name}, {examples} examples: {level:.0%} intervals cover {share:.1%}")  # noqa: T201
            assert share == pytest.approx(level, abs=0.02)
            far = distances > distances.flatten().double().quantile(0.875)
            assert inside[far].double().mean().item() >= level - 0.07
        beyond = distances > calibration.largest_distance(examples)
        assert beyond.double().mean().item() == pytest.approx(FALSE_ALARM_RATE, abs=0.01)


def test_the_error_quantile_is_exceeded_as_rarely_as_it_should_where_errors_of_a_task_are_alike() -> None:
    generator = torch.Generator().manual_seed(0)

    def errors(tasks: int) -> torch.Tensor:
        scale = torch.rand(tasks, 1, generator=generator) * 5
        return scale * torch.randn(tasks, 10, generator=generator).abs()

    covered = [(errors(200) <= error_quantile(errors(50), 0.9)).double().mean() for _ in range(300)]
    assert 0.9 <= torch.stack(covered).mean().item() <= 0.92


def test_the_temperature_is_the_one_that_the_logits_were_sharpened_by() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(20_000, 4, generator=generator, dtype=torch.float64)
    drawn = logits.softmax(-1).multinomial(1, generator=generator)[:, 0]
    targets = torch.nn.functional.one_hot(drawn, 4).double()
    fitted = fit_temperature([(3 * logits, targets)])
    assert fitted == pytest.approx(3, rel=0.05)
    assert calibration_error(3 * logits, targets, fitted) < 0.02 < calibration_error(3 * logits, targets, 1.0)
    absent = torch.full((len(logits), 1), torch.finfo(torch.float32).min)
    wider = torch.cat([3 * logits, absent], 1), torch.cat([targets, torch.zeros_like(absent)], 1)
    assert mean_surprise(2.0, *wider) == pytest.approx(mean_surprise(2.0, 3 * logits, targets))


def test_unfamiliar_classes_are_found_with_few_false_alarms() -> None:
    recipe = Recipe("blobs", algorithm="protonet", shots=(1, 5), family_options={"spread": 8.0}, outer_rate=1e-2)
    run = Run(recipe, CPU, compiled=False)
    run.advance(200)
    bundle = with_calibration(run.as_bundle("blobs"), run.family)
    assert bundle.manifest.calibration.fits(5)
    for setting in (Setting(1, 5), Setting(5, 5), Setting(3, 8)):
        tasks = draw_held_out(run.family, setting, CPU, tasks=300)
        scores = score_tasks(offline(bundle), "classification", tasks, [0, 1])
        measures = measure_calibration(bundle, run.family, setting, tasks, scores.outputs, scores.usable[-1])
        print(setting, {name: round(value, 3) for name, value in measures.items()})  # noqa: T201
        assert measures["false_alarms"] <= 0.04
        assert measures["unfamiliar_found"] > 0.3
        assert measures["ece"] < 0.05


def test_a_bundle_without_calibration_measures_none(models_dir: Path) -> None:
    bundle = load(models_dir / "linear")
    none = replace(bundle, manifest=replace(bundle.manifest, calibration=type(bundle.manifest.calibration)()))
    tasks = draw_held_out(family_of(bundle), Setting(5), CPU, tasks=3)
    scores = score_tasks(offline(none), "regression", tasks, [0])
    assert measure_calibration(none, family_of(none), Setting(5), tasks, scores.outputs, scores.usable[0]) == {}
