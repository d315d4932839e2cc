"""Repeats with an idempotency key, after a bundle whose columns have another order has replaced the model."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.encoders.encoder import Encoder
from app.encoders.numbers import NumbersEncoder
from app.encoders.table import TableEncoder
from service_tests.api.requests import reload
from service_tests.bundles import write_encoder_bundle

KEY = {"idempotency-key": "k"}
NAMES = ["age", "dose"]
ROWS = [{"age": 0.6, "dose": 0.2}, {"age": 0.4, "dose": 0.1}]
TARGETS = [1.0, 2.0]
CSV = {"content-type": "text/csv"}
Post = Callable[[TestClient, Sequence[Mapping[str, float]]], Any]


class Start:
    """Starts a server whose model `doses` has an encoder, or gives the model of a running one another encoder."""

    def __init__(self, serve: Callable[..., TestClient], folder: Path) -> None:
        self._serve, self._folder, self._seed = serve, folder, 0

    def __call__(self, encoder: Encoder, running: TestClient | None = None) -> TestClient:
        """running: the server that reads the new bundle; None for a new process with the same records"""
        write_encoder_bundle(self._folder / "models" / "doses", encoder, seed=self._seed)
        self._seed += 1
        if running is None:
            return self._serve(models_dir=self._folder / "models", store="sqlite", state_dir=self._folder / "state")
        reload(running)
        return running


def numbers(names: Sequence[str]) -> Encoder:
    return NumbersEncoder((2,), tuple(names))


def table(names: Sequence[str]) -> Encoder:
    return TableEncoder.fit(ROWS, names=names)


def adapt(client: TestClient, support: Mapping[str, Any], **fields: Any) -> Any:
    return client.post("/adapt", json={"model": "doses", "support": support} | fields, headers=KEY)


def as_objects(client: TestClient, rows: Sequence[Mapping[str, float]]) -> Any:
    return adapt(client, {"inputs": rows, "targets": TARGETS})


def as_rows(client: TestClient, rows: Sequence[Mapping[str, float]]) -> Any:
    return adapt(client, {"rows": [{**row, "target": y} for row, y in zip(rows, TARGETS, strict=True)]})


def as_csv(client: TestClient, rows: Sequence[Mapping[str, float]]) -> Any:
    lines = [f"{row['age']},{y},{row['dose']}" for row, y in zip(rows, TARGETS, strict=True)]
    return client.post("/adapt?model=doses", content="\n".join(["age,target,dose", *lines]), headers=KEY | CSV)


def in_order(client: TestClient, rows: Sequence[Mapping[str, float]]) -> Any:
    """As a client does that has asked for the columns of the model."""
    model = client.get("/models/doses").json()
    names = [column["name"] for column in model["inputs"]["columns"]]
    support = {"inputs": [[row[name] for name in names] for row in rows], "targets": TARGETS}
    return adapt(client, support, model_digest=model["digest"])


@pytest.mark.parametrize("encoder", [numbers, table])
@pytest.mark.parametrize("post", [as_objects, as_rows, as_csv, in_order])
@pytest.mark.parametrize("restarts", [False, True], ids=["reloaded", "restarted"])
def test_named_values_are_the_same_request_in_each_order(
    serve: Callable[..., TestClient],
    tmp_path: Path,
    encoder: Callable[[Sequence[str]], Encoder],
    post: Post,
    restarts: bool,
) -> None:
    start = Start(serve, tmp_path)
    client = start(encoder(NAMES))
    first = post(client, ROWS).json()["adaptation_id"]
    if restarts:
        client.__exit__(None, None, None)
    client = start(encoder(NAMES[::-1]), None if restarts else client)
    assert post(client, ROWS).json()["adaptation_id"] == first
    swapped = [{"age": row["dose"], "dose": row["age"]} for row in ROWS]  # the first request, by position
    answer = post(client, swapped)
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:problem-type:innerloop:key-reused"), answer.text
    assert len(client.get("/adaptations").json()["adaptations"]) == 1


@pytest.mark.parametrize("encoder", [numbers, table])
@pytest.mark.parametrize("restarts", [False, True], ids=["reloaded", "restarted"])
@pytest.mark.parametrize("has_digest", [False, True])
def test_the_same_bytes_are_the_same_request(
    serve: Callable[..., TestClient],
    tmp_path: Path,
    encoder: Callable[[Sequence[str]], Encoder],
    restarts: bool,
    has_digest: bool,
) -> None:
    """Whether or not the server still has the version that they were for."""
    start = Start(serve, tmp_path)
    client = start(encoder(NAMES))
    support = {"inputs": [list(row.values()) for row in ROWS], "targets": TARGETS}
    body = {"model": "doses", "support": support}
    if has_digest:
        body["model_digest"] = client.get("/models/doses").json()["digest"]
    content, headers = json.dumps(body), KEY | {"content-type": "application/json"}
    first = client.post("/adapt", content=content, headers=headers).json()["adaptation_id"]
    if restarts:
        client.__exit__(None, None, None)
    client = start(encoder(NAMES[::-1]), None if restarts else client)
    assert client.post("/adapt", content=content, headers=headers).json()["adaptation_id"] == first
