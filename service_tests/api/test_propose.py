"""POST /propose: which row to measure or label next."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from fastapi.testclient import TestClient

from service_tests.api.requests import WAVE, adapt

CANDIDATES = [[-3], [-1], [1], [3], [5]]
MODEL = "sinusoid-bayes"


def body(**fields: Any) -> dict[str, Any]:
    return {"model": MODEL, "support": WAVE, "candidates": CANDIDATES, "count": 2, "goal": "learn"} | fields


def propose(client: TestClient, **fields: Any) -> list[dict[str, Any]]:
    """The proposals. A field that is None is left out."""
    sent = {name: value for name, value in body(**fields).items() if value is not None}
    response = client.post("/propose", json=sent)
    assert response.status_code == 200, response.text
    proposals: list[dict[str, Any]] = response.json()["proposals"]
    return proposals


def refused(client: TestClient, **fields: Any) -> tuple[str, str]:
    """The place and the detail of a 422. A field that is None is left out."""
    response = client.post(
        "/propose", json={name: value for name, value in body(**fields).items() if value is not None}
    )
    assert response.status_code == 422, response.text
    return response.json().get("place", ""), response.json()["detail"]


def test_by_id_and_by_support_the_proposals_are_the_same_and_nothing_is_kept(client: TestClient) -> None:
    adaptation = adapt(client, model=MODEL)
    by_id = client.post(
        "/propose",
        json={"adaptation_id": adaptation["adaptation_id"], "candidates": CANDIDATES, "count": 2, "goal": "learn"},
    ).json()
    at_once = client.post("/propose", json=body()).json()
    assert [each["index"] for each in by_id["proposals"]] == [each["index"] for each in at_once["proposals"]]
    assert by_id.keys() == {"proposals", "model", "model_digest", "adaptation_id", "revision"}
    assert at_once.keys() == {"proposals", "model", "model_digest", "losses", "status"}
    assert by_id["proposals"][0].keys() == {"index", "score", "prediction", "std", "nearest_example", "unlike"}
    assert len(client.get("/adaptations").json()["adaptations"]) == 1
    again = client.get(f"/adaptations/{adaptation['adaptation_id']}").json()
    assert again == adaptation


def test_predictions_are_those_of_predict(client: TestClient) -> None:
    queries = {"model": MODEL, "support": WAVE, "queries": CANDIDATES}
    predicted = client.post("/predict", json=queries).json()
    for proposal in propose(client, count=5):
        index = proposal["index"]
        assert proposal["prediction"] == pytest.approx(predicted["predictions"][index], abs=1e-5)
        assert proposal["std"] == pytest.approx(predicted["std"][index], rel=1e-4)
        assert proposal["unlike"] == predicted["unlike"][index]


def test_the_nearest_example_has_its_number_in_the_adaptation(client: TestClient) -> None:
    adaptation_id = adapt(client, model=MODEL)["adaptation_id"]
    client.delete(f"/adaptations/{adaptation_id}/support/0")  # example 1 is the first now, at -2
    by_id: dict[str, Any] = {"adaptation_id": adaptation_id, "model": None, "support": None}
    nearest = {each["index"]: each["nearest_example"] for each in propose(client, **by_id, count=5)}
    assert nearest == {0: 1, 1: 1, 2: 2, 3: 4, 4: 4} or nearest == {0: 1, 1: 1, 2: 2, 3: 3, 4: 4}
    weighted = WAVE | {"weights": [0, 1, 1, 1, 1]}
    assert {each["nearest_example"] for each in propose(client, support=weighted, count=5)} <= {1, 2, 3, 4}
    assert propose(client, support=weighted, count=1, candidates=[[-4]])[0]["nearest_example"] == 1


def test_without_examples_there_is_no_nearest_one(client: TestClient) -> None:
    (proposal,) = propose(client, support=None, count=1)
    assert proposal.keys() == {"index", "score", "prediction", "std", "unlike"}


def test_msgpack_has_raw_arrays_and_gives_the_same(client: TestClient) -> None:
    raw = {"shape": [5, 1], "data": np.array(CANDIDATES, "<f4").tobytes(), "dtype": "float32"}
    sent, media = msgspec.msgpack.encode(body(candidates=raw)), {"content-type": "application/msgpack"}
    answer = msgspec.msgpack.decode(client.post("/propose", content=sent, headers=media).content)
    for one, two in zip(answer["proposals"], propose(client), strict=True):
        assert one["index"] == two["index"]
        assert np.frombuffer(one["prediction"]["data"], "<f4") == pytest.approx(two["prediction"], abs=1e-5)


def test_one_request_on_each_line(client: TestClient) -> None:
    lines = "\n".join(json.dumps(each) for each in (body(), body(count=9), body(goal="maximize")))
    answer = client.post("/propose", content=lines, headers={"content-type": "application/x-ndjson"})
    first, wrong, last = map(json.loads, answer.text.splitlines())
    assert [each["index"] for each in first["proposals"]] == [each["index"] for each in propose(client)]
    assert wrong["place"] == "count"
    assert last["proposals"][0]["index"] != first["proposals"][0]["index"]


def test_candidates_as_csv(client: TestClient) -> None:
    adaptation_id = adapt(client, model=MODEL)["adaptation_id"]
    fields = {"adaptation_id": adaptation_id, "count": "2", "goal": "maximize", "target": "target"}
    text = "time\n" + "".join(f"{row[0]}\n" for row in CANDIDATES)
    answer = client.post("/propose", params=fields, content=text, headers={"content-type": "text/csv"})
    expected = [each["index"] for each in propose(client, goal="maximize")]
    assert [each["index"] for each in answer.json()["proposals"]] == expected
    wrong = client.post("/propose", params=fields | {"count": "0"}, content=text, headers={"content-type": "text/csv"})
    assert wrong.json()["detail"] == 'query.count: expected a whole number of at least 1, got "0"'


def test_many_candidates_leave_the_event_loop_and_give_the_same(client: TestClient) -> None:
    x = np.linspace(-5, 5, 30_000, dtype=np.float32)
    proposals = propose(client, candidates=x[:, None].tolist(), count=3)
    assert len({each["index"] for each in proposals}) == 3
    few = x[::1000, None].tolist()
    best = propose(client, candidates=few, count=1)[0]
    assert proposals[0]["score"] >= best["score"]


def test_the_model_of_gradient_steps_uses_its_calibration(client: TestClient, serve: Callable[..., TestClient]) -> None:
    line = {"inputs": [[-0.9], [-0.8], [-0.7], [-0.6], [-0.5]], "targets": [-1.8, -1.6, -1.4, -1.2, -1.0]}
    fields: dict[str, Any] = {"model": "linear", "support": line, "candidates": [[-0.8], [0.9], [0.1]]}
    assert [each["index"] for each in propose(client, **fields)] == [1, 2]
    assert propose(client, **fields, goal="maximize")[0]["index"] == 1
    place, detail = refused(client, **fields | {"support": None})
    assert (place, detail.endswith("so send support")) == ("support", True)
    place, detail = refused(client, **fields, steps=1)
    assert place == "model"
    assert "for which linear is calibrated, got one with 1: adapt with steps" in detail


def test_nothing_says_how_sure_an_uncalibrated_model_is(serve: Callable[..., TestClient], own_models: Path) -> None:
    from dataclasses import replace

    from app.bundles.folder import load, write
    from app.learn.calibration_table import Calibration

    old = load(own_models / "linear")
    write(own_models / "linear", replace(old.manifest, calibration=Calibration()), old.meta)
    client = serve(models_dir=own_models)
    support = {"inputs": [[0.1]], "targets": [1]}
    assert refused(client, model="linear", support=support, goal="maximize") == (
        "model",
        "model: nothing says how sure linear is, so run `innerloop calibrate linear` to measure its errors, or use a "
        "Bayesian model",
    )
    one_width = replace(old.manifest.calibration, distances=None, stretch=None)
    write(own_models / "linear", replace(old.manifest, calibration=one_width), old.meta)
    client = serve(models_dir=own_models)
    five = {"inputs": [[0.1], [0.2], [0.3], [0.4], [0.5]], "targets": [1, 2, 3, 4, 5]}
    place, detail = refused(client, model="linear", support=five)
    assert (place, "run `innerloop calibrate linear` again" in detail) == ("model", True)
    assert len(propose(client, model="linear", support=five, goal="minimize")) == 2


@pytest.mark.parametrize(
    ("fields", "place", "detail"),
    [
        ({"count": 6}, "count", "expected at most 5, the number of candidates, got 6: send more candidates"),
        ({"count": 0}, "count", "expected a whole number of at least 1, got 0"),
        ({"count": None}, "count", "expected a value, got none: add the field"),
        ({"goal": "win"}, "goal", 'expected one of learn, maximize, minimize, got "win"'),
        ({"goal": None}, "goal", "expected a value, got none: add the field"),
        ({"candidates": []}, "candidates", "expected at least 1 element, got 0"),
        ({"candidates": [[1], [2, 3]]}, "candidates[1]", "expected 1 number, got 2"),
        ({"candidates": [[1], ["x"]]}, "candidates[1][0]", "expected a number, got"),
        ({"candidates": None, "queries": CANDIDATES}, "queries", "unknown"),
        ({"target": "temperature"}, "target", 'expected 0, or one of "target", got "temperature"'),
        ({"target": 1, "goal": "maximize"}, "target", 'expected 0, or one of "target", got 1'),
        ({"target": True}, "target", 'expected 0, or one of "target", got true'),
        ({"target": 0.5}, "target", "got 0.5"),
        ({"model": None}, "", "expected exactly one of adaptation_id and model, got neither"),
        ({"adaptation_id": "x"}, "", "expected exactly one of adaptation_id and model, got both"),
        ({"pinned": True}, "pinned", "this needs adaptation_id"),
        ({"support": None, "steps": 1}, "steps", "there is nothing to adapt to"),
        ({"learning_rate": 0.1}, "learning_rate", "adapts in closed form"),
        ({"model": "navigation", "support": None}, "model", "navigation is a policy, which learns from episodes"),
    ],
)
def test_a_wrong_field_is_named_with_the_fix(
    client: TestClient, fields: dict[str, Any], place: str, detail: str
) -> None:
    actual, text = refused(client, **fields)
    assert actual == place
    assert detail in text


def test_work_over_the_limit_is_refused(serve: Callable[..., TestClient]) -> None:
    client = serve(max_multiply_adds=10_000_000)
    x = np.linspace(-5, 5, 400)[:, None].tolist()
    assert len(propose(client, candidates=x, count=1)) == 1
    place, detail = refused(client, candidates=x, count=400)
    assert place == "candidates"
    assert "(INNERLOOP_MAX_MULTIPLY_ADDS)" in detail
    assert detail.endswith("send fewer candidates, or a smaller count")


def test_a_deadline_that_passes(client: TestClient) -> None:
    x = np.linspace(-5, 5, 4000)[:, None].tolist()
    answer = client.post("/propose", json=body(candidates=x, count=1000), headers={"x-timeout-ms": "20"})
    assert answer.status_code == 504


class TestLabels:
    @pytest.fixture
    def client(self, serve: Callable[..., TestClient], classifiers: Path) -> TestClient:
        return serve(models_dir=classifiers)

    SUPPORT: dict[str, Any] = {"inputs": [[-3, 0], [3, 0]], "targets": ["no", 1]}  # noqa: RUF012
    CANDIDATES = ((0, 0), (2.9, 0.1), (-2.9, 0.1), (0, 5))

    def fields(self, **fields: Any) -> dict[str, Any]:
        return {"model": "blobs", "support": self.SUPPORT, "candidates": self.CANDIDATES} | fields

    def test_learn_and_find(self, client: TestClient) -> None:
        learned = propose(client, **self.fields())
        assert learned[0]["index"] in (0, 3)
        assert learned[0].keys() == {"index", "score", "prediction", "nearest_example"}
        (found,) = propose(client, **self.fields(goal="maximize", target=1, count=1))
        assert (found["index"], found["prediction"], found["nearest_example"]) == (1, 1, 1)
        (avoided,) = propose(client, **self.fields(goal="minimize", target=1, count=1))
        assert (avoided["index"], avoided["prediction"]) == (2, "no")

    def test_a_query_parameter_names_a_label_of_any_type(self, client: TestClient) -> None:
        adaptation_id = adapt(client, self.SUPPORT, model="blobs")["adaptation_id"]
        fields = {"adaptation_id": adaptation_id, "count": "1", "goal": "maximize", "target": "1"}
        answer = client.post(
            "/propose", params=fields, content="x,y\n2.9,1\n0,0\n", headers={"content-type": "text/csv"}
        )
        assert answer.json()["proposals"][0]["prediction"] == 1

    @pytest.mark.parametrize(
        ("fields", "place", "detail"),
        [
            ({"target": "no"}, "target", "the goal `learn` is about all labels, so leave target out"),
            ({"goal": "maximize"}, "target", 'the label whose probability is to maximize, got none: send one of "no"'),
            ({"goal": "maximize", "target": True}, "target", 'expected one of the labels "no", 1, got true'),
            ({"support": None}, "support", "blobs is a classifier, so send support"),
        ],
    )
    def test_a_wrong_target(self, client: TestClient, fields: dict[str, Any], place: str, detail: str) -> None:
        actual, text = refused(client, **self.fields(**fields))
        assert actual == place
        assert detail in text

    def test_classes_without_an_example(self, client: TestClient) -> None:
        fields = self.fields(model="fixed", support={"labels": ["a", "b"]}, count=3)
        assert "nearest_example" not in propose(client, **fields)[0]


def test_rows_of_a_table_are_compared_as_the_model_sees_them(serve: Callable[..., TestClient], tmp_path: Path) -> None:
    """The record keeps what was posted, so the worker encodes it again."""
    from service_tests.bundles import write_tables
    from service_tests.encoders.cases import PATIENTS

    write_tables(tmp_path / "models")
    client = serve(models_dir=tmp_path / "models")
    support = {"inputs": PATIENTS[:3], "targets": ["low", "high", "low"]}
    fields: dict[str, Any] = {"candidates": PATIENTS[:3], "count": 3}
    at_once = propose(client, model="risks", support=support, **fields)
    adaptation_id = adapt(client, support, model="risks")["adaptation_id"]
    for _ in range(2):  # derived again, and from the cache
        by_id = propose(client, model=None, support=None, adaptation_id=adaptation_id, **fields)
        assert [(each["index"], each["nearest_example"]) for each in by_id] == [
            (each["index"], each["nearest_example"]) for each in at_once
        ]
    assert all(each["index"] == each["nearest_example"] for each in by_id)
    assert [each["score"] for each in by_id] == [0, 0, 0], "they are examples already"


def test_large_work_runs_beside_small_work_in_bounded_memory(serve: Callable[..., TestClient]) -> None:
    x = np.linspace(-5, 5, 200_000, dtype="<f4")
    raw = {"shape": [len(x), 1], "data": x.tobytes(), "dtype": "float32"}
    media = {"content-type": "application/msgpack"}
    answers = []
    for limit in (2**30, 2**20):
        client = serve(max_work_bytes=limit)
        adaptation_id = adapt(client, model=MODEL)["adaptation_id"]
        sent = {"adaptation_id": adaptation_id, "candidates": raw, "count": 2, "goal": "learn"}
        answers.append(client.post("/propose", content=msgspec.msgpack.encode(sent), headers=media))
    assert len(msgspec.msgpack.decode(answers[0].content)["proposals"]) == 2
    assert answers[1].json()["place"] == "candidates"
    assert answers[1].json()["detail"].endswith("send fewer candidates")
