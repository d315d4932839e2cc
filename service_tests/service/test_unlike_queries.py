"""Queries beyond all inputs of training: `unlike`, and no interval."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from app.bundles.folder import load
from app.learn.support_ood import OODReference
from app.service.unlike_queries import FEW_NUMBERS, far_queries, is_beyond
from service_tests.api.requests import adapt, body
from service_tests.bundles import write_policies
from service_tests.processes import MAML, ROOT

BOUNDS = ((-1.0, 1.0), (0.0, 10.0))
REFERENCE = OODReference(1, 0, (0.0, 5.0), (1.0, 5.0), 1.0, (1,), (1.0,))
MANIFEST = replace(load(MAML).manifest, ood_reference=REFERENCE)


@given(st.lists(st.tuples(st.floats(-3, 3, width=32), st.floats(-3, 13, width=32)), min_size=1, max_size=9))
def test_few_and_many_rows_are_compared_alike(rows: list[tuple[float, float]]) -> None:
    few = np.array(rows, np.float32)
    many = np.concatenate([few] * (FEW_NUMBERS // few.size + 1))
    expected = [not (-1 <= x <= 1 and 0 <= y <= 10) for x, y in few.tolist()]
    assert is_beyond(few, BOUNDS) == expected
    assert is_beyond(many, BOUNDS)[: len(few)] == expected
    one = [not -1 <= x <= 1 for x, _ in few.tolist()]
    assert is_beyond(few[:, :1], BOUNDS[:1]) == one


def test_the_end_of_the_range_is_not_beyond_it() -> None:
    assert REFERENCE.input_bounds == pytest.approx(np.array([(-1.02, 1.02), (-0.1, 10.1)]))
    assert OODReference().input_bounds == ()
    queries = np.array([[1, 10], [1.01, 0], [1.03, 5]], np.float32)
    assert far_queries(queries, MANIFEST) == [False, False, True]
    assert far_queries(queries, replace(MANIFEST, ood_reference=OODReference())) is None


def test_each_feature_has_its_own_range() -> None:
    reference = replace(REFERENCE, input_low=(0.0, 20.0), input_high=(60.0, 80.0))
    assert reference.fits(2)
    assert not replace(reference, input_high=None).fits(2)
    assert not replace(reference, input_low=(0.0,)).fits(2)
    assert reference.input_bounds == pytest.approx(np.array([(-0.6, 60.6), (19.4, 80.6)]))


@pytest.mark.parametrize("name", ["sinusoid", "sinusoid-bayes"])
def test_a_query_far_away_is_unlike_and_has_no_interval(client: TestClient, name: str) -> None:
    sent = body(model=name, queries=[[-5], [1.0], [5], [1000], [-10.5]], interval=0.9)
    answer = client.post("/predict", json=sent).json()
    assert answer["unlike"] == [False, False, False, True, True]
    assert [bound[0] is None for bound in answer["lower"]] == answer["unlike"]
    assert [bound[0] is None for bound in answer["upper"]] == answer["unlike"]
    assert all(prediction[0] is not None for prediction in answer["predictions"])


def test_an_adaptation_and_the_initialization_mark_it_too(client: TestClient) -> None:
    adaptation_id = adapt(client)["adaptation_id"]
    for source in ({"adaptation_id": adaptation_id}, {"model": "sinusoid"}):
        answer = client.post("/predict", json=source | {"queries": [[0.0], [6.0]]}).json()
        assert answer["unlike"] == [False, True]


def test_a_csv_leaves_its_cells_empty(client: TestClient) -> None:
    sent = body(queries=[[1.0], [1000]], interval=0.9)
    lines = client.post("/predict", json=sent, headers={"accept": "text/csv"}).text.splitlines()
    assert lines[0] == "target,target_lower,target_upper,unlike"
    assert lines[1].endswith(",false")
    assert lines[2].endswith(",,,true")


@pytest.mark.parametrize(
    ("name", "queries"),
    [
        ("choices", [[1.0, -0.6, 0.0, 0.2], [1.0, -60.0, 0.0, -29.5], [5.0, 0.0, 0.0, 2.5]]),
        ("navigation", [[0.1, -0.2], [0.1, -20.0], [1000.0, 0.0]]),
        ("driving", [[0.0] * 18, [1e3] + [0.0] * 17, [0.0] * 17 + [-1e3]]),
    ],
)
def test_an_observation_unlike_those_of_training_is_marked(
    client: TestClient, name: str, queries: list[list[float]]
) -> None:
    if name == "driving":
        low, high = np.array(load(ROOT / "models/driving").manifest.ood_reference.input_range).T
        queries = [((low + high) / 2 + np.array(row)).tolist() for row in queries]
    sent = {"model": name, "queries": queries}
    answer = client.post("/predict", json=sent).json()
    assert answer["unlike"] == [False, True, True]
    assert len(answer["predictions"]) == 3
    packed = client.post("/predict", json=sent, headers={"accept": "application/msgpack"})
    assert msgspec.msgpack.decode(packed.content)["unlike"] == [False, True, True]
    lines = client.post("/predict", json=sent, headers={"accept": "text/csv"}).text.splitlines()
    table = list(csv.DictReader(lines))
    assert [row["unlike"] for row in table] == ["false", "true", "true"]
    ndjson = {"content-type": "application/x-ndjson"}
    line = client.post("/predict", content=json.dumps(sent) + "\n", headers=ndjson).text
    assert json.loads(line)["unlike"] == [False, True, True]


def test_an_adapted_policy_marks_them_too(client: TestClient) -> None:
    episode = {"observations": [[1.0, -0.6, 0.0, 0.2], [0.4, -0.6, 0.0, -0.1]], "actions": [1, 0]}
    sent = {"model": "choices", "support": {"episodes": [episode]}, "queries": [[0.2, 0.0, 0.0, 0.1], [4, 0, 0, 2]]}
    assert client.post("/predict", json=sent).json()["unlike"] == [False, True]


def test_a_bundle_without_a_reference_says_nothing(serve: Callable[..., TestClient], tmp_path: Path) -> None:
    write_policies(tmp_path)
    answer = serve(models_dir=tmp_path).post("/predict", json={"model": "names", "queries": [[0.1, 0.2]]}).json()
    assert "unlike" not in answer


def test_a_query_further_from_the_support_set_has_a_wider_interval(client: TestClient) -> None:
    inputs, targets = [[-1.0], [-0.95], [-0.9], [-0.85], [-0.8]], [0.5, 0.52, 0.49, 0.51, 0.5]
    queries = [[-0.9], [-0.7], [-0.4], [0.0], [1.0]]
    sent = {"model": "linear", "support": {"inputs": inputs, "targets": targets}, "queries": queries, "interval": 0.9}
    answer = client.post("/predict", json=sent).json()
    widths = [up[0] - low[0] for up, low in zip(answer["upper"], answer["lower"], strict=True) if up[0] is not None]
    assert len(widths) >= 3
    assert widths == sorted(widths)
    assert widths[-1] > 2 * widths[0]
    adapted = client.post("/adapt", json={"model": "linear", "support": sent["support"]}).json()
    again = {"adaptation_id": adapted["adaptation_id"], "queries": queries, "interval": 0.9}
    assert client.post("/predict", json=again).json()["upper"] == answer["upper"]


def test_a_support_set_beyond_training_leaves_nothing_to_compare_with(client: TestClient) -> None:
    support = {"inputs": [[-0.9], [-0.5], [0.2], [0.8], [1.5]], "targets": [0.5, 0.5, 0.5, 0.5, 0.5]}
    sent = {"model": "linear", "support": support, "queries": [[-0.5], [0.3]], "interval": 0.9}
    answer = client.post("/predict", json=sent).json()
    assert answer["unlike"] == [True, True]
    assert answer["lower"] == [[None], [None]]
    weighted = support | {"weights": [1, 1, 1, 1, 0.001]}
    assert client.post("/predict", json=sent | {"support": weighted}).json()["unlike"] == [False, False]


def test_support_inputs_at_the_ends_of_the_range_are_not_beyond_it(client: TestClient) -> None:
    support = {"inputs": [[-1.0], [-0.5], [0.0], [0.5], [1.0]], "targets": [0.5, 0.5, 0.5, 0.5, 0.5]}
    sent = {"model": "linear", "support": support, "queries": [[-1.0], [0.3], [1.0]], "interval": 0.9}
    assert client.post("/predict", json=sent).json()["unlike"] == [False, False, False]


def test_an_example_that_hardly_counts_is_not_near(client: TestClient) -> None:
    """It neither narrows an interval, nor keeps a query from being unlike."""
    inputs, targets = [[-1.0], [-0.95], [-0.9], [-0.85], [-0.8]], [0.5, 0.52, 0.49, 0.51, 0.5]
    sent = {"model": "linear", "queries": [[-0.2], [0.9]], "interval": 0.9}
    without = client.post("/predict", json=sent | {"support": {"inputs": inputs, "targets": targets}}).json()
    support = {"inputs": [*inputs, [0.9]], "targets": [*targets, 0.5], "weights": [1, 1, 1, 1, 1, 1e-9]}
    answer = client.post("/predict", json=sent | {"support": support}).json()
    assert answer["unlike"] == without["unlike"] == [False, True]
    assert answer["lower"][0] == pytest.approx(without["lower"][0], rel=1e-5)
    assert answer["lower"][1] == [None]


def test_examples_that_all_hardly_count_tell_as_much_as_none(client: TestClient) -> None:
    sent = {"model": "linear", "queries": [[-0.9], [0.5]], "interval": 0.9}
    support = {"inputs": [[-0.9], [-0.5]], "targets": [0.5, 0.4], "weights": [1e-9, 1e-9]}
    answers = [client.post("/predict", json=sent | more).json() for more in ({}, {"support": support})]
    alone, few = ([up[0] - low[0] for up, low in zip(each["upper"], each["lower"], strict=True)] for each in answers)
    assert few == pytest.approx(alone, rel=1e-4)


def test_the_largest_weights_are_compared_too(client: TestClient) -> None:
    """Two whose sum float32 still holds are answered as two of 1,000 are."""
    support = {"inputs": [[-0.9], [-0.5]], "targets": [0.5, 0.4]}
    sent = {"model": "linear", "queries": [[-0.9], [0.9]], "interval": 0.9}
    few, many = (
        client.post("/predict", json=sent | {"support": support | {"weights": [weight] * 2}}).json()
        for weight in (1000, 1.7e38)
    )
    assert few["unlike"] == many["unlike"] == [False, True]
    for name in ("predictions", "lower", "upper"):
        assert many[name][0] == pytest.approx(few[name][0], rel=1e-5)
        assert few[name][0][0] is not None
    assert few["lower"][1] == many["lower"][1] == [None]
    beyond = client.post("/predict", json=sent | {"support": support | {"weights": [3e38, 3e38]}})
    assert beyond.status_code == 422
    assert beyond.json()["detail"].startswith("support.weights: expected weights whose sum is a finite float32 number")
