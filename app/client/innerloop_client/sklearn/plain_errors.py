"""What goes wrong, in the words of an estimator, where scikit-learn or the server have others."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from innerloop_client.arrays import is_a
from innerloop_client.errors import NotFound, ServerError, UnsupportedInput, renamed, server_error, shown

ARGUMENTS = {
    **dict.fromkeys(("x", "queries", "inputs", "support.inputs"), "X"),
    **dict.fromkeys(("targets", "support.targets"), "y"),
    **dict.fromkeys(("weights", "support.weights"), "sample_weight"),
    **dict.fromkeys(("labels", "support.labels"), "classes"),
    "interval": "level",
}
"""What the methods of an estimator call the arguments of the client and the fields of a request."""
SENTENCES = {
    "one of the labels": "one of the classes",
    "add it to labels": "add it to the classes of the first call",
}
"""What an estimator calls declared labels, in the sentences of the server."""
PLACE = re.compile(rf"({'|'.join(map(re.escape, ARGUMENTS))})(?=[\[.:]|$)")


@contextmanager
def of_arguments() -> Iterator[None]:
    """Name the arguments of the estimator, where an error begins with those of a request."""
    try:
        yield
    except UnsupportedInput as error:
        text = _renamed(str(error))
        if text == str(error):
            raise
        raise type(error)(text) from error
    except ServerError as error:
        place = _renamed(error.place)
        if place == error.place or not error.detail.startswith(error.place):
            raise
        detail = f"{place}{error.detail.removeprefix(error.place)}"
        for sentence, own in SENTENCES.items() if place.startswith("y") else ():
            detail = detail.replace(sentence, own)
        raise server_error({**error.problem, "detail": detail, "place": place}) from error


def _renamed(text: str) -> str:
    """A place, or an error that begins with one, with the name of the estimator's argument."""
    return PLACE.sub(lambda match: ARGUMENTS[match[0]], text, count=1) if PLACE.match(text) else text


def check_inputs(inputs: Any) -> None:
    """Raise ValueError for a DataFrame with two columns of one name, and for inputs without a row."""
    if is_a(inputs, "pandas", "DataFrame") and not inputs.columns.is_unique:
        name = inputs.columns[inputs.columns.duplicated()][0]
        raise ValueError(f"X: expected each column once, got two called {shown(name)}: rename or remove one")
    if _is_empty(inputs):
        raise ValueError("X: expected at least 1 row, got none")


def are_texts(inputs: Any) -> bool:
    """Whether inputs that are no table are texts, also in one column; a text that reads as a number is none there."""
    is_series = is_a(inputs, "pandas", "Series") or is_a(inputs, "polars", "Series")
    if not (isinstance(inputs, list | tuple) or is_series or (is_a(inputs, "numpy", "ndarray") and inputs.ndim)):
        return False
    first: Any = next(iter(inputs), None)
    if isinstance(first, str):
        return True
    is_cell = (isinstance(first, list | tuple) or is_a(first, "numpy", "ndarray")) and len(first) == 1
    return is_cell and isinstance(first[0], str) and not _is_number(first[0])


def check_takes_texts(model: str | None, takes_numbers: bool, features: int) -> None:
    """Raise UnsupportedInput where a model takes numbers, or its examples were. features: in each row of these"""
    if takes_numbers:
        fix = 'a model of texts needs its name, as in model="intents"' if model is None else "send numbers"
        raise UnsupportedInput(f"X: expected numbers, got texts: {fix}")
    if features != 1:
        fix = "send such rows, or call fit with texts"
        raise UnsupportedInput(f"X: expected {features} numbers in each row, as in fit, got texts: {fix}")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def check_is_list(values: Any, place: str, inputs: Any = None) -> None:
    """Raise UnsupportedInput for a single text or number. inputs: a DataFrame, of which it may name a column"""
    if isinstance(values, str | bytes | int | float):
        fix = "put a single value into a list"
        if is_a(inputs, "pandas", "DataFrame") and values in inputs.columns:
            fix = f"pass X.drop(columns={values!r}) as X, X[{values!r}] as {place}"
        actual = f"got {shown(values)}: {fix}"
        raise UnsupportedInput(f"{place}: expected a list or an array, {actual}")


def _is_empty(inputs: Any) -> bool:
    if hasattr(inputs, "shape"):  # a sparse matrix has no length
        return bool(tuple(inputs.shape[:1]) == (0,))
    return hasattr(inputs, "__len__") and not len(inputs)


@contextmanager
def of_adaptation(id: str) -> Iterator[None]:
    """Say what to do about an adaptation that the server no longer has."""
    try:
        yield
    except NotFound as error:
        if error.place != "adaptation_id":
            raise
        detail = (
            f"adaptation_id_: expected a stored adaptation, got {id!r}, which is deleted or expired: call fit again"
        )
        raise server_error({**error.problem, "detail": detail, "place": "adaptation_id_"}) from error


@contextmanager
def of_model() -> Iterator[None]:
    """Name the parameter `model`, which the server calls the name of a model."""
    try:
        yield
    except NotFound as error:
        raise renamed(error, "name", "model") from error
