"""The family that a bundle names, and why it cannot be loaded."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.bundles import FamilySpec, load
from app.errors import NoFamily, TrainingError
from app.training.problem import family_of, schema_of


@pytest.mark.parametrize("name", ["linear", "sinusoid", "navigation"])
def test_a_shipped_bundle_has_the_schema_of_its_family(models_dir: Path, name: str) -> None:
    bundle = load(models_dir / name)
    assert schema_of(family_of(bundle)) == bundle.manifest.schema


def test_a_bundle_without_a_family(models_dir: Path) -> None:
    bundle = load(models_dir / "sinusoid")
    imported = replace(bundle, manifest=replace(bundle.manifest, family=None))
    with pytest.raises(NoFamily, match="sinusoid"):
        family_of(imported)


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("unheard-of", {}, "sinusoid: the family 'unheard-of' is not installed; installed are "),
        ("sinusoid", {"x": 2}, "sinusoid: the family 'sinusoid' cannot be made: "),
        ("blobs", {}, "sinusoid: kind and schema do not fit the family 'blobs'"),
        ("linear", {"features": 2}, "sinusoid: kind and schema do not fit the family 'linear'"),
    ],
)
def test_a_family_that_cannot_be_used(models_dir: Path, name: str, options: Mapping[str, Any], reason: str) -> None:
    bundle = load(models_dir / "sinusoid")
    broken = replace(bundle, manifest=replace(bundle.manifest, family=FamilySpec(name, options)))
    with pytest.raises(TrainingError, match=reason):
        family_of(broken)


def test_another_number_of_features_than_the_familys(models_dir: Path) -> None:
    bundle = load(models_dir / "sinusoid")
    schema = replace(bundle.manifest.schema, features=2)
    with pytest.raises(TrainingError, match="kind and schema do not fit the family"):
        family_of(replace(bundle, manifest=replace(bundle.manifest, schema=schema)))
