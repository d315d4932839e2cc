"""The life of an adaptation on two replicas, in every form of posting: it always equals adapting afresh."""

import base64
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest
from fastapi.testclient import TestClient

from app.encoders.registry import fit
from service_tests.api.requests import assert_same, reload
from service_tests.api.test_csv import as_csv
from service_tests.bundles import write_encoder_bundle
from service_tests.encoders.cases import PATIENTS, TABLE, drawing, picture, url
from service_tests.storage.test_posted import ARRAYS, FLOATS, NUMBERS, OBJECTS, answer

FILES: list[Any] = [base64.b64encode(picture(drawing(40, seed))).decode() for seed in range(4)]
FILES.append(url(picture(drawing(60, 4), "JPEG"), "jpeg"))
TAME: list[Any] = [[1.5, 0.72], [0.1, 0.8], [2, 0.6425], [-1, 0.7], [0, 0.75]]
RATE = 0.01
"""Of the inner loop: larger ones make untrained classifiers sure."""
STRINGS = ["ka", "ga", "ka", "ga", "ka"]
MIXED = [1, True, "1", 1, True]
NAMES = {"plain": ["speed", "heat"], "pumps": ["speed", "heat"], "letters": ["image"]}
"""Of the columns in a CSV, where an input is no object."""


class Life(NamedTuple):
    """A model, and the examples of a life: 3 to adapt to and 2 to add.

    form: of posting them: `json`, `msgpack`, `rows` or `csv`
    """

    form: str
    model: str
    rows: list[Any]
    targets: list[Any]
    weights: list[float] | None = None

    def support(self, numbers: Sequence[int]) -> dict[str, Any]:
        """These examples as inputs and targets."""
        fields = {"inputs": self.rows, "targets": self.targets}
        fields |= {} if self.weights is None else {"weights": self.weights}
        return {name: [values[i] for i in numbers] for name, values in fields.items()}

    def post(self, client: TestClient, path: str, numbers: Sequence[int], **fields: Any) -> Any:
        """Post these examples in the form. fields: of the body beside them"""
        support, media = self.support(numbers), "application/json"
        if self.form == "csv":
            text, headers = as_csv(self._flat(support)), {"Content-Type": "text/csv"}
            return client.post(path, params=fields, content=text, headers=headers).raise_for_status().json()
        if self.form == "rows":
            support = {"rows": self._flat(support)} | {key: support[key] for key in ("weights",) if key in support}
        body: Any = fields | {"support": support} if fields else support
        content: str | bytes = json.dumps(body)
        if self.form == "msgpack":
            content, media = msgspec.msgpack.encode(_binary(body)), "application/msgpack"
        headers = {"Content-Type": media, "Accept": "application/json"}
        return client.post(path, content=content, headers=headers).raise_for_status().json()

    def _flat(self, support: dict[str, Any]) -> list[dict[str, Any]]:
        """Objects with the target among their columns."""
        target = "target" if self.targets is FLOATS else "label"
        inputs = [
            row
            if isinstance(row, dict)
            else dict(zip(NAMES.get(self.model, PATIENTS[0]), [row] if isinstance(row, str) else row, strict=True))
            for row in support["inputs"]
        ]
        return [{target: each} | row for row, each in zip(inputs, support["targets"], strict=True)]


def _binary(value: Any) -> Any:
    """The same with files as bytes instead of base64."""
    if isinstance(value, dict):
        return {name: _binary(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_binary(each) for each in value]
    return base64.b64decode(value.rpartition(",")[2]) if isinstance(value, str) and len(value) > 100 else value


LIVES = {
    "numbers": Life("json", "plain", TAME, FLOATS),
    "numbers in msgpack": Life("msgpack", "plain", TAME, FLOATS, [1, 0.5, 2, 1, 3]),
    "numbers in a CSV": Life("csv", "pumps", NUMBERS, FLOATS),
    "objects": Life("json", "wards", OBJECTS, FLOATS, [1, 0.5, 2, 1, 3]),
    "objects in msgpack": Life("msgpack", "risks", OBJECTS, [True, False, True, False, True]),
    "rows": Life("rows", "wards", OBJECTS, FLOATS),
    "rows with labels": Life("rows", "risks", OBJECTS, MIXED, [1, 0.5, 2, 1, 3]),
    "a CSV": Life("csv", "wards", OBJECTS, FLOATS),
    "a CSV with labels": Life("csv", "risks", OBJECTS, STRINGS),
    "files": Life("json", "letters", FILES, [0, 1, 0, 1, 2], [1, 0.5, 2, 1, 3]),
    "files in msgpack": Life("msgpack", "letters", FILES, MIXED),
    "files in a CSV": Life("csv", "letters", FILES, STRINGS),
    "arrays": Life("json", "drawings", ARRAYS, STRINGS),
}
lives = pytest.mark.parametrize("life", [pytest.param(life, id=name) for name, life in LIVES.items()])


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    write_encoder_bundle(folder / "plain", fit("numbers", TAME, {}))
    write_encoder_bundle(folder / "pumps", fit("numbers", NUMBERS, {"scale": True}))
    write_encoder_bundle(folder / "wards", fit("table", PATIENTS, TABLE))
    write_encoder_bundle(folder / "risks", fit("table", PATIENTS, TABLE), "classification")
    write_encoder_bundle(folder / "letters", fit("image", [], {"shape": [28, 28]}), "classification")
    write_encoder_bundle(folder / "drawings", fit("image", [], {"shape": [28, 28]}), "classification")
    return folder


def replace_all(models: Path) -> None:
    """Newer bundles: with other means, columns in another order, or another raster."""
    turned = [dict(reversed(row.items())) for row in PATIENTS[1:]]
    write_encoder_bundle(models / "plain", fit("numbers", TAME[1:], {"scale": True}), seed=1)
    write_encoder_bundle(models / "pumps", fit("numbers", NUMBERS[1:], {"scale": True}), seed=1)
    write_encoder_bundle(models / "wards", fit("table", turned, TABLE), seed=1)
    write_encoder_bundle(models / "risks", fit("table", turned, TABLE), "classification", seed=1)
    write_encoder_bundle(models / "letters", fit("image", [], {"shape": [20, 20]}), "classification", seed=1)
    write_encoder_bundle(models / "drawings", fit("image", [], {"shape": [28, 28]}), "classification", seed=1)


def check(client: TestClient, id_: str, life: Life, numbers: Sequence[int]) -> None:
    """Check that an adaptation has these examples as they were posted, and answers as one to them would."""
    support = life.support(numbers)
    labels, values = answer(client, adaptation_id=id_, queries=life.rows)
    expected = answer(client, model=life.model, support=support, queries=life.rows, learning_rate=RATE)
    if life.targets is not FLOATS:
        assert 0.01 < expected[1].max() < 0.99, "saturated probabilities tell nothing"
    assert_same(values, expected[1])
    if life.targets is not FLOATS:
        assert [(type(each), each) for each in labels] == [(type(each), each) for each in expected[0]]
    shown = client.get(f"/adaptations/{id_}/support").raise_for_status().json()
    assert list(map(as_float32, shown["inputs"])) == list(map(as_shown, support["inputs"]))
    assert shown.get("weights") == support.get("weights")
    targets = [each[0] if isinstance(each, list) else each for each in shown["targets"]]
    assert [(type(each), each) for each in targets] == [(type(each), each) for each in support["targets"]]


def as_shown(row: Any) -> Any:
    """An input as the server shows it: a file in base64, an image as one row, an object with all columns."""
    if isinstance(row, str):
        return row.rpartition(",")[2]
    if isinstance(row, dict):
        seen = row["seen"].replace("14:30:00+02:00", "12:30:00Z")
        return dict.fromkeys(PATIENTS[0]) | row | {"seen": seen}
    return as_float32(np.ravel(np.array(row)))


def as_float32(row: Any) -> Any:
    """The same, with the numbers of a list rounded to float32."""
    return row if isinstance(row, str | dict) else np.array(row, np.float32).tolist()


def evict(client: TestClient, life: Life) -> None:
    """Use so many other adaptations that the cache of fast weights keeps no earlier one."""
    for number in (0, 1, 3):
        made = client.post("/adapt", json={"model": life.model, "support": life.support([number])}).json()
        answer(client, adaptation_id=made["adaptation_id"], queries=life.rows)


@lives
def test_it_equals_adapting_afresh(
    serve: Callable[..., TestClient], models: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch, life: Life
) -> None:
    monkeypatch.setattr("app.service.engine.MIN_CACHE_BYTES", 1)  # room for 2

    def start() -> TestClient:
        return serve(models_dir=models, store="redis", redis_url=redis_url, fast_weights_bytes=0)

    one, two = start(), start()
    id_ = life.post(one, "/adapt", [0, 1, 2], model=life.model, learning_rate=RATE)["adaptation_id"]
    path = f"/adaptations/{id_}"

    def check_both(numbers: Sequence[int]) -> None:
        check(one, id_, life, numbers)
        check(two, id_, life, numbers)

    check_both([0, 1, 2])
    life.post(two, f"{path}/support", [3, 4])
    check_both([0, 1, 2, 3, 4])
    one.delete(f"{path}/support/2").raise_for_status()
    check_both([0, 1, 3, 4])
    evict(one, life)
    check_both([0, 1, 3, 4])
    two.post(f"{path}/undo").raise_for_status()
    check_both([0, 1])
    one.__exit__(None, None, None)
    one = start()
    check_both([0, 1])
    replace_all(models)
    reload(one)
    check(one, id_, life, [0, 1])
    reload(two)
    check_both([0, 1])
    assert one.get(path).json()["model_digest"] == one.get(f"/models/{life.model}").json()["digest"]
    life.post(two, f"{path}/support", [2])
    check_both([0, 1, 2])


@pytest.mark.parametrize("model", ["plain", "wards", "risks", "letters"])
def test_the_content_is_the_same_in_every_form(serve: Callable[..., TestClient], models: Path, model: str) -> None:
    client = serve(models_dir=models)
    rows = {"plain": TAME, "letters": FILES}.get(model, OBJECTS)
    forms = ["json", "msgpack", "csv", *(["rows"] if rows is OBJECTS else [])]
    targets = FLOATS if model in ("plain", "wards") else STRINGS
    ids = {
        Life(form, model, rows, targets).post(client, "/adapt", range(5), model=model, reuse=True)["adaptation_id"]
        for form in forms
    }
    assert len(ids) == 1
