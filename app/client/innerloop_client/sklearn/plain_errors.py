"""What goes wrong, in the words of an estimator, where scikit-learn or the server have others."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from innerloop_client.arrays import is_a
from innerloop_client.errors import NotFound, renamed, server_error


def check_inputs(inputs: Any) -> None:
    """Raise ValueError for a DataFrame with two columns of one name, and for inputs without a row."""
    if is_a(inputs, "pandas", "DataFrame") and not inputs.columns.is_unique:
        name = inputs.columns[inputs.columns.duplicated()][0]
        raise ValueError(f"X: expected each column once, got two called {name!r}: rename or remove one")
    if _is_empty(inputs):
        raise ValueError("X: expected at least 1 row, got none")


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
