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
SWAPPED = [{"age": row["dose"], "dose": row["age"]} for row in ROWS]
"""The same by position, in the other order of the columns."""
TARGETS = [1.0, 2.0]
CSV = {"content-type": "text/csv"}
Post = Callable[[TestClient, Sequence[Mapping[str, float]]], Any]


class Start:
    """Starts a server whose model `doses` has an encoder, or gives the model of a running one another encoder."""

    def __init__(self, serve: Callable[..., TestClient], folder: Path) -> None:
        self._serve, self._folder, self._seed = serve, folder, 0

    def __call__(
        self,
        encoder: Encoder,
        running: TestClient | None = None,
        targets: Sequence[str] | None = None,
        *,
        restarts: bool = False,
    ) -> TestClient:
        """running: the server that reads the new bundle; None for the first

        restarts: whether a new process with the same records takes its place
        targets: the names of 2 targets, empty for none; None for 1 target
        """
        if restarts and running is not None:
            running.__exit__(None, None, None)
        folder = self._folder / "models" / "doses"
        write_encoder_bundle(folder, encoder, seed=self._seed, target_names=targets)
        self._seed += 1
        if restarts or running is None:
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


def as_objects_for(digest: str) -> Post:
    """Objects of a client that knows a version of the model."""
    return lambda client, rows: adapt(client, {"inputs": rows, "targets": TARGETS}, model_digest=digest)


def extend(client: TestClient, rows: Sequence[Mapping[str, float]], id: str, **fields: Any) -> Any:
    body = {"inputs": rows, "targets": TARGETS} | fields
    return client.post(f"/adaptations/{id}/support", json=body, headers=KEY)


def is_refused(answer: Any) -> bool:
    """Whether an answer says that the key came with another request before."""
    return (answer.status_code, answer.json().get("type")) == (422, "urn:problem-type:innerloop:key-reused")


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
    client = start(encoder(NAMES[::-1]), client, restarts=restarts)
    assert post(client, ROWS).json()["adaptation_id"] == first
    assert is_refused(post(client, SWAPPED))
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
    client = start(encoder(NAMES[::-1]), client, restarts=restarts)
    assert client.post("/adapt", content=content, headers=headers).json()["adaptation_id"] == first


@pytest.mark.parametrize("encoder", [numbers, table])
def test_objects_go_by_their_names_whatever_version_they_are_for(
    serve: Callable[..., TestClient], tmp_path: Path, encoder: Callable[[Sequence[str]], Encoder]
) -> None:
    start = Start(serve, tmp_path)
    client = start(encoder(NAMES))
    post = as_objects_for(client.get("/models/doses").json()["digest"])
    first = post(client, ROWS).json()["adaptation_id"]
    start(encoder(NAMES[::-1]), client)
    assert post(client, ROWS).json()["adaptation_id"] == first
    assert is_refused(post(client, SWAPPED))


@pytest.mark.parametrize(
    ("encoder", "restarts"),
    [(numbers, False), (table, False), (table, True)],  # a restarted server has no version of `numbers` for the record
    ids=["numbers", "table", "table, restarted"],
)
def test_added_examples_go_by_their_names(
    serve: Callable[..., TestClient], tmp_path: Path, encoder: Callable[[Sequence[str]], Encoder], restarts: bool
) -> None:
    start = Start(serve, tmp_path)
    client = start(encoder(NAMES))
    made = client.post("/adapt", json={"model": "doses", "support": {"inputs": ROWS, "targets": TARGETS}}).json()
    extended = extend(client, ROWS, made["adaptation_id"])
    assert extended.json()["support_size"] == 4, extended.text
    client = start(encoder(NAMES[::-1]), client, restarts=restarts)
    for fields in ({}, {"model_digest": made["model_digest"]}):
        assert extend(client, ROWS, made["adaptation_id"], **fields).json()["support_size"] == 4
        assert is_refused(extend(client, SWAPPED, made["adaptation_id"], **fields))


@pytest.mark.parametrize("encoder", [numbers, table])
@pytest.mark.parametrize("names", [((), ("u", "v")), (("u", "v"), ()), (("u", "v"), ("v", "u"))])
def test_targets_without_names_go_by_their_positions(
    serve: Callable[..., TestClient],
    tmp_path: Path,
    encoder: Callable[[Sequence[str]], Encoder],
    names: tuple[Sequence[str], Sequence[str]],
) -> None:
    """Although the inputs have names in both versions, and their order changes."""
    start = Start(serve, tmp_path)
    support = {"inputs": ROWS, "targets": [[1, 3], [2, 4]]}
    client = start(encoder(NAMES), targets=names[0])
    first = adapt(client, support).json()["adaptation_id"]
    start(encoder(NAMES[::-1]), client, targets=names[1])
    assert adapt(client, support).json()["adaptation_id"] == first
    for other in ({"inputs": SWAPPED}, {"targets": [[3, 1], [4, 2]]}):
        assert is_refused(adapt(client, support | other))


def test_a_new_column_that_a_request_lacks_changes_nothing(serve: Callable[..., TestClient], tmp_path: Path) -> None:
    start = Start(serve, tmp_path)
    client = start(table(NAMES))
    first = as_objects(client, ROWS).json()["adaptation_id"]
    heavier = [{**row, "weight": 3.0} for row in ROWS]
    weight = {"weight": {"type": "number", "may_be_missing": True}}
    start(TableEncoder.fit(heavier, weight, names=["age", "weight", "dose"]), client)
    assert as_objects(client, ROWS).json()["adaptation_id"] == first
    assert is_refused(as_objects(client, heavier))


@pytest.mark.parametrize("encoder", [numbers, table])
def test_values_with_and_without_names_are_one_request_if_they_mean_the_same(
    serve: Callable[..., TestClient], tmp_path: Path, encoder: Callable[[Sequence[str]], Encoder]
) -> None:
    start = Start(serve, tmp_path)
    client = start(encoder(NAMES))
    first = as_objects(client, ROWS).json()["adaptation_id"]
    plain = {"inputs": [list(row.values()) for row in ROWS], "targets": TARGETS}
    assert adapt(client, plain).json()["adaptation_id"] == first
    start(encoder(NAMES[::-1]), client)
    assert is_refused(adapt(client, plain))


@pytest.mark.parametrize("encoder", [numbers, table])
@pytest.mark.parametrize("names", [((), ("v", "u")), (("v", "u"), ())])
def test_names_are_not_taken_for_positions(
    serve: Callable[..., TestClient],
    tmp_path: Path,
    encoder: Callable[[Sequence[str]], Encoder],
    names: tuple[Sequence[str], Sequence[str]],
) -> None:
    """Of targets that have names in one version alone: nobody knows whether these values are the same."""
    start = Start(serve, tmp_path)

    def post() -> Any:
        digest = client.get("/models/doses").json()["digest"]
        return adapt(client, {"inputs": ROWS, "targets": [[1, 3], [2, 4]]}, model_digest=digest)

    client = start(encoder(NAMES), targets=names[0])
    assert post().status_code == 201
    start(encoder(NAMES), client, targets=names[1])
    assert is_refused(post())
