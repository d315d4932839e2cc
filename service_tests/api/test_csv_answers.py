"""A CSV of predictions has all parts of the answer, or is refused because two columns would have the same name."""

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.bundles.folder import load, write
from service_tests.api.test_units import INPUTS, MEAN, STANDARDISED, STD, write_pair


@pytest.fixture
def predict(tmp_path: Path, serve: Callable[..., TestClient]) -> Callable[..., Any]:
    """Predict a query with a model whose targets have these names, after adapting it: as a CSV and as JSON."""

    def predict(*names: str, **fields: Any) -> Any:
        write_pair(tmp_path / "pair", "maml", len(names))
        scaled = load(tmp_path / "pair/scaled")
        assert scaled.manifest.targets is not None
        named = replace(scaled.manifest, targets=replace(scaled.manifest.targets, names=names))
        write(tmp_path / "models/named", named, scaled.meta)
        targets = (STANDARDISED * STD + MEAN)[:, : len(names)].tolist()
        support = {"inputs": INPUTS, "targets": targets}
        body = {"model": "named", "support": support, "queries": [[0.3]], **fields}
        server = serve(models_dir=tmp_path / "models")
        return [server.post("/predict", json=body, headers={"Accept": each}) for each in ("text/csv", "*/*")]

    return predict


@pytest.mark.parametrize(
    ("names", "taken", "fields"),
    [
        (("unlike",), "unlike", {}),
        (("unlike", "y"), "unlike", {}),
        (("y", "y_lower"), "y_lower", {"interval": 0.9}),
        (("y_upper", "y"), "y_upper", {"interval": 0.9}),
    ],
)
def test_two_columns_with_one_name_are_refused(
    predict: Callable[..., Any], names: tuple[str, ...], taken: str, fields: dict[str, Any]
) -> None:
    refused, answer = predict(*names, **fields)
    assert refused.status_code == 422
    problem = refused.json()
    assert problem["place"] == "Accept"
    assert problem["detail"] == (
        f'Accept: expected application/json, got text/csv: a CSV of this answer would have 2 columns called "{taken}"'
    )
    assert len(answer.raise_for_status().json()["predictions"][0]) == len(names)


def test_a_name_that_no_other_column_has_is_kept(predict: Callable[..., Any]) -> None:
    answer, _ = predict("y", "y_lower")
    (row,) = csv.DictReader(io.StringIO(answer.raise_for_status().text))
    assert list(row) == ["y", "y_lower", "unlike"]
