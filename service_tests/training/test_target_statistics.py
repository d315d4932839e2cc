"""Standardised targets in training: learned from training tasks, written into the bundle, and gone for who uses it."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from safetensors.torch import save_file
from typer.testing import CliRunner

from app import plugins
from app.bundles.folder import load
from app.cli.main import cli
from app.errors import TrainingError
from app.families.family import Samples
from app.families.linear import Linear
from app.learn.target_scale import TargetScale, TargetSpec
from app.training.overrides import Overrides, choose_recipe
from app.training.predictor import offline
from app.training.publish import write_bundle
from app.training.recipes.recipe import Recipe
from app.training.target_statistics import learn_targets
from app.training.tasks import Setting, draw_held_out
from app.training.training_run import Run
from service_tests.bundles import write_bundle as write_untrained
from service_tests.families.ovens import Ovens

CPU = torch.device("cpu")
RECIPE = Recipe(
    "ovens", scale_targets=True, inner_rate=0.3, adapt_steps=20, tasks=10, evaluation_shots=(5,), validate_every=None
)


class ByHand(Ovens):
    """Ovens whose targets are standardised by hand."""

    target_names, target_units = ("z",), ("",)

    def sample(self, *words: Any, **options: Any) -> Samples:
        samples, scale = super().sample(*words, **options), scale_of_ovens()
        return samples._replace(targets=scale.standardise(samples.targets))


def scale_of_ovens() -> TargetScale:
    spec = learn_targets(Ovens(), RECIPE.shots[1] + RECIPE.queries, scale=True)
    assert spec is not None
    assert spec.scale is not None
    return spec.scale


@pytest.fixture(scope="module", autouse=True)
def installed() -> Iterator[None]:
    """`ovens` and `by_hand` are families of an installed package."""
    points = [SimpleNamespace(name=name, load=lambda it=it: it) for name, it in (("ovens", Ovens), ("by_hand", ByHand))]

    def entry_points(group: str) -> list[SimpleNamespace]:
        return points if group == "innerloop.families" else []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plugins, "entry_points", entry_points)
        yield


def test_the_scale_is_that_of_training_tasks() -> None:
    spec = learn_targets(Ovens(), 20, scale=True)
    assert spec is not None
    assert (spec.names, spec.units) == (("temperature",), ("K",))
    assert spec.scale is not None
    assert spec.scale.mean == pytest.approx((600.0,), abs=15)
    assert spec.scale.std == pytest.approx((141.0,), rel=0.05)  # sqrt(2 / 3) of that of U[300, 900]
    assert 300 <= spec.low[0] < 310
    assert 890 < spec.high[0] <= 900
    splits: list[str] = []

    class Watched(Ovens):
        def sample(self, *words: Any, **options: Any) -> Samples:
            splits.append(options.get("split", "training"))
            return super().sample(*words, **options)

    assert learn_targets(Watched(), 20, scale=True) == spec
    assert splits == ["training"]


def test_without_a_scale_only_what_the_family_describes() -> None:
    assert learn_targets(Linear(), 20, scale=False) is None
    spec, scaled = (learn_targets(Ovens(), 20, scale=scale) for scale in (False, True))
    assert scaled is not None
    assert spec == replace(scaled, scale=None)
    unnamed = learn_targets(Linear(targets=2), 20, scale=True)
    assert unnamed is not None
    assert (unnamed.names, unnamed.units, len(unnamed.low)) == ((), (), 2)


def test_what_cannot_be_scaled_or_does_not_fit_is_refused() -> None:
    with pytest.raises(TrainingError, match="scale_targets: expected false, because the family is for classification"):
        Run(Recipe("blobs", algorithm="protonet", scale_targets=True), CPU, compiled=False)
    with pytest.raises(ValueError, match="scale_targets: expected true or false, got 1"):
        replace(RECIPE, scale_targets=1)  # type: ignore[arg-type]
    wrong = type("Wrong", (Ovens,), {"target_names": ("a", "b")})
    with pytest.raises(TrainingError, match=r"targets.names: expected one for each target \(1\), or none, got"):
        learn_targets(wrong(), 20, scale=False)


def test_a_run_equals_one_on_targets_that_are_standardised_by_hand() -> None:
    scaled, by_hand = (
        Run(replace(RECIPE, family=name, scale_targets=name == "ovens"), CPU, compiled=False)
        for name in ("ovens", "by_hand")
    )
    assert scaled.advance(5) == by_hand.advance(5)
    for name, value in by_hand.meta.items():
        assert torch.equal(scaled.meta[name], value)


def test_training_starts_only_from_a_bundle_with_targets_alike(tmp_path: Path) -> None:
    write_untrained(tmp_path / "plain", "ovens", "maml", Ovens.network)
    start = replace(RECIPE, start=str(tmp_path / "plain"))
    with pytest.raises(TrainingError, match="start: expected a bundle with standardised targets, as scale_targets"):
        Run(start, CPU, compiled=False)
    Run(replace(start, scale_targets=False), CPU, compiled=False)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, installed: None) -> Path:
    """A folder with `ovens`, trained with a scale, and `by_hand`, trained on targets that are standardised by hand."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("ovens", "by_hand"):
        run = Run(replace(RECIPE, family=name, scale_targets=name == "ovens"), CPU, compiled=False)
        run.advance(300)
        write_bundle(run, folder / name, f"innerloop train {name}", "a machine")
    return folder


def test_the_two_bundles_are_the_same_but_for_the_units(models: Path) -> None:
    ovens, by_hand = (load(models / name).manifest for name in ("ovens", "by_hand"))
    (std,) = scale_of_ovens().std
    assert ovens.weights_sha256 == by_hand.weights_sha256
    assert ovens.target_scale == scale_of_ovens()
    assert ovens.inner_loop == by_hand.inner_loop
    assert ovens.initial_loss == pytest.approx(by_hand.initial_loss * std**2, rel=1e-3)
    for one, two in zip(ovens.calibration.half_widths, by_hand.calibration.half_widths, strict=True):
        np.testing.assert_allclose(one, np.array(two) * std, rtol=1e-2)
    limits = np.array(by_hand.ood_reference.error_limits) * std**2
    np.testing.assert_allclose(ovens.ood_reference.error_limits, limits, rtol=1e-2)
    scores, standardised = (each.evaluation["by_shots"]["5"]["mean"] for each in (ovens, by_hand))
    np.testing.assert_allclose(scores, np.array(standardised) * std**2, rtol=1e-2)
    assert scores[-1] < scores[0] / 3


def test_a_served_oven_is_in_kelvin(models: Path, serve: Callable[..., TestClient]) -> None:
    client = serve(models_dir=models)
    inputs, targets = [[0.05], [0.3], [0.5], [0.8], [0.95]], [435.0, 510.0, 570.0, 660.0, 705.0]
    body = {"model": "ovens", "support": {"inputs": inputs, "targets": targets}, "assess": "leave_one_out"}
    adaptation = client.post("/adapt", json=body).raise_for_status().json()
    query = {"adaptation_id": adaptation["adaptation_id"], "queries": [*inputs, [0.4]], "interval": 0.9}
    response = client.post("/predict", json=query)
    assert response.is_success, response.text
    answer = response.json()
    predictions = np.array(answer["predictions"])[:, 0]
    assert predictions[-1] == pytest.approx(540, abs=30)
    assert adaptation["losses"][-1] == pytest.approx(np.square(predictions[:-1] - targets).mean(), rel=1e-3)
    assert adaptation["losses"][0] > 1000, "in K²"
    widths = np.array(answer["upper"]) - np.array(answer["lower"])
    calibration = load(models / "ovens").manifest.calibration
    half_width = calibration.widths_for(0.9, 5)[0] * calibration.stretch_for(5, torch.zeros(1)).item()
    np.testing.assert_allclose(widths[:-1], 2 * half_width, rtol=1e-4)
    assert widths[-1] >= 2 * half_width * (1 - 1e-4)
    assert adaptation["quality"]["unlike_training"] is False
    (column,) = client.get("/models/ovens").json()["target_columns"]
    assert column == {"name": "temperature", "type": "number", "unit": "K", "min": column["min"], "max": column["max"]}


def test_the_commands_and_the_card_are_in_kelvin(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = (models / "ovens/CARD.md").read_text()
    assert re.search(
        r"A target is `temperature` in K, 30[\d.]+ to (89[\d.]+|900) in training\.", " ".join(card.split())
    )
    assert re.search(r'"targets": \[\d{3}\.\d, ', card), "no more digits than the targets deserve"
    assert "temperature (K)" in (models / "ovens/before-after.svg").read_text()
    monkeypatch.setenv("INNERLOOP_MODELS_DIR", str(models))
    tried = CliRunner().invoke(cli, ["try", "ovens"])
    assert tried.exit_code == 0, tried.output
    before, after = (
        float(line.split()[-2].replace(",", "")) for line in tried.output.splitlines()[:2] if line.endswith(" K²")
    )
    assert 1000 < after < before
    words = ["evaluate", "ovens", "--steps", "0", "--tasks", "50", "--no-write", "--models-dir", str(models)]
    evaluated = CliRunner().invoke(cli, words)
    assert evaluated.exit_code == 0, evaluated.output
    assert re.search(r"5-shot *\| *\d{5} ", evaluated.output), evaluated.output


def test_weights_from_elsewhere_may_be_standardised(models: Path, tmp_path: Path) -> None:
    ovens = load(models / "ovens")
    (mean,), (std,) = scale_of_ovens().mean, scale_of_ovens().std
    save_file(ovens.meta, tmp_path / "weights.safetensors")
    words = [
        "bundle",
        "brought",
        "--network",
        "linear",
        "--option",
        "inputs=1",
        "--option",
        "outputs=1",
        "--rate",
        "0.1",
    ]
    words += ["--weights", str(tmp_path / "weights.safetensors"), "--models-dir", str(tmp_path / "models")]
    words += ["--target-name", "temperature", "--target-unit", "K", "--target-mean", str(mean)]
    refused = CliRunner().invoke(cli, words)
    assert "--target-std: expected 1, as --target-mean is given, got none" in str(refused.exception)
    done = CliRunner().invoke(cli, [*words, "--target-std", str(std)])
    assert done.exit_code == 0, done.output
    brought = load(tmp_path / "models/brought")
    assert "A target is `temperature` in K." in (tmp_path / "models/brought/CARD.md").read_text()
    assert brought.manifest.targets == TargetSpec(("temperature",), ("K",), scale=scale_of_ovens())
    tasks = draw_held_out(Ovens(), Setting(5), CPU, tasks=3)
    expected, outputs = (offline(bundle, 0.3)(tasks, [5]).outputs for bundle in (ovens, brought))
    torch.testing.assert_close(outputs, expected)


def test_a_setting_of_the_command_scales_the_targets() -> None:
    assert choose_recipe(Overrides("ovens", None, None, None, None, [], ["scale_targets=true"])).scale_targets
