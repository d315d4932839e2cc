"""What goes wrong with an estimator, in its words: parameters that it has, and what to call next."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest

from innerloop_client import Client, Expired, InnerloopError, NotFound, ServerError, UnsupportedInput
from innerloop_client.errors import server_error
from innerloop_client.sklearn import FewShotClassifier, FewShotRegressor
from innerloop_client.sklearn.plain_errors import of_adaptation

X, Y = np.array([[-4.0], [-2.0], [0.5], [2.0], [4.0]]), np.array([3.03, -3.64, 1.92, 3.64, -3.03])


@pytest.mark.parametrize(
    "call",
    [
        lambda fitted: fitted.predict(X),
        lambda fitted: fitted.score(X, Y),
        lambda fitted: fitted.predict_interval(X),
        lambda fitted: fitted.partial_fit(X, Y),
        lambda fitted: fitted.adaptation(),
    ],
)
def test_after_its_adaptation_is_deleted_fit_is_called_again(url: str, call: Callable[[Any], Any]) -> None:
    fitted = FewShotRegressor("sinusoid", url).fit(X, Y)
    fitted.adaptation().delete()
    said = f"adaptation_id_: expected a stored adaptation, got {fitted.adaptation_id_!r}, which is deleted or expired"
    with pytest.raises(NotFound, match=f"^{said}: call fit again$"):
        call(fitted)
    fitted.fit(X, Y).predict(X)


def test_an_expired_adaptation_is_one_too() -> None:
    problem = {"status": 410, "detail": "adaptation_id: it has expired", "place": "adaptation_id"}
    with pytest.raises(Expired, match=r"call fit again$"), of_adaptation("a"):
        raise server_error(problem)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda fitted: fitted.predict_interval(X, level=0), "level: expected "),
        (lambda fitted: fitted.fit(X, Y, np.full(5, 1e-320)), "sample_weight: expected at least 1 weight above 1.4"),
        (lambda fitted: fitted.partial_fit(X, Y, np.full(5, 1e-320)), "sample_weight: expected at least 1 weight abo"),
        (lambda fitted: fitted.fit(X, Y, [-1, 1, 1, 1, 1]), "sample_weight[0]: expected "),
        (lambda fitted: fitted.fit(X, Y * 1e300), "y[0]"),
        (lambda fitted: fitted.fit(X * 1e300, Y), "X[0]"),
        (lambda fitted: fitted.partial_fit(X * 1e300, Y), "X[0]"),
        (lambda fitted: fitted.predict(X * 1e300), "X[0]"),
        (lambda fitted: fitted.set_params(steps=1.0).fit(X, Y), "steps: expected a whole number, got 1.0"),
        (lambda fitted: fitted.fit(pd.DataFrame({"t": [1.0], "f": [2.0]}), "f"), "y: expected a list or an array, got"),
        (lambda fitted: fitted.partial_fit(X, 5.0), "y: expected a list or an array, got 5.0: put a single value"),
        (lambda fitted: fitted.predict("a"), "X: expected a list or an array, got 'a': put a single value into a list"),
        (lambda fitted: fitted.fit(X, Y, sample_weight=2), "sample_weight: expected a list or an array, got 2"),
    ],
)
def test_errors_name_the_arguments_of_the_method(url: str, call: Callable[[Any], Any], message: str) -> None:
    fitted = FewShotRegressor("sinusoid", url).fit(X, Y)
    with pytest.raises((InnerloopError, ValueError), match=f"^{re.escape(message)}") as error:
        call(fitted)
    if isinstance(error.value, ServerError):
        assert message.startswith(error.value.place.partition("[")[0])


def test_paths_of_images_are_named_as_rows(url: str) -> None:
    with pytest.raises(UnsupportedInput, match=r"^X\[0\]: cannot read nothing\.png: No such file"):
        FewShotClassifier("omniglot", url).fit(np.array(["nothing.png", "none.png"]), [0, 1])


@pytest.mark.parametrize("form", [FewShotRegressor, FewShotClassifier])
def test_a_model_that_is_not_there_is_the_parameter_model(url: str, form: Any) -> None:
    with pytest.raises(NotFound, match=r"^model: expected one of .*, got \"nope\"") as error:
        form("nope", url).fit(X, Y)
    assert error.value.place == "model"


@pytest.mark.parametrize("x", [pd.DataFrame({"a": [1.0]}), ["a.png"], [{"a": 1}], [["a"]]], ids=str)
def test_calls_of_the_client_that_ask_for_the_model_name_it_too(innerloop: Client, x: Any) -> None:
    for call in (lambda: innerloop.adapt("nope", x, [1.0]), lambda: innerloop.predict("nope", x)):
        with pytest.raises(NotFound, match=r"^model: expected one of"):
            call()


def test_columns_of_one_name_are_named_by_every_method(url: str) -> None:
    frame = pd.DataFrame([[1.0, 2.0], [3.0, 4.0]], columns=["a", "a"])
    fitted = FewShotRegressor("sinusoid", url).fit(X, Y)
    unfitted = FewShotRegressor("sinusoid", url), FewShotRegressor(url=url), FewShotClassifier("omniglot", url)
    calls: list[Callable[[Any], Any]] = [
        fitted.predict,
        fitted.predict_interval,
        lambda each: fitted.score(each, [1.0, 2.0]),
        lambda each: fitted.partial_fit(each, [1.0, 2.0]),
        *(partial(estimator.fit, y=[1, 2]) for estimator in unfitted),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"^X: expected each column once, got two called 'a': rename or remove"):
            call(frame)


@pytest.mark.parametrize("wrong", [[], 0, False, {}, b"", ()], ids=repr)
@pytest.mark.parametrize("argument", ["url", "api_key"])
def test_what_is_empty_and_no_text_is_refused(
    url: str, monkeypatch: pytest.MonkeyPatch, argument: str, wrong: Any
) -> None:
    monkeypatch.setenv("INNERLOOP_URL", url)
    message = f"^{argument}: expected a text, got {type(wrong).__name__}$"
    with pytest.raises(InnerloopError, match=message):
        FewShotRegressor("sinusoid", **{argument: wrong}).fit(X, Y)
    with pytest.raises(InnerloopError, match=message):
        Client(**{argument: wrong})


def test_a_wrong_variable_of_the_environment_is_named(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INNERLOOP_API_KEY", "é")
    with pytest.raises(InnerloopError, match=r"^api_key \(INNERLOOP_API_KEY\): expected printable ASCII"):
        FewShotRegressor("sinusoid", url).fit(X, Y)
