"""The life of an adaptation to objects and images: it always equals adapting afresh, and shows what was posted."""

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
from service_tests.bundles import write_encoder_bundle
from service_tests.encoders.cases import PATIENTS, TABLE, drawing, picture, url

MSGPACK = {"Content-Type": "application/msgpack", "Accept": "application/msgpack"}
OBJECTS: list[Any] = [{name: value for name, value in row.items() if value == value} for row in PATIENTS]
FILES = [base64.b64encode(picture(drawing(40, seed))).decode() for seed in range(4)]
FILES.append(url(picture(drawing(600, 4), "JPEG"), "jpeg"))
ARRAYS: list[Any] = [(drawing(28, seed) == 0).tolist() for seed in range(5)]
NUMBERS: list[Any] = [[1.5, 72], [0.1, 80], [2, 64.25], [-1, 70], [0, 75]]
FLOATS: list[Any] = [1.0, 0.5, 2.0, -1.0, 0.0]


class Life(NamedTuple):
    """A model, and the examples of a life: 3 to adapt to and 2 to add."""

    model: str
    rows: list[Any]
    targets: list[Any]

    def support(self, numbers: Sequence[int]) -> dict[str, Any]:
        return {"inputs": [self.rows[i] for i in numbers], "targets": [self.targets[i] for i in numbers]}


LIVES = {
    "objects": Life("wards", OBJECTS, FLOATS),
    "lists": Life("wards", [[row.get(name) for name in PATIENTS[0]] for row in OBJECTS], FLOATS),
    "objects and mixed labels": Life("risks", OBJECTS, [1, True, "1", 1, "1"]),
    "files and strings": Life("letters", FILES, ["ka", "ga", "ka", "ga", "ka"]),
    "files and integers": Life("letters", FILES, [0, 1, 0, 1, 2]),
    "files and booleans": Life("letters", FILES, [True, False, True, False, True]),
    "arrays": Life("letters", ARRAYS, ["ka", "ga", "ka", "ga", "ka"]),
    "arrays, then files": Life("letters", [*ARRAYS[:3], *FILES[3:]], ["ka", "ga", "ka", "ga", "ka"]),
    "files and arrays": Life("letters", [*FILES[:2], *ARRAYS[2:]], ["ka", "ga", "ka", "ga", "ka"]),
    "scaled numbers": Life("pumps", NUMBERS, FLOATS),
}
lives = pytest.mark.parametrize("life", [pytest.param(life, id=name) for name, life in LIVES.items()])


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    write_encoder_bundle(folder / "wards", fit("table", PATIENTS, TABLE))
    write_encoder_bundle(folder / "risks", fit("table", PATIENTS, TABLE), "classification")
    write_encoder_bundle(folder / "letters", fit("image", [], {"shape": [28, 28]}), "classification")
    write_encoder_bundle(folder / "pumps", fit("numbers", NUMBERS, {"scale": True}))
    return folder


@pytest.fixture
def start(serve: Callable[..., TestClient], models: Path, tmp_path: Path) -> Callable[[], TestClient]:
    """A function that starts a server on the same state folder."""
    return lambda: serve(models_dir=models, store="sqlite", state_dir=tmp_path / "state")


def adapt(client: TestClient, life: Life, numbers: Sequence[int] = (0, 1, 2), **fields: object) -> str:
    body = {"model": life.model, "support": life.support(numbers)} | fields
    return str(client.post("/adapt", json=body).raise_for_status().json()["adaptation_id"])


def answer(client: TestClient, **body: object) -> tuple[list[Any], np.ndarray]:
    """The labels of a prediction and its probabilities, or its numbers twice."""
    predicted = client.post("/predict", json=body).raise_for_status().json()
    return predicted["predictions"], np.array(predicted.get("probabilities", predicted["predictions"]))


def assert_fresh(client: TestClient, id_: str, life: Life, numbers: Sequence[int]) -> None:
    """Check that an adaptation answers as one to these examples would."""
    labels, values = answer(client, adaptation_id=id_, queries=life.rows)
    expected = answer(client, model=life.model, support=life.support(numbers), queries=life.rows)
    assert_same(values, expected[1])
    if values.shape != np.shape(labels):
        assert list(map(type, labels)) == list(map(type, expected[0]))
        assert labels == expected[0]


@lives
def test_the_whole_life_equals_adapting_afresh(start: Callable[[], TestClient], life: Life) -> None:
    client = start()
    id_ = adapt(client, life)
    path = f"/adaptations/{id_}"
    assert_fresh(client, id_, life, [0, 1, 2])
    client.post(f"{path}/support", json=life.support([3, 4])).raise_for_status()
    assert_fresh(client, id_, life, range(5))
    client.delete(f"{path}/support/1").raise_for_status()
    assert_fresh(client, id_, life, [0, 2, 3, 4])
    client.__exit__(None, None, None)
    client = start()
    assert_fresh(client, id_, life, [0, 2, 3, 4])
    client.post(f"{path}/undo").raise_for_status()
    assert_fresh(client, id_, life, [0, 2])
    client.post(f"{path}/support", json=life.support([1])).raise_for_status()
    assert_fresh(client, id_, life, [0, 2, 1])


@pytest.mark.parametrize(
    ("name", "labels"), [("objects and mixed labels", ["1", True, 1]), ("files and integers", ["new", 1, 0])]
)
def test_weights_and_declared_classes_stay_with_what_was_posted(
    start: Callable[[], TestClient], name: str, labels: list[Any]
) -> None:
    client, life = start(), LIVES[name]
    support = life.support(range(4)) | {"weights": [1, 0, 0.5, 2], "labels": labels}
    id_ = adapt(client, life, support=support)
    expected = answer(client, model=life.model, support=support, queries=life.rows)
    assert list(map(type, expected[0])) == list(map(type, answer(client, adaptation_id=id_, queries=life.rows)[0]))
    client.__exit__(None, None, None)
    client = start()
    assert_same(answer(client, adaptation_id=id_, queries=life.rows)[1], expected[1])
    shown = client.get(f"/adaptations/{id_}/support").json()
    assert shown["weights"] == support["weights"]
    assert list(map(str, shown["labels"])) == list(map(str, labels))
    assert len(shown["inputs"]) == 4
    client.delete(f"/adaptations/{id_}/support/2").raise_for_status()
    left = life.support([0, 3]) | {"weights": [1, 2], "labels": labels}
    expected = answer(client, model=life.model, support=left, queries=life.rows)
    assert_same(answer(client, adaptation_id=id_, queries=life.rows)[1], expected[1])


@lives
def test_what_it_shows_can_be_posted_again_in_json_and_msgpack(start: Callable[[], TestClient], life: Life) -> None:
    client = start()
    id_ = adapt(client, life, range(5), reuse=True)
    shown = client.get(f"/adaptations/{id_}/support").json()
    again = {"inputs": shown["inputs"], "targets": shown["targets"]}
    body = {"model": life.model, "support": again, "reuse": True}
    assert client.post("/adapt", json=body).raise_for_status().json()["adaptation_id"] == id_
    packed = msgspec.msgpack.decode(client.get(f"/adaptations/{id_}/support", headers=MSGPACK).content)
    again = {"inputs": packed["inputs"], "targets": packed["targets"]}
    content = msgspec.msgpack.encode({"model": life.model, "support": again, "reuse": True})
    posted = client.post("/adapt", content=content, headers=MSGPACK | {"Accept": "application/json"})
    assert posted.raise_for_status().json()["adaptation_id"] == id_


def test_objects_are_shown_with_all_columns(start: Callable[[], TestClient]) -> None:
    client, life = start(), LIVES["lists"]
    shown = client.get(f"/adaptations/{adapt(client, life)}/support").json()["inputs"]
    expected = dict.fromkeys(PATIENTS[0]) | OBJECTS[1] | {"seen": "2026-02-28T12:30:00Z"}
    assert shown[1] == expected


def test_the_order_of_keys_and_the_metadata_of_images_do_not_count(start: Callable[[], TestClient]) -> None:
    client = start()
    shuffled = LIVES["objects"]._replace(rows=[dict(sorted(row.items())) for row in OBJECTS])
    one = adapt(client, LIVES["objects"], reuse=True)
    assert adapt(client, shuffled, reuse=True) == one
    assert adapt(client, LIVES["lists"], reuse=True) == one
    assert adapt(client, LIVES["objects"], [0, 2, 1], reuse=True) != one
    commented = [
        url(base64.b64decode(FILES[0])[:-12] + b"\0\0\0\x01tEXta\xe8\xb7\xbe\x43" + base64.b64decode(FILES[0])[-12:])
    ]
    letters = LIVES["files and strings"]
    one = adapt(client, letters, [0], reuse=True)
    assert adapt(client, letters._replace(rows=commented), [0], reuse=True) == one


def test_a_large_image_is_shown_as_a_png_of_at_most_512_pixels(start: Callable[[], TestClient]) -> None:
    client, letters = start(), LIVES["files and strings"]
    id_ = adapt(client, letters, range(5))
    packed = msgspec.msgpack.decode(client.get(f"/adaptations/{id_}/support", headers=MSGPACK).content)
    assert packed["inputs"][0] == base64.b64decode(FILES[0])
    assert packed["inputs"][4].startswith(b"\x89PNG")
    assert packed["inputs"][4][16:24] == (512).to_bytes(4, "big") * 2


def newer(models: Path, rows: list[Any], columns: dict[str, Any]) -> None:
    write_encoder_bundle(models / "wards", fit("table", rows, {"columns": columns}), seed=1)


def test_a_newer_encoder_encodes_what_was_posted(start: Callable[[], TestClient], models: Path) -> None:
    client, life = start(), LIVES["objects"]
    id_ = adapt(client, life)
    old = answer(client, adaptation_id=id_, queries=life.rows)[1]
    # its columns are in another order, with other means, and one is a category now
    newer(
        models, [{"dose": 0.5} | dict(sorted(row.items(), reverse=True)) for row in PATIENTS[:3]], {"ward": "category"}
    )
    reload(client)
    queries = life._replace(rows=OBJECTS[:3], targets=FLOATS[:3])
    assert_fresh(client, id_, queries, [0, 1, 2])
    assert abs(answer(client, adaptation_id=id_, queries=OBJECTS[:3])[1] - old[:3]).max() > 1e-3
    assert client.get(f"/adaptations/{id_}").json()["revision"] == 2


@pytest.mark.parametrize("change", ["predict", "extend", "forget", "undo"])
def test_rows_that_a_newer_encoder_refuses_stay_with_the_old_bundle(
    start: Callable[[], TestClient], models: Path, change: str
) -> None:
    client, life = start(), LIVES["objects"]
    id_ = adapt(client, life)
    path = f"/adaptations/{id_}"
    client.post(f"{path}/support", json=life.support([3])).raise_for_status()
    digest = client.get(path).json()["model_digest"]
    before = answer(client, adaptation_id=id_, queries=OBJECTS)[1]
    newer(models, [row | {"height": 1.5} for row in PATIENTS], TABLE["columns"])
    reload(client)
    match change:
        case "predict":
            assert_same(answer(client, adaptation_id=id_, queries=OBJECTS)[1], before)
        case "extend":
            client.post(f"{path}/support", json=life.support([4])).raise_for_status()
        case "forget":
            client.delete(f"{path}/support/1").raise_for_status()
        case "undo":
            client.post(f"{path}/undo").raise_for_status()
    assert client.get(path).json()["model_digest"] == digest
    client.__exit__(None, None, None)
    client = start()  # the old bundle is gone
    gone = client.post("/predict", json={"adaptation_id": id_, "queries": [OBJECTS[0] | {"height": 1}]})
    assert gone.status_code == 409
    assert "does not accept the examples of this adaptation" in gone.json()["detail"]
    assert client.get(f"{path}/support").raise_for_status().json()["inputs"][0]["age"] == 61


def test_a_forgotten_row_leaves_the_file(start: Callable[[], TestClient], tmp_path: Path) -> None:
    client, life = start(), LIVES["objects"]._replace(rows=[OBJECTS[0] | {"sex": "secret"}, *OBJECTS[1:]])
    id_ = adapt(client, life)
    client.delete(f"/adaptations/{id_}/support/0").raise_for_status()
    client.__exit__(None, None, None)
    assert not any(b"secret" in file.read_bytes() for file in (tmp_path / "state").iterdir() if file.is_file())
    assert "secret" not in json.dumps(start().get(f"/adaptations/{id_}/support").json())
