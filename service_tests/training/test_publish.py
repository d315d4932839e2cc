"""Publishing a bundle: all of its files, or none."""

from dataclasses import replace
from pathlib import Path

import pytest

from app.bundles.folder import load
from app.training.family_and_network import family_of
from app.training.publish import PLOT, publish, write_with_card
from service_tests.processes import ROOT


def test_it_writes_the_bundle_with_its_card_and_its_plots(tmp_path: Path) -> None:
    bundle = load(ROOT / "models/linear")
    manifest = publish(bundle, family_of(bundle), tmp_path / "linear")
    assert {each.name for each in (tmp_path / "linear").iterdir()} == {
        "bundle.json",
        "weights.safetensors",
        "CARD.md",
        PLOT,
    }
    assert load(tmp_path / "linear").manifest.weights_sha256 == manifest.weights_sha256


def test_nothing_is_written_where_the_card_cannot_be_made(tmp_path: Path) -> None:
    bundle = load(ROOT / "models/linear")
    bundle = replace(bundle, manifest=replace(bundle.manifest, evaluation={}))
    with pytest.raises(ValueError, match="is not in range"):
        write_with_card(bundle, family_of(bundle), tmp_path / "linear")
    assert not [*tmp_path.iterdir()]
