"""What the estimators refuse, as numpy and scikit-learn would take it for other numbers or labels."""

from collections import namedtuple
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from innerloop_client import UnsupportedInput
from innerloop_client.sklearn import FewShotClassifier, FewShotRegressor
from service_tests.processes import serving_in_a_thread

X = np.array([[61.0, 2], [47, 1], [30, 0.5]])
MASKED = np.ma.masked_array(X, X == 1)
DATES = np.array(["2026-01-01", "2026-01-02", "2026-01-03"], "datetime64[D]")
DURATIONS = DATES - DATES[0]
Row = namedtuple("Row", "age dose")
RECORDS = np.array([*map(tuple, X)], [("age", "f8"), ("dose", "f8")])
NAMED: dict[str, Any] = {
    "named tuples": [Row(*row) for row in X],
    "Series": [pd.Series(row[::-1], ["dose", "age"]) for row in X],
    "structured array": RECORDS,
    "records": list(RECORDS),
    "dicts": [{"age": age, "dose": dose} for age, dose in X],
    "dict": {"age": X[:, 0], "dose": X[:, 1]},
}
"""Rows with names of their own."""


@pytest.fixture(scope="module")
def values_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with models that are not trained: three without names, a regressor with names, and tables."""
    from app.encoders.registry import fit  # after the shape checks are installed
    from app.learn.networks import NetworkSpec
    from app.main import create_app
    from app.settings import Settings
    from service_tests.bundles import write_bundle, write_encoder_bundle, write_tables

    folder = tmp_path_factory.mktemp("models")
    network = NetworkSpec("linear", {"inputs": 2, "outputs": 16})
    write_bundle(folder / "regressor", "linear", "alpaca", network, options={"features": 2})
    write_bundle(folder / "classifier", "blobs", "protonet", network, options={"features": 2})
    write_bundle(folder / "three-targets", "linear", "alpaca", network, options={"features": 2, "targets": 3})
    write_encoder_bundle(folder / "named", fit("numbers", X, {"names": ["age", "dose"]}))
    write_tables(folder)
    with serving_in_a_thread(
        create_app(Settings(models_dir=folder, compile=False, watch=False, store="memory"))
    ) as url:
        yield url


def _masked(values: Any) -> Any:
    """A masked array without its second value."""
    return np.ma.masked_array(values, [False, True, False])


@pytest.mark.parametrize("inputs", [MASKED, list(MASKED)], ids=["array", "rows"])
def test_masked_inputs_are_missing(values_url: str, inputs: Any) -> None:
    for estimator in (FewShotRegressor("regressor", values_url), FewShotClassifier("classifier", values_url)):
        with pytest.raises(ValueError, match="Input X contains NaN"):
            estimator.fit(inputs, [1, 2, 1])
        estimator.fit(X, [1, 2, 1])
        with pytest.raises(ValueError, match="Input X contains NaN"):
            estimator.partial_fit(inputs, [1, 2, 1])
        with pytest.raises(ValueError, match="Input X contains NaN"):
            estimator.predict(inputs)
        assert estimator.adaptation().support_size == 3


@pytest.mark.parametrize(
    "targets",
    [_masked([1.0, -999, 2]), _masked([1, -999, 2]), [1.0, np.ma.masked, 2.0], _masked(np.array([1, 2, 3], object))],
    ids=["floats", "whole numbers", "list", "objects"],
)
def test_masked_targets_are_missing(values_url: str, targets: Any) -> None:
    regressor = FewShotRegressor("regressor", values_url)
    with pytest.raises(ValueError, match="Input y contains NaN"):
        regressor.fit(X, targets)
    with pytest.raises(ValueError, match="Input sample_weight contains NaN"):
        regressor.fit(X, [1, 2, 3], targets)


def test_masked_targets_of_a_table_are_missing(values_url: str) -> None:
    from service_tests.encoders.cases import PATIENTS  # after the shape checks are installed

    frame = pd.DataFrame(PATIENTS)[:3]
    with pytest.raises(ValueError, match="Input y contains NaN"):
        FewShotRegressor("wards", values_url).fit(frame, _masked([1.0, -999, 2]))
    with pytest.raises(ValueError, match="Input y contains NaN"):
        FewShotClassifier("risks", values_url).fit(frame, _masked(["low", "high", "low"]))


def test_a_mask_of_nothing_changes_nothing(values_url: str) -> None:
    inputs, labels = np.ma.masked_array(X), np.ma.masked_array([1, 2, 1])
    classifier = FewShotClassifier("classifier", values_url).fit(inputs, labels, np.ma.masked_array([1, 2, 1]))
    assert classifier.classes_.dtype == int
    np.testing.assert_allclose(classifier.adaptation().support()["inputs"], X)


@pytest.mark.parametrize(
    "labels",
    [
        _masked([1, -999, 2]),
        _masked([True, False, True]),
        _masked(["a", "z", "b"]),
        [1, np.ma.masked, 2],
        ["a", np.ma.masked, "b"],
        pd.Categorical([1, None, 2]),
        pd.Series(pd.Categorical([1, None, 2])),
        pd.Categorical([True, None, False]),
        pd.Categorical(["a", None, "b"]),
        pd.array(["a", None, "b"], "string"),
        pd.array([1, None, 2], "Int64"),
        ["a", None, "b"],
        [1, None, 2],
        [True, None, False],
        ["a", float("nan"), "b"],
        ["a", pd.NA, "b"],
        np.array(["a", None, "b"], object),
        np.array([1, float("nan"), 2], object),
        [1.0, float("nan"), 2.0],
    ],
    ids=repr,
)
def test_missing_labels(values_url: str, labels: Any) -> None:
    with pytest.raises(ValueError, match="Input y contains NaN"):
        FewShotClassifier("classifier", values_url).fit(X, labels)
    with pytest.raises(ValueError, match="Input classes contains NaN"):
        FewShotClassifier("classifier", values_url).partial_fit(X, [1, 2, 1], classes=labels)


@pytest.mark.parametrize(
    ("make", "labels"),
    [
        (lambda labels: np.array(labels, object), [2, 1, 2]),
        (lambda labels: np.array(labels, object), [True, False, True]),
        (lambda labels: np.array(labels, object), ["b", "a", "b"]),
        (lambda labels: np.array([np.int8(label) for label in labels], object), [2, 1, 2]),
        (lambda labels: np.array(labels, object)[:, None], [2, 1, 2]),
        (lambda labels: pd.Series(labels, dtype=object), [2, 1, 2]),
        (lambda labels: pd.Index(labels, dtype=object), [True, False, True]),
        (lambda labels: pd.DataFrame({"y": labels}, dtype=object), [2, 1, 2]),
        (lambda labels: [np.array(label) for label in labels], [2, 1, 2]),
        (lambda labels: [torch.tensor(label) for label in labels], [True, False, True]),
    ],
)
def test_objects_of_one_type_are_labels(values_url: str, make: Callable[[Any], Any], labels: list[Any]) -> None:
    classifier = FewShotClassifier("classifier", values_url).fit(X, make(labels))
    assert classifier.classes_.tolist() == sorted(set(labels))
    assert classifier.adaptation().support()["targets"] == labels
    assert set(classifier.predict(X).tolist()) <= set(labels)
    declared = FewShotClassifier("classifier", values_url).partial_fit(X, make(labels), classes=make(labels))
    assert declared.partial_fit(X, make(labels)).classes_.tolist() == sorted(set(labels))


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        (pd.Series(pd.period_range("2026", "2028", freq="Y")), "Period"),
        (pd.interval_range(0, 3), "Interval"),
        (pd.cut([1, 2, 3], 2), "Interval"),
        (DATES.tolist(), "date"),
        (DURATIONS.tolist(), "timedelta"),
        ([Decimal(1), Decimal(2), Decimal(3)], "Decimal"),
        (np.array([b"a", b"b", b"a"], object), "bytes"),
    ],
)
def test_labels_of_other_types_are_refused(values_url: str, labels: Any, kind: str) -> None:
    with pytest.raises(UnsupportedInput, match=f"expected texts, numbers or booleans as labels, got {kind}: use texts"):
        FewShotClassifier("classifier", values_url).fit(X, labels)


@pytest.mark.parametrize("form", [list, lambda labels: np.array(labels, object)])
def test_whole_numbers_are_not_rounded_beside_floats(values_url: str, form: Any) -> None:
    with pytest.raises(UnsupportedInput, match="a float can hold, got a whole number beside floats"):
        FewShotClassifier("classifier", values_url).fit(X, form([2**53 + 1, 1.0, 2]))


@pytest.mark.parametrize("form", [list, tuple, lambda labels: np.array(labels, object)])
@pytest.mark.parametrize("labels", [[np.uint64(1), 2, -1], [np.int8(1), np.uint64(2**63 - 1), np.uint8(3)]], ids=str)
def test_whole_numbers_of_several_types_are_labels(values_url: str, form: Any, labels: Any) -> None:
    expected = sorted(map(int, labels))
    classifier = FewShotClassifier("classifier", values_url).fit(X, form(labels))
    assert classifier.classes_.tolist() == expected
    assert set(classifier.predict(X).tolist()) <= set(expected)
    first = FewShotClassifier("classifier", values_url).partial_fit(X, labels, classes=form(labels))
    assert first.classes_.tolist() == expected
    assert first.partial_fit(X[:1], form(labels[:1])).classes_.tolist() == expected


@pytest.mark.parametrize("labels", [[2**70, 1, 1], [2**63, -1, -1], np.array([2**70, 1, 1], object)])
def test_labels_that_are_too_large(values_url: str, labels: Any) -> None:
    with pytest.raises(UnsupportedInput, match="expected labels that 64 bits can hold, got a larger whole number"):
        FewShotClassifier("classifier", values_url).fit(X, labels)


@pytest.mark.parametrize("model", ["regressor", "named", None])
@pytest.mark.parametrize("inputs", NAMED.values(), ids=NAMED)
def test_rows_with_names_are_refused_by_every_model(values_url: str, model: str | None, inputs: Any) -> None:
    message = r"X: expected a DataFrame or an array, got rows with names: send pandas\.DataFrame\(X\)"
    with pytest.raises(UnsupportedInput, match=message):
        FewShotRegressor(model, values_url).fit(inputs, [1, 2, 3])
    if model is not None:
        regressor = FewShotRegressor(model, values_url).fit(X, [1, 2, 3])
        with pytest.raises(UnsupportedInput, match=message):
            regressor.partial_fit(inputs, [1, 2, 3])
        with pytest.raises(UnsupportedInput, match=message):
            regressor.predict(inputs)


@pytest.mark.parametrize("name", ["structured array", "records", "dicts", "dict"])
def test_targets_with_names_are_refused(values_url: str, name: str) -> None:
    message = r"y: expected a DataFrame or an array, got rows with names: send pandas\.DataFrame\(y\)"
    for estimator in (FewShotRegressor("three-targets", values_url), FewShotClassifier("classifier", values_url)):
        with pytest.raises(UnsupportedInput, match=message):
            estimator.fit(X, NAMED[name])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (DATES, "dates: send the days since a certain date, for example"),
        (pd.Series(DATES), "dates"),
        (pd.Series(pd.to_datetime(DATES)).dt.tz_localize("UTC"), "dates"),
        (pd.DatetimeIndex(DATES), "dates"),
        (pd.DataFrame({"day": pd.to_datetime(DATES)}), "dates"),
        (pd.Series(pd.Categorical(pd.to_datetime(DATES))), "dates"),
        (list(pd.to_datetime(DATES)), "dates"),
        (list(DATES), "dates"),
        (np.array([date(2026, 1, 1), 2.0, None], object), "dates"),
        (DURATIONS, "durations: send their seconds, for example"),
        (pd.Series(DURATIONS), "durations"),
        (list(DURATIONS), "durations"),
        ([timedelta(1), timedelta(2), timedelta(3)], "durations"),
        (np.array([*DURATIONS, None], object)[:3], "durations"),
        ([b"1", b"2", b"3"], "bytes: convert them to numbers"),
        (np.array([b"1", b"2", b"3"], object), "bytes"),
    ],
)
def test_dates_durations_and_bytes_are_no_numbers(values_url: str, values: Any, message: str) -> None:
    regressor = FewShotRegressor("regressor", values_url)
    with pytest.raises(UnsupportedInput, match=f"^y: expected numbers, got {message}"):
        regressor.fit(X, values)
    with pytest.raises(UnsupportedInput, match=f"^sample_weight: expected numbers, got {message}"):
        regressor.fit(X, [1, 2, 3], values)
    column = np.asarray(values).reshape(3, 1)
    with pytest.raises(UnsupportedInput, match=f"^X: expected numbers, got {message}"):
        regressor.fit(np.hstack([column, column]), [1, 2, 3])


def test_a_column_of_dates_is_no_number(values_url: str) -> None:
    frame = pd.DataFrame({"age": X[:, 0], "day": pd.to_datetime(DATES)})
    with pytest.raises(UnsupportedInput, match="X: expected numbers, got dates"):
        FewShotRegressor("regressor", values_url).fit(frame, [1, 2, 3])
