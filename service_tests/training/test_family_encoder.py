"""A family hands its encoder to its bundles; what does not fit is an error before training."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient

from app import plugins
from app.bundles.folder import load, write
from app.encoders.encoder import Encoder
from app.encoders.numbers import NumbersEncoder
from app.encoders.table import TableEncoder
from app.errors import TrainingError
from app.families.linear import Linear
from app.training.family_and_network import encoder_of
from app.training.recipes.recipe import Recipe
from app.training.training_run import Run
from service_tests.cli.commands import innerloop

ROWS = [{"age": age, "ward": ward} for age, ward in ((30, "a"), (50, "b"), (70, "a"))]
TABLE = TableEncoder.fit(ROWS)


@dataclass(frozen=True)
class Wards(Linear):
    """Linear functions of the features of a table."""

    features: int = 4
    encoder: Encoder = field(default=TABLE)


class Unstable(NumbersEncoder):
    """An encoder under a name that nothing is registered by."""

    name = "unstable"


@pytest.fixture
def bundles(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with a bundle of a run on the family, after one outer step."""
    point = SimpleNamespace(name="wards", load=lambda: Wards)
    monkeypatch.setattr(
        plugins, "entry_points", lambda **selected: [point] if selected["group"] == "innerloop.families" else []
    )
    run = Run(Recipe("wards"), torch.device("cpu"), compiled=False)
    run.advance(1)
    bundle = run.as_bundle("wards", 1.0)
    write(tmp_path / "models/wards", bundle.manifest, bundle.meta, bundle.encoder_arrays)
    return tmp_path / "models"


def test_a_run_gives_its_bundle_the_encoder_of_the_family(bundles: Path, serve: Callable[..., TestClient]) -> None:
    bundle = load(bundles / "wards")
    assert bundle.encoder.describe() == TABLE.describe()
    body = {"model": "wards", "support": {"inputs": ROWS, "targets": [1, 2, 3]}, "queries": ROWS}
    answer = serve(models_dir=bundles).post("/predict", json=body).raise_for_status().json()
    assert np.shape(answer["predictions"]) == (3, 1)


def test_calibrating_keeps_it(bundles: Path) -> None:
    digest = load(bundles / "wards").manifest.digest
    result = innerloop("calibrate", "wards", folder=bundles.parent)
    assert result.returncode == 0, result.stderr
    assert load(bundles / "wards").manifest.digest == digest


def test_what_draws_features_does_not_post_them(bundles: Path) -> None:
    result = innerloop("evaluate", "wards", "--no-write", "--server", "http://localhost:1", folder=bundles.parent)
    assert result.returncode == 1
    assert "--server: expected a bundle that takes features, got wards, whose encoder is table" in result.stderr


@pytest.mark.parametrize(
    ("encoder", "reason"),
    [
        (NumbersEncoder((3,)), "the encoder of the family: expected 4 features, got 3"),
        (Unstable((4,)), "the encoder of the family: expected one of image, numbers, table, text, got 'unstable'"),
    ],
)
def test_an_encoder_that_does_not_fit(encoder: Encoder, reason: str) -> None:
    with pytest.raises(TrainingError, match=reason):
        encoder_of(Wards(encoder=encoder))


def test_a_family_without_one_has_the_default() -> None:
    assert encoder_of(Linear()) == (None, {})
