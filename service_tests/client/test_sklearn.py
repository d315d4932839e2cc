"""The estimators are those of scikit-learn: its checks, its pipelines and its searches."""

import importlib
import pickle
import sys
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import innerloop_client.sklearn
from innerloop_client import Client, InvalidRequest, MissingExtra, NotFound, UnsupportedInput
from innerloop_client.sklearn import FewShotClassifier, FewShotRegressor, estimator
from service_tests.client.watched import Watched
from service_tests.processes import serving_in_a_thread

WIDTHS = (1, 2, 3, 4, 5, 10, 30)
"""The numbers of features in the checks of scikit-learn."""
EXPECTED = {
    "check_regressor_multioutput": "it wants float64, and predictions are float32, as the server computes them",
    "check_sample_weight_equivalence_on_dense_data": "it wants them equal to 1e-7, and float32 has no more digits: "
    "the test of weights below has a tolerance for it",
}
"""The checks that may fail, each with the reason."""
SEED = 0


@pytest.fixture(scope="module")
def estimators_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with a regressor and a classifier for each width, and a regressor of 5 targets; all untrained."""
    from app.learn.networks import NetworkSpec  # after the shape checks are installed
    from app.main import create_app
    from app.settings import Settings
    from service_tests.bundles import write_bundle

    folder = tmp_path_factory.mktemp("models")
    for width in WIDTHS:
        network = NetworkSpec("linear", {"inputs": width, "outputs": 16})
        write_bundle(folder / f"regressor-{width}", "linear", "alpaca", network, options={"features": width})
        write_bundle(folder / f"classifier-{width}", "blobs", "protonet", network, options={"features": width})
    network = NetworkSpec("linear", {"inputs": 10, "outputs": 16})
    write_bundle(folder / "five-targets", "linear", "alpaca", network, options={"features": 10, "targets": 5})
    settings = Settings(models_dir=folder, compile=False, watch=False, store="memory")
    with serving_in_a_thread(create_app(settings)) as url:
        yield url


@pytest.fixture
def line() -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(SEED).uniform(-1, 1, (40, 2))
    return x, x @ [2.0, -1.0] + 0.5


@pytest.fixture
def groups() -> tuple[np.ndarray, np.ndarray]:
    """Two groups far from each other, with texts for labels that are not sorted."""
    x = np.random.default_rng(SEED).normal(size=(40, 2)) + np.repeat([[-4.0, 0.0], [4.0, 0.0]], 20, 0)
    return x, np.repeat(["worn", "new"], 20)


@pytest.mark.parametrize("form", [FewShotRegressor, FewShotClassifier])
def test_the_checks_of_scikit_learn(estimators_url: str, form: Any) -> None:
    results = check_estimator(form(url=estimators_url), expected_failed_checks=EXPECTED, on_skip=None)
    passed = [each for each in results if each["status"] == "passed"]
    assert len(passed) > 50
    assert {each["check_name"] for each in results if each["status"] == "skipped"} <= {"check_array_api_input"}


def test_a_regressor_fits_extends_and_predicts_as_its_adaptation(innerloop: Client, url: str) -> None:
    x, y = np.array([[-4.0], [-2.0], [0.5], [2.0], [4.0]]), np.array([3.03, -3.64, 1.92, 3.64, -3.03])
    regressor = FewShotRegressor("sinusoid", url, label="pump 17", steps=5).fit(x[:3], y[:3])
    adaptation = innerloop.adaptation(regressor.adaptation_id_)
    assert (adaptation.label, adaptation.steps, adaptation.support_size) == ("pump 17", 5, 3)
    assert regressor.partial_fit(x[3:], y[3:]).adaptation().support_size == 5
    np.testing.assert_array_equal(regressor.predict(x), adaptation.predict(x))
    assert regressor.score(x, y) > 0.5
    assert regressor.n_features_in_ == 1
    first = regressor.adaptation_id_
    assert regressor.fit(x, y).adaptation_id_ != first, "fit forgets what was there"
    assert FewShotRegressor("sinusoid", url).partial_fit(x, y).adaptation().support_size == 5


def test_intervals(url: str) -> None:
    x = np.linspace(-4, 4, 9)[:, None]
    regressor = FewShotRegressor("sinusoid", url).fit(x, 2 * np.sin(x[:, 0]))
    queries = np.array([[0.3], [1000.0]])
    lower, upper = regressor.predict_interval(queries, level=0.9)
    narrow = regressor.predict_interval(queries, level=0.5)
    assert lower[0] < narrow[0][0] < regressor.predict(queries)[0] < narrow[1][0] < upper[0]
    assert np.isnan([lower[1], upper[1]]).all()


def test_intervals_need_a_calibration(estimators_url: str, line: tuple[np.ndarray, np.ndarray]) -> None:
    regressor = FewShotRegressor(url=estimators_url).fit(*line)
    with pytest.raises(InvalidRequest, match="has no calibration"):
        regressor.predict_interval(line[0])


def test_a_classifier_returns_the_labels_that_it_got(
    estimators_url: str, groups: tuple[np.ndarray, np.ndarray]
) -> None:
    x, y = groups
    classifier = FewShotClassifier(url=estimators_url).fit(x, y)
    assert classifier.classes_.tolist() == ["new", "worn"]
    assert classifier.score(x, y) == 1
    np.testing.assert_array_equal(classifier.predict_proba(x).argmax(1), y == "worn")
    classifier.partial_fit([[0.0, 90.0]], ["broken"])
    assert classifier.classes_.tolist() == ["broken", "new", "worn"]
    assert classifier.predict([[0.0, 90.0], [-4.0, 0.0]]).tolist() == ["broken", "worn"]
    assert classifier.predict_proba(x).shape == (40, 3)


@pytest.mark.parametrize("labels", [[1.0, 0.0], [True, False], [7, -7], ["b", "a"]], ids=str)
def test_labels_of_each_type(estimators_url: str, groups: tuple[np.ndarray, np.ndarray], labels: list[Any]) -> None:
    x, y = groups[0], np.repeat(np.array(labels), 20)
    classifier = FewShotClassifier(url=estimators_url).fit(x, y)
    predictions = classifier.predict(x)
    assert predictions.dtype == y.dtype
    np.testing.assert_array_equal(predictions, y)


def test_an_interval_needs_a_level(estimators_url: str, line: tuple[np.ndarray, np.ndarray]) -> None:
    regressor = FewShotRegressor(url=estimators_url).fit(*line)
    with pytest.raises(UnsupportedInput, match=r"level: expected a number between 0 and 1, such as 0\.9, got None"):
        regressor.predict_interval(line[0], level=None)  # type: ignore[arg-type]


def test_dates_are_no_labels(estimators_url: str, groups: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = groups
    dates = np.where(y == y[0], np.datetime64("2026-01-01"), np.datetime64("2026-01-02"))
    with pytest.raises(UnsupportedInput, match="y: expected texts, numbers or booleans as labels, got datetime64"):
        FewShotClassifier(url=estimators_url).fit(x, dates)


@pytest.mark.parametrize(
    ("dtype", "labels"),
    [("boolean", [True, False]), ("Int64", [7, -7]), ("string", ["b", "a"]), ("category", ["b", "a"])],
)
def test_labels_of_pandas(
    estimators_url: str, groups: tuple[np.ndarray, np.ndarray], dtype: str, labels: list[Any]
) -> None:
    x, y = groups[0], pd.Series(labels, dtype=dtype).repeat(20)
    classifier = FewShotClassifier(url=estimators_url).fit(x, y)
    assert classifier.classes_.tolist() == sorted(labels)
    assert classifier.adaptation().labels == labels
    assert classifier.predict(x).tolist() == y.tolist()
    assert classifier.partial_fit(x, y, classes=pd.Series(labels, dtype=dtype)).classes_.tolist() == sorted(labels)


@pytest.mark.parametrize(("first", "second"), [(int, float), (float, int)])
def test_classes_keep_their_type(
    estimators_url: str, groups: tuple[np.ndarray, np.ndarray], first: type, second: type
) -> None:
    x, y = groups[0], np.repeat([1, 2], 20)
    classifier = FewShotClassifier(url=estimators_url).fit(x, y.astype(first))
    classifier.partial_fit(np.concatenate([x, x + np.array([0, 90])]), np.concatenate([y, y * 0 + 3]).astype(second))
    assert classifier.classes_.dtype == first
    assert classifier.classes_.tolist() == [1, 2, 3]
    np.testing.assert_array_equal(classifier.predict(x), y)


def test_options_of_numpy(url: str) -> None:
    x, y = np.linspace(-4, 4, 12)[:, None], np.sin(np.linspace(-4, 4, 12))
    options: dict[str, Any] = {"ttl_s": np.int64(60)}
    search = GridSearchCV(FewShotRegressor("sinusoid", url, **options), {"steps": np.arange(1, 3)}, cv=2)
    assert search.fit(x, y).best_estimator_.adaptation().steps in (1, 2)


def test_the_timeout_is_that_of_every_request(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Watched() as http:
        monkeypatch.setattr(estimator, "shared_client", lambda *_: Client(url, http=http))
        regressor = FewShotRegressor("sinusoid", url, timeout=7).fit([[1.0]], [1.0])
        regressor.partial_fit([[2.0]], [2.0]).predict([[1.0]])
    assert len(http.timeouts) == 5
    assert max(http.timeouts) <= 7


def test_classes_that_are_declared(estimators_url: str, groups: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = groups
    classifier = FewShotClassifier(url=estimators_url).partial_fit(x, y, classes=["worn", "new", "lost"])
    assert classifier.classes_.tolist() == ["lost", "new", "worn"]
    assert classifier.predict_proba(x)[:, 0].max() == 0, "without an example"
    with pytest.raises(InvalidRequest, match=r"^y.0.: expected one of the classes, .*: add it to the classes"):
        classifier.partial_fit([[0.0, 90.0]], ["broken"])
    with pytest.raises(
        InvalidRequest, match=r"^y.*: expected one of the classes, got .*: add it to the classes of the"
    ):
        FewShotClassifier(url=estimators_url).partial_fit(x, y, classes=["new", "lost"])


def test_classes_that_somebody_else_adds(estimators_url: str, groups: tuple[np.ndarray, np.ndarray]) -> None:
    classifier = FewShotClassifier(url=estimators_url).fit(*groups)
    pickle.loads(pickle.dumps(classifier)).partial_fit([[0.0, 90.0]], ["broken"])
    with pytest.raises(UnsupportedInput, match="the adaptation has the class 'broken' from elsewhere"):
        classifier.predict([[0.0, 90.0]])


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ([0, 1], ["a"], "expected whole numbers as labels, like the classes, got 'a'"),
        ([False, True], [1], "expected booleans as labels, like the classes, got 1"),
        ([0, 1], [True], "expected whole numbers as labels, like the classes, got True"),
        (["a", "b"], [1.0], "expected texts as labels, like the classes, got 1"),
    ],
)
def test_labels_of_another_type_are_refused_before_they_are_sent(
    estimators_url: str, groups: tuple[np.ndarray, np.ndarray], first: list[Any], second: list[Any], message: str
) -> None:
    x = groups[0]
    classifier = FewShotClassifier(url=estimators_url).fit(x, first * 20)
    with pytest.raises(UnsupportedInput, match=message):
        classifier.partial_fit([[0.0, 90.0]], second)
    assert classifier.adaptation().support_size == 40
    assert classifier.classes_.tolist() == sorted(first)
    np.testing.assert_allclose(classifier.predict_proba(x).sum(1), 1, rtol=1e-5)


def test_small_types_of_labels_grow(estimators_url: str, groups: tuple[np.ndarray, np.ndarray]) -> None:
    classifier = FewShotClassifier(url=estimators_url).fit(groups[0], np.tile([0, 1], 20).astype("int8"))
    classifier.partial_fit([[0.0, 90.0]], [300.0])
    assert classifier.classes_.tolist() == [0, 1, 300]
    assert classifier.predict([[0.0, 90.0]]).tolist() == [300]


def test_declared_classes_are_labels(estimators_url: str, groups: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = groups
    with pytest.raises(ValueError, match="Unknown label type"):
        FewShotClassifier(url=estimators_url).partial_fit(x, np.tile([0, 1], 20), classes=[0.5, 1])
    with pytest.raises(UnsupportedInput, match="expected booleans as labels"):
        FewShotClassifier(url=estimators_url).partial_fit(x, np.tile([0, 1], 20), classes=[False, True])
    classifier = FewShotClassifier(url=estimators_url).partial_fit(x, y, classes=["worn", "new"])
    classifier.partial_fit(x, y, classes=["new", "worn"])
    with pytest.raises(ValueError, match="classes: expected those of the first call"):
        classifier.partial_fit(x, y, classes=["new", "worn", "lost"])


def test_a_fit_that_fails_leaves_the_earlier_one(estimators_url: str, line: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = line
    regressor = FewShotRegressor("regressor-2", estimators_url).fit(x, y)
    expected = regressor.predict(x)
    with pytest.raises(InvalidRequest):
        regressor.fit(x[:, :1], y)
    np.testing.assert_array_equal(regressor.predict(x), expected)


@pytest.mark.parametrize(
    ("make", "labels"),
    [
        (lambda y: ["a\0" if each else "a" for each in y], ["a", "a\0"]),
        (lambda y: [Word.A if each else Word.B for each in y], ["a", "b"]),
        (lambda y: np.array([np.str_("a" if each else "b") for each in y], object), ["a", "b"]),
        (lambda y: pd.Series([Word.A if each else Word.B for each in y], dtype=object), ["a", "b"]),
        (lambda y: pd.DataFrame({"y": pd.array(y == 1, "boolean")}), [False, True]),
        (lambda y: pd.Series(y == 1, dtype="category"), [False, True]),
        (lambda y: pd.Categorical(y == 1), [False, True]),
        (lambda y: [["a\0"] if each else ["a"] for each in y], ["a", "a\0"]),
        (lambda y: pd.DataFrame({"y": pd.array(y, "Int64")}), [0, 1]),
        (lambda y: (y + 2**60).astype("uint64"), [2**60, 2**60 + 1]),
    ],
)
def test_labels_are_not_changed(
    estimators_url: str, groups: tuple[np.ndarray, np.ndarray], make: Callable[[np.ndarray], Any], labels: list[Any]
) -> None:
    x, y = groups[0], np.repeat([1, 0], 20)
    classifier = FewShotClassifier(url=estimators_url).fit(x, make(y))
    assert classifier.classes_.tolist() == labels
    assert sorted(classifier.adaptation().labels) == labels  # type: ignore[arg-type]
    assert (classifier.predict(x) == classifier.classes_[[1] * 20 + [0] * 20]).mean() in (0, 1)
    classifier.partial_fit(x, make(y)).partial_fit(x[:1], labels[:1])
    assert classifier.classes_.tolist() == labels


@pytest.mark.parametrize("labels", [[1, "a"], ["1", 1], [True, "a"], [1, True]])
def test_labels_of_several_types_are_refused(
    estimators_url: str, groups: tuple[np.ndarray, np.ndarray], labels: list[Any]
) -> None:
    with pytest.raises(UnsupportedInput, match="y: expected labels of one type, got"):
        FewShotClassifier(url=estimators_url).fit(groups[0], labels * 20)


def test_targets_with_names_have_one_order(estimators_url: str) -> None:
    x, names = np.random.default_rng(SEED).normal(size=(3, 10)), list("abcde")
    rows = [pd.Series(row[:5], names) for row in x]
    rows[1] = rows[1][::-1]
    with pytest.raises(UnsupportedInput, match="expected the columns a, b, c, d, e in this order, got e, d, c"):
        FewShotRegressor("five-targets", estimators_url).fit(x, rows)


class Word(StrEnum):
    """Texts with a type of their own."""

    A, B = "a", "b"


def test_columns_go_by_the_names_of_the_model(serve_live: Callable[..., str], tmp_path: Path) -> None:
    from app.encoders.registry import fit  # after the shape checks are installed
    from service_tests.bundles import write_encoder_bundle

    x, y = np.array([[61.0, 2], [47, 1], [30, 0.5]]), [1.0, 2.0, 3.0]
    frame = pd.DataFrame(x, columns=["age", "dose"])
    write_encoder_bundle(tmp_path / "named", fit("numbers", x, {"names": ["age", "dose"]}))
    url = serve_live(models_dir=tmp_path)
    expected, swapped = FewShotRegressor("named", url).fit(x, y), frame[["dose", "age"]]
    for fitted in (
        FewShotRegressor("named", url).fit(swapped, y),
        FewShotRegressor("named", url).fit(swapped[:2], y[:2]).partial_fit(swapped[2:], y[2:]),
    ):
        np.testing.assert_allclose(fitted.adaptation().support()["inputs"], x)
        np.testing.assert_allclose(fitted.predict(swapped), expected.predict(x), rtol=1e-5)
    renamed = frame.rename(columns="num__{}".format)
    np.testing.assert_allclose(FewShotRegressor("named", url).fit(renamed, y).predict(renamed), expected.predict(x))
    with pytest.raises(UnsupportedInput, match="X: expected the columns age, dose, got agee, dose"):
        FewShotRegressor("named", url).fit(frame.rename(columns={"age": "agee"}), y)
    with pytest.raises(UnsupportedInput, match="X: expected a DataFrame or an array, got rows with names"):
        FewShotRegressor("named", url).fit([row for _, row in frame.iterrows()], y)
    with pytest.warns(UserWarning, match="X has feature names"):
        np.testing.assert_allclose(expected.predict(swapped), expected.predict(x), rtol=1e-5)


def test_several_targets(estimators_url: str) -> None:
    x = np.random.default_rng(SEED).normal(size=(40, 10))
    y = x[:, :5] - x[:, 5:]
    regressor = FewShotRegressor(url=estimators_url).fit(x, y)
    assert regressor.model_ == "five-targets"
    assert (regressor.predict(x).shape, regressor.predict(x).dtype) == ((40, 5), np.float32)
    assert regressor.score(x, y) > 0.9


def test_a_weight_of_2_is_an_example_twice_and_0_is_none(
    estimators_url: str, groups: tuple[np.ndarray, np.ndarray]
) -> None:
    x, labels = groups
    y, weights, kept = x[:, 0] - x[:, 1], np.tile([0.0, 2.0], 20), np.repeat(np.arange(1, 40, 2), 2)
    weighted = FewShotRegressor(url=estimators_url).fit(x, y, weights)
    repeated = FewShotRegressor(url=estimators_url).fit(x[kept], y[kept])
    np.testing.assert_allclose(weighted.predict(x), repeated.predict(x), rtol=1e-5, atol=1e-5)
    classifier = FewShotClassifier(url=estimators_url).fit(x, labels, weights)
    again = FewShotClassifier(url=estimators_url).fit(x[kept], labels[kept])
    np.testing.assert_allclose(classifier.predict_proba(x), again.predict_proba(x), atol=1e-5)


def test_weights_that_cannot_be_used(estimators_url: str, line: tuple[np.ndarray, np.ndarray]) -> None:
    for weights, message in (
        (np.zeros(40), "all weights are zero"),
        (np.full(40, np.nan), "NaN"),
        ([1.0], "inconsistent"),
    ):
        with pytest.raises(ValueError, match=message):
            FewShotRegressor(url=estimators_url).fit(*line, weights)


def test_a_pickle_has_no_connection_and_predicts_elsewhere(
    estimators_url: str, line: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INNERLOOP_URL", estimators_url)
    x, y = line
    fitted = FewShotRegressor().fit(x, y)
    data = pickle.dumps(fitted)
    assert len(data) < 2000
    monkeypatch.setenv("INNERLOOP_URL", "http://127.0.0.1:9")
    loaded = pickle.loads(data)
    assert (loaded.url_, loaded.adaptation_id_) == (estimators_url, fitted.adaptation_id_)
    np.testing.assert_array_equal(loaded.predict(x), fitted.predict(x))
    with pytest.raises(NotFittedError):
        clone(fitted).predict(x)


def test_pipelines_and_searches(estimators_url: str, line: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = line
    regressor = FewShotRegressor(url=estimators_url, ttl_s=60)
    pipeline = make_pipeline(StandardScaler(), regressor)
    assert cross_val_score(pipeline, 100 * x, y, cv=4).min() > 0.9
    search = GridSearchCV(pipeline, {"standardscaler__with_mean": [True, False]}, cv=2).fit(x, y)
    assert search.best_estimator_.predict(x).shape == (40,)


def test_names_of_columns(estimators_url: str, line: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = line
    frame = pd.DataFrame(x, columns=["width", "height"])
    regressor = FewShotRegressor(url=estimators_url).fit(frame, pd.Series(y))
    assert regressor.feature_names_in_.tolist() == ["width", "height"]
    np.testing.assert_array_equal(regressor.predict(frame), FewShotRegressor(url=estimators_url).fit(x, y).predict(x))
    with pytest.raises(ValueError, match="feature names should match"):
        regressor.predict(frame.rename(columns={"width": "depth"}))


def test_tables(serve_live: Callable[..., str], tmp_path: Path) -> None:
    from service_tests.bundles import write_tables  # after the shape checks are installed
    from service_tests.encoders.cases import PATIENTS

    write_tables(tmp_path)
    url, frame = serve_live(models_dir=tmp_path), pd.DataFrame(PATIENTS)
    regressor = FewShotRegressor("wards", url).fit(frame, np.arange(len(frame)))
    assert regressor.n_features_in_ == len(frame.columns)
    assert regressor.predict(frame).shape == (len(frame),)
    classifier = FewShotClassifier("risks", url).fit(frame, ["low", "high", "low", "high", "low"])
    assert set(classifier.predict(frame)) <= {"low", "high"}
    assert classifier.predict_proba(frame).shape == (len(frame), 2)


def test_models_that_do_not_fit(estimators_url: str, line: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = line
    for form, error, message in (
        (FewShotRegressor("classifier-2", estimators_url), UnsupportedInput, "classifier-2 is one of classification"),
        (FewShotRegressor("regressor-9", estimators_url), NotFound, "regressor-9"),
        (FewShotRegressor("regressor-3", estimators_url), InvalidRequest, "expected 3 numbers"),
    ):
        with pytest.raises(error, match=message):
            form.fit(x, y)
    with pytest.raises(UnsupportedInput, match=r"regression for n_features=7, n_targets=1, got none"):
        FewShotRegressor(url=estimators_url).fit(np.ones((3, 7)), [1, 2, 3])
    assert not hasattr(form, "adaptation_id_")


def test_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    with pytest.raises(MissingExtra, match=r"needs scikit-learn: pip install scikit-learn"):
        importlib.reload(innerloop_client.sklearn)
