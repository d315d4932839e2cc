"""`innerloop bundle --encoder`: from rows of a table in a file to answers, and what is wrong with a file."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from safetensors.torch import save_file
from torch import nn
from torch.func import functional_call

from app.bundles.folder import load
from app.encoders.registry import fit
from app.errors import TrainingError
from app.training.encoder_file import read_encoder
from service_tests.cli.commands import innerloop
from service_tests.encoders.cases import PATIENTS, TABLE
from service_tests.processes import ROOT

ROWS = [{name: value for name, value in row.items() if value == value} for row in PATIENTS]  # JSON has no NaN
FITTED = {"name": "table", "options": TABLE, "rows": ROWS}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "wards.json").write_text(json.dumps(FITTED))
    return tmp_path / "wards.json"


def make_bundle(folder: Path, features: int, *words: str) -> tuple[nn.Module, Any]:
    """A linear network with so many features, and the outcome of `innerloop bundle wards`."""
    torch.manual_seed(0)
    network = nn.Linear(features, 1)
    save_file(network.state_dict(), folder / "weights.safetensors")
    options = ["--network", "linear", "--option", f"inputs={features}", "--option", "outputs=1", "--rate", "0.05"]
    files = ["--weights", str(folder / "weights.safetensors"), "--models-dir", str(folder / "models")]
    return network, innerloop("bundle", "wards", *options, *files, *words, folder=folder)


def test_rows_of_a_table_get_the_answers_of_a_plain_loop_on_their_features(
    file: Path, tmp_path: Path, serve: Callable[..., TestClient]
) -> None:
    features = torch.from_numpy(fit("table", ROWS, TABLE).encode(ROWS))
    network, done = make_bundle(tmp_path, features.shape[1], "--encoder", str(file))
    assert done.returncode == 0, done.stderr
    client, targets = serve(models_dir=tmp_path / "models"), [1.0, 0.5, 2.0, -1.0, 0.0]
    lists = [[row.get(name) for name in ROWS[0]] for row in ROWS]
    fast: dict[str, torch.Tensor] = dict(network.named_parameters())
    for _ in range(5):
        errors = functional_call(network, fast, (features,)) - torch.tensor(targets)[:, None]
        gradients = torch.autograd.grad(errors.square().mean(), list(fast.values()))
        fast = {name: old - 0.05 * each for (name, old), each in zip(fast.items(), gradients, strict=True)}
    expected = functional_call(network, fast, (features,)).detach()
    for inputs in (ROWS, lists):
        body = {"model": "wards", "support": {"inputs": inputs, "targets": targets}}
        adaptation = client.post("/adapt", json=body).raise_for_status().json()["adaptation_id"]
        answer = client.post("/predict", json={"adaptation_id": adaptation, "queries": inputs}).raise_for_status()
        np.testing.assert_allclose(answer.json()["predictions"], expected, rtol=1e-4, atol=1e-5)


def test_the_state_of_a_bundle_makes_the_same_encoder(file: Path, tmp_path: Path) -> None:
    _, done = make_bundle(tmp_path, fit("table", ROWS, TABLE).feature_shape[0], "--encoder", str(file))
    assert done.returncode == 0, done.stderr
    bundle = load(tmp_path / "models/wards")
    section = json.loads((tmp_path / "models/wards/bundle.json").read_text())["encoder"]
    arrays = {name: value.tolist() for name, value in bundle.encoder_arrays.items()}
    (tmp_path / "again.json").write_text(json.dumps(section | {"arrays": arrays}))
    assert (read_encoder(tmp_path / "again.json").encode(ROWS) == read_encoder(file).encode(ROWS)).all()


def test_the_guides_file_and_request_fit_each_other(tmp_path: Path) -> None:
    guide = (ROOT / "app/docs/your-own-model.md").read_text()
    file, request = re.findall(r"```json\n(.*?)```", guide, re.DOTALL)
    (tmp_path / "wards.json").write_text(file)
    assert len(read_encoder(tmp_path / "wards.json").encode(json.loads(request)["support"]["inputs"])) == 1


def test_a_number_of_features_that_the_encoder_does_not_make(file: Path, tmp_path: Path) -> None:
    _, done = make_bundle(tmp_path, 3, "--encoder", str(file), "--features", "3")
    assert done.returncode == 1
    assert "--encoder: expected 3 features (--features), got 16 from" in done.stderr
    assert "set --features 16 for a network that takes 16" in done.stderr
    assert not (tmp_path / "models/wards").exists()


OLD = [{"a": 1}, {"a": "x"}]
STATE = {"columns": [], "ignore_extra": False}


@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        ("{", 'expected JSON, got "'),
        ("[]", "expected an object with the name of an encoder, as in {"),
        ('{"rows": [[1]]}', "expected an object with the name of an encoder, as in {"),
        ({"name": 3}, "name: expected a string, got 3"),
        ({"name": "molecule", "rows": [[1]]}, "encoder: expected one of image, numbers, table, text, got 'molecule'"),
        ({"name": "table", "row": []}, "row: expected only the fields name, options, rows, state, arrays, got another"),
        ({"name": "table", "rows": {}}, "rows: expected a list, got {}"),
        ({"name": "table"}, "the encoder table: expected training rows with named columns, got none"),
        (
            {"name": "table", "rows": OLD, "options": {"colums": 1}},
            "options of the encoder 'table': expected one of columns, na",
        ),
        ({"name": "table", "rows": OLD, "options": {"columns": {"a": "number"}}}, "rows[1].a: expected a number, got"),
        ({"name": "table", "rows": OLD, "state": STATE}, "rows: expected none beside state, got some: send rows and"),
        ({"name": "table", "rows": OLD, "arrays": {}}, "arrays: expected none beside rows, got some: send rows and"),
        ({"name": "table", "state": STATE}, "state.columns: expected at least 1"),
        (
            {"name": "table", "state": STATE, "arrays": {"ranges": "x"}},
            "arrays.ranges: expected nested lists of numbers",
        ),
        ({"name": "numbers"}, "the encoder numbers: expected at least 1 training row, got none"),
    ],
)
def test_a_wrong_file(tmp_path: Path, contents: Any, reason: str) -> None:
    file = tmp_path / "wards.json"
    file.write_text(contents if isinstance(contents, str) else json.dumps(contents))
    with pytest.raises(TrainingError, match=re.escape(f"--encoder: {file}: {reason}")):
        read_encoder(file)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=re.escape('got "No such file or directory"')):
        read_encoder(tmp_path / "wards.json")
