"""From a CSV to a bundle that serves, by one command."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.bundles.folder import load
from service_tests.cli.commands import innerloop
from service_tests.families.tables.made_up import machines, write_csv

pytest.importorskip("pyarrow", reason="an extra: pip install 'innerloop-server[tables]'")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("table")
    write_csv(folder / "heat.csv", machines())
    words = ["--task", "machine", "--target", "heat", "--support", "3,5", "--algorithm", "alpaca"]
    result = innerloop("train", "--table", "heat.csv", *words, "--outer-steps", "60", folder=folder)
    assert result.returncode == 0, result.stderr
    assert "| load (kg) | number, in kg | none | an input: the number, scaled |" in result.stdout
    assert "30 tasks (by machine) with 12 rows each" in result.stdout
    return folder


def test_the_bundle_takes_rows_as_objects(folder: Path, serve: Callable[..., TestClient]) -> None:
    client = serve(models_dir=folder / "models")
    rows = [{"load (kg)": load, "oil": "new"} for load in (1, 4, 9)]
    body = {"model": "heat", "support": {"inputs": rows, "targets": [1, 4, 9]}}
    adapted = client.post("/adapt", json=body).raise_for_status().json()
    queries = {"adaptation_id": adapted["adaptation_id"], "queries": [{"load (kg)": 5, "oil": "new"}]}
    ((heat,),) = client.post("/predict", json=queries).raise_for_status().json()["predictions"]
    assert abs(heat - 5) < 2


def test_the_card_names_the_command_that_makes_it_again(folder: Path) -> None:
    card = (folder / "models/heat/CARD.md").read_text()
    assert "innerloop train --table heat.csv --task machine --target heat --support 3,5 --algorithm alpaca" in card


def test_the_bundle_says_what_its_columns_are(folder: Path) -> None:
    bundle = load(folder / "models/heat")
    assert bundle.manifest.family is not None
    assert bundle.manifest.family.options["inputs"] == ["load (kg)", "oil"]
    assert bundle.encoder.describe()["columns"][0]["unit"] == "kg"


def test_it_evaluates_with_the_table(folder: Path) -> None:
    result = innerloop("evaluate", "heat", "--data", "heat.csv", "--tasks", "20", "--no-write", folder=folder)
    assert result.returncode == 0, result.stderr
    assert "5-shot" in result.stdout
