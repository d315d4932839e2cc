"""The forms of inputs and answers: each gives the same numbers, and comes back as itself."""

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from innerloop_client import Client, InvalidRequest, UnsupportedInput
from service_tests.api.requests import QUERIES, WAVE
from service_tests.bundles import write_tables
from service_tests.client.watched import Watched
from service_tests.encoders.cases import PATIENTS

X, Y = WAVE["inputs"], WAVE["targets"]
TARGETS = [1.0, 0.5, 2.0, -1.0, 0.0]
FRAME = pd.DataFrame(PATIENTS, index=list("abcde"))
LABELS = ["low", "high", "low", "high", "low"]


@pytest.fixture
def tables(serve_live: Callable[..., str], tmp_path: Path) -> Iterator[Client]:
    """A client of a server with `wards` and `risks`."""
    write_tables(tmp_path / "models")
    with Client(serve_live(models_dir=tmp_path / "models")) as client:
        yield client


@pytest.fixture
def blobs(serve_live: Callable[..., str], classifiers: Path) -> Iterator[Client]:
    with Client(serve_live(models_dir=classifiers)) as client:
        yield client


NUMBERS: list[Callable[[Any], Any]] = [
    list,
    tuple,
    lambda rows: [tuple(row) for row in rows],
    lambda rows: [np.array(row) for row in rows],
    lambda rows: [[np.float32(row[0])] for row in rows],
    lambda rows: (row for row in rows),
]


@pytest.mark.parametrize("form", NUMBERS, ids=range(len(NUMBERS)))
def test_what_is_no_array_comes_back_as_a_list(innerloop: Client, form: Callable[[Any], Any]) -> None:
    expected = innerloop.predict("sinusoid", QUERIES, X, Y)
    predicted = innerloop.predict("sinusoid", form(QUERIES), form(X), Y)
    assert isinstance(predicted, list)
    assert predicted == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f8", "int8", "int64", "uint16", "longdouble"])
def test_arrays_of_every_type(innerloop: Client, dtype: str) -> None:
    whole = [[-3], [1], [2]] if dtype[0] != "u" else [[3], [1], [2]]
    expected = innerloop.predict("sinusoid", whole, X, Y)
    for count in (1, 3000):
        queries = np.array(whole * count, dtype)
        for each in (queries, np.asfortranarray(queries), queries[::1]):
            predicted = innerloop.predict("sinusoid", each, X, Y)
            np.testing.assert_allclose(predicted, expected * count, atol=1e-5)
            assert predicted.dtype == np.float32


def test_tensors(innerloop: Client) -> None:
    expected = innerloop.predict("sinusoid", QUERIES, X, Y)
    pump = innerloop.adapt("sinusoid", torch.tensor(X, requires_grad=True), torch.tensor(Y))
    predicted = pump.predict(torch.tensor(QUERIES))
    torch.testing.assert_close(predicted, torch.tensor(expected), atol=1e-5, rtol=0)
    coarse = pump.predict(torch.tensor(QUERIES, dtype=torch.bfloat16))
    assert coarse.dtype == torch.float32


def test_large_arrays_and_lists_are_sent_as_bytes(url: str) -> None:
    http = Watched()
    with Client(url, http=http) as innerloop:
        small = innerloop.predict("sinusoid", [[0.5]], X, Y)
        many = [[0.5]] * 4000
        assert innerloop.predict("sinusoid", many, X, Y) == pytest.approx(small * 4000, abs=1e-5)
        assert innerloop.predict("sinusoid", np.array(many), np.array(X), Y)[-1] == pytest.approx(small[0], abs=1e-5)
        innerloop.predict("sinusoid", [[1], [0.5]] * 2000, X, Y)
    assert [kind for kind, _ in http.sent] == ["json", "msgpack", "msgpack", "json"]
    assert [type(body["queries"]) for _, body in http.sent[1:3]] == [dict, dict]
    assert http.sent[1][1]["queries"]["dtype"] == "float64"


def test_a_frame_is_sent_by_the_names_of_its_columns(tables: Client) -> None:
    rows = [{name: value for name, value in row.items() if value == value} for row in PATIENTS]
    expected = tables.predict("wards", rows, rows, TARGETS)
    ward = tables.adapt("wards", FRAME[FRAME.columns[::-1]], pd.Series(TARGETS, index=FRAME.index))
    predicted = ward.predict(FRAME)
    assert isinstance(predicted, pd.Series)
    assert (predicted.name, list(predicted.index)) == ("target", list("abcde"))
    np.testing.assert_allclose(predicted, expected, atol=1e-5)


def test_types_of_pandas(tables: Client) -> None:
    """Categories, nullable numbers, times and missing values of every kind."""
    typed = FRAME.assign(
        sex=FRAME.sex.astype("category"),
        smoker=FRAME.smoker.astype("boolean"),
        seen=pd.to_datetime(FRAME.seen, utc=True, format="ISO8601"),
        dose=FRAME.dose.astype("Float64"),
        ward=FRAME.ward.astype("Int64"),
    )
    plain = tables.predict("wards", FRAME, FRAME, TARGETS)
    np.testing.assert_allclose(tables.predict("wards", typed, typed, TARGETS), plain, atol=1e-5)


def test_the_target_can_be_a_column(tables: Client) -> None:
    examples = FRAME.assign(days=TARGETS)
    predicted = tables.adapt("wards", examples, "days").predict(FRAME)
    np.testing.assert_allclose(predicted, tables.adapt("wards", FRAME, TARGETS).predict(FRAME), atol=1e-5)
    with pytest.raises(InvalidRequest, match="days"):
        tables.adapt("wards", FRAME, TARGETS).predict(examples)


def test_labels_of_a_frame(tables: Client) -> None:
    risk = tables.adapt("risks", FRAME, pd.Series(LABELS, index=FRAME.index, dtype="category"))
    assert risk.labels == ["low", "high"]
    predicted = risk.predict(FRAME)
    assert predicted.name == "label"
    assert set(predicted) <= {"low", "high"}
    probabilities = risk.predict_proba(FRAME)
    assert list(probabilities.columns) == ["low", "high"]
    assert list(probabilities.index) == list("abcde")
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_a_frame_for_a_model_without_names(innerloop: Client) -> None:
    frame = pd.DataFrame({"time": [row[0] for row in X]}, index=range(10, 15))
    expected = innerloop.predict("sinusoid", X, X, Y)
    predicted = innerloop.predict("sinusoid", frame, frame, Y)
    np.testing.assert_allclose(predicted, expected, atol=1e-5)
    assert list(predicted.index) == list(frame.index)
    np.testing.assert_allclose(innerloop.predict("sinusoid", frame.time, frame, Y), expected, atol=1e-5)
    bounds = innerloop.adapt("sinusoid-bayes", frame, Y).predict(frame, interval=0.9)
    assert isinstance(bounds.lower, pd.Series)
    with pytest.raises(UnsupportedInput, match="sinusoid takes numbers, but these columns have other values: pump"):
        innerloop.adapt("sinusoid", frame.assign(pump="a"), Y)


def test_a_frame_for_a_model_of_numbers_with_names(innerloop: Client) -> None:
    names = [column["name"] for column in innerloop.model("choices").inputs["columns"]]
    queries = [[1.0, 2.0, 3.0, 4.0], [4.0, 1.0, 2.0, 3.0]]
    frame = pd.DataFrame(queries, columns=names, index=["a", "b"])
    expected = innerloop.predict("choices", queries, details=True).probabilities
    for same in (frame, frame[names[::-1]], pd.DataFrame(queries, index=["a", "b"])):
        result = innerloop.predict("choices", same, details=True)
        np.testing.assert_allclose(result.probabilities, expected, atol=1e-6)
        assert list(result.predictions.index) == ["a", "b"]
    with pytest.raises(UnsupportedInput, match=rf"^queries: expected the columns {', '.join(names)}, got .*other"):
        innerloop.predict("choices", frame.rename(columns={names[0]: "other"}))


def test_an_observation_with_names(innerloop: Client) -> None:
    names = [column["name"] for column in innerloop.model("choices").inputs["columns"]]
    policy, numbers = innerloop.policy("choices"), [0.6, -1.2, 0.0, -0.3]
    frame = pd.DataFrame([numbers], columns=names)
    swapped = frame[names[::-1]]
    expected = innerloop.predict("choices", [numbers], details=True).probabilities[0]
    for same in (frame.iloc[0], swapped.iloc[0], swapped, swapped.to_records(index=False)[0]):
        result = innerloop.predict("choices", [same], details=True)
        np.testing.assert_allclose(result.probabilities[0], expected, atol=1e-6)
        assert policy.act(same) == np.argmax(expected)


def test_true_and_1_are_different_labels(blobs: Client) -> None:
    x = [[0.0, 0.0], [5.0, 5.0], [0.2, 0.0], [5.0, 5.4]]
    assert [*map(repr, blobs.adapt("blobs", x, [True, 1, True, 1]).predict(x))] == ["True", "1", "True", "1"]


@pytest.mark.parametrize("end", ["\u2028", "\x85", "\x1c", "\0"])
def test_labels_keep_their_ends(blobs: Client, end: str) -> None:
    x, labels = [[0.0, 0.0], [5.0, 5.0]], [f"a{end}", f"b{end}"]
    adapted = blobs.adapt("blobs", x, labels)
    assert adapted.predict(x) == adapted.predict(np.array(x)).tolist() == labels


@pytest.mark.parametrize("labels", [[1, 2, 1, 2], ["a", "b", "a", "b"], [True, False, True, False], [1, "1", 1, "1"]])
def test_labels_come_back_as_they_were(blobs: Client, labels: list[Any]) -> None:
    x = [[0.0, 0.0], [5.0, 5.0], [0.2, 0.0], [5.0, 5.4]]
    adapted = blobs.adapt("blobs", x, labels)
    predicted = adapted.predict(x)
    assert [(type(each), each) for each in predicted] == [(type(each), each) for each in labels]
    array = blobs.adapt("blobs", np.array(x), np.array(labels, None if len({*map(type, labels)}) == 1 else object))
    assert array.labels == adapted.labels
    assert array.predict(np.array(x)).tolist() == labels
    probabilities = array.predict_proba(np.array(x))
    assert (probabilities.argmax(axis=1) == [0, 1, 0, 1]).all()
    if not isinstance(labels[0], str) and len(set(map(type, labels))) == 1:
        assert array.predict(torch.tensor(x)).tolist() == labels


def test_weights_and_classes_without_examples(blobs: Client) -> None:
    x = [[0.0, 0.0], [5.0, 5.0], [0.2, 0.0]]
    adapted = blobs.adapt("blobs", x, ["a", "b", "a"], weights=np.array([1, 1, 0.5]), labels=["b", "a"])
    assert adapted.labels == ["b", "a"]
    assert adapted.extend([[9.0, 0.0]], ["c"], labels=["c"], weights=[2]).labels == ["b", "a", "c"]


def test_values_of_examples_can_be_a_column(blobs: Client) -> None:
    x, labels = np.array([[0.0, 0.0], [5.0, 5.0]]), [["a"], ["b"]]
    for y in (labels, np.array(labels), pd.DataFrame(labels), np.array(labels, object)):
        assert blobs.adapt("blobs", x, y, weights=np.array([[1.0], [2.0]])).labels == ["a", "b"]
    assert blobs.adapt("blobs", x, np.array([[1], [2]], np.uint8)).labels == [1, 2]


def test_numbers_of_one_byte(innerloop: Client) -> None:
    expected = innerloop.predict("sinusoid", [[3], [1]], X, Y)
    np.testing.assert_allclose(innerloop.predict("sinusoid", np.array([[3], [1]], np.uint8), X, Y), expected, atol=1e-5)


def test_a_column_that_is_there_twice(innerloop: Client) -> None:
    frame = pd.DataFrame([[1.0, 1.0, 1.0]], columns=["a", "f", "f"])
    with pytest.raises(UnsupportedInput, match=r"y: expected a column of x .*, got 'f', which 2 columns are called"):
        innerloop.adapt("sinusoid", frame, "f")


def test_a_model_is_named(innerloop: Client) -> None:
    for name, sentence in ((None, "got NoneType"), (X, "got list"), ("\ud800", "surrogate")):
        with pytest.raises(UnsupportedInput, match=f"model: expected .*{sentence}"):
            innerloop.adapt(name, X, Y)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("x", "sentence"),
    [
        ("rows.csv", "x: expected a list or an array, got str: put a single value into a list"),
        (3, "x: expected a list or an array, got int"),
        ([object()], r"x\[0\]: cannot send a value of type object"),
        (np.array(3), "x: expected rows, got a single value"),
        (np.array([1j]), "x: expected real numbers, got complex128"),
        (bytearray(b"a"), "x: expected a list or an array, got bytearray"),
        (io.BytesIO(), "x: expected a list or an array, got BytesIO"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_its_place(innerloop: Client, x: Any, sentence: str) -> None:
    with pytest.raises(UnsupportedInput, match=sentence):
        innerloop.adapt("sinusoid", x, Y)


def test_numbers_that_are_not_finite_are_refused_by_the_server(innerloop: Client) -> None:
    for x in ([[float("nan")], [1.0]], np.array([[np.nan], [1.0]])):
        with pytest.raises(InvalidRequest, match=r"support\.inputs\[0\]"):
            innerloop.adapt("sinusoid", x, [0.0, 1.0])


def test_what_is_no_episode_or_option_is_refused(innerloop: Client) -> None:
    with pytest.raises(UnsupportedInput, match=r"^episodes: expected a list of episodes, got numbers"):
        innerloop.adapt("navigation", episodes=np.zeros((1, 2)))  # type: ignore[arg-type]
    with pytest.raises(UnsupportedInput, match=r"^label: cannot send a value of type bytes"):
        innerloop.adapt("sinusoid", [[1]], [1], label=b"abc")  # type: ignore[arg-type]
    [error] = innerloop.adapt_many([{"model": "sinusoid", "x": [[1]], "y": [1], "label": b"abc"}])  # type: ignore[typeddict-item]
    assert str(error) == "tasks[0]: label: cannot send a value of type bytes: send its decode(), a text"


@pytest.mark.parametrize("labels", [[b"a", b"b"], np.array([b"a", b"b"]), [[b"a"], [b"b"]]])
def test_bytes_are_no_labels_in_any_form(innerloop: Client, labels: Any) -> None:
    with pytest.raises(UnsupportedInput, match=r"^y(\[0\])?: cannot send a value of type bytes"):
        innerloop.adapt("letters", [[0.0], [1.0]], labels)
    [error] = innerloop.adapt_many([{"model": "letters", "x": [[0.0], [1.0]], "y": labels}])
    assert re.match(r"tasks\[0\]: y(\[0\])?: cannot send a value of type bytes", str(error))


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"steps": float("nan")}, "steps"),
        ({"ttl_s": 10**5000}, "ttl_s"),
        ({"x": [[1.0], [float("inf")]]}, "x[1][0]"),
        ({"y": [1.0, float("-inf")]}, "y[1]"),
        ({"weights": [1.0, 10**5000]}, "weights[1]"),
        ({"y": [1.0, float("nan")]}, "support.targets[1]"),
        ({"weights": [1.0, float("nan")]}, "support.weights[1]"),
        ({"x": np.array([[1.0], [np.nan]])}, "support.inputs[1][0]"),
    ],
)
def test_numbers_that_json_cannot_have_are_named_in_lines_too(
    innerloop: Client, fields: dict[str, Any], place: str
) -> None:
    task: Any = {"model": "sinusoid", "x": [[1.0], [2.0]], "y": [1.0, 2.0]}
    [error] = innerloop.adapt_many([task | fields])
    assert str(error).removeprefix("tasks[0]: ").startswith(f"{place}: expected ")


def test_arguments_of_other_types_are_named(innerloop: Client, tmp_path: Path) -> None:
    pump = innerloop.adapt("sinusoid", [[1]], [1], timeout=np.float32(20))  # type: ignore[arg-type]
    for call, place in (
        (lambda: pump.forget(np.array([3])), "example"),  # type: ignore[arg-type]
        (lambda: pump.forget(10**5000), "example"),
        (lambda: pump.weights(5), "path"),  # type: ignore[arg-type]
        (lambda: innerloop.policy("navigation", 5), "adaptation"),  # type: ignore[arg-type]
        (lambda: innerloop.adaptation(10**5000), "id"),  # type: ignore[arg-type]
        (lambda: innerloop.adapt_many(list), "tasks"),  # type: ignore[arg-type]
        (lambda: innerloop.adapt("sinusoid", [[1]], [1], idempotency_key=10**5000), "idempotency_key"),  # type: ignore[arg-type]
    ):
        with pytest.raises(UnsupportedInput, match=f"^{place}: expected "):
            call()
