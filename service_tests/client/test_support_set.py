"""Names decide where numbers go: those of inputs, of targets and of actions."""

import asyncio
from array import array
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from innerloop_client import Client, UnsupportedInput
from innerloop_client.support_set import read_support

NUMBERS = {"encoder": "numbers", "columns": [{"name": "age"}, {"name": "dose"}]}
MODELS: Mapping[str, Mapping[str, Any]] = {
    "rates": {"name": "rates", "inputs": NUMBERS, "target_columns": [{"name": "low"}, {"name": "high"}]},
    "arm": {"name": "arm", "inputs": NUMBERS, "actions": {"form": "box", "names": ["lift", "turn"]}},
    "plain": {
        "name": "plain",
        "inputs": {"encoder": "numbers", "columns": [{"name": None}, {"name": None}]},
        "target_columns": [{"name": None}, {"name": None}],
    },
}
X, Y = [[61.0, 2.0], [47.0, 1.0]], [[1.0, 5.0], [2.0, 6.0]]


class Described:
    """Knows these models."""

    async def model(self, name: str) -> Mapping[str, Any]:
        return MODELS[name]


def sent(model: str, **support: Any) -> dict[str, Any]:
    return asyncio.run(read_support(Described(), model, **support))


def numbers(values: Any) -> list[list[float]]:
    rows: list[list[float]] = np.asarray(getattr(values, "values", values)).tolist()
    return rows


def test_targets_go_by_their_names() -> None:
    y = pd.DataFrame(Y, columns=["low", "high"])
    for same in (y, y[["high", "low"]], pd.DataFrame(Y), np.array(Y)):
        assert numbers(sent("rates", x=X, y=same)["targets"]) == Y
    assert numbers(sent("plain", x=X, y=y[["high", "low"]])["targets"]) == numbers(y[["high", "low"]].to_numpy())
    with pytest.raises(UnsupportedInput, match=r"^y: expected the columns low, high, got low, top$"):
        sent("rates", x=X, y=y.rename(columns={"high": "top"}))


def test_actions_go_by_their_names() -> None:
    actions = pd.DataFrame(Y, columns=["lift", "turn"])
    for same in (actions, actions[["turn", "lift"]]):
        (episode,) = sent("arm", episodes=[{"observations": X, "actions": same}])["episodes"]
        assert numbers(episode["actions"]) == Y


class OtherFrame:
    """A DataFrame of another library, as far as this client knows them."""

    shape = (2, 2)

    def to_pandas(self) -> pd.DataFrame:
        return pd.DataFrame(X, columns=["dose", "age"])

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.array(X)


STRUCTURED = np.array([(1.0, 61.0), (2.0, 47.0)], [("dose", "f8"), ("age", "f8")])


@pytest.mark.parametrize(
    ("x", "fix"), [(OtherFrame(), r"values\.to_pandas\(\)"), (STRUCTURED, r"pandas\.DataFrame\(values\)")]
)
def test_tables_of_others_are_not_read_by_position(x: Any, fix: str) -> None:
    with pytest.raises(UnsupportedInput, match=rf"^x: rates has names for its inputs, .*: send {fix}$"):
        sent("rates", x=x, y=Y)


def test_tables_of_others_without_names() -> None:
    assert numbers(sent("plain", x=OtherFrame(), y=Y)["inputs"]) == X


def test_rows_that_are_series_go_by_their_names() -> None:
    frame = pd.DataFrame(X, columns=["age", "dose"])
    rows = [frame.iloc[0], frame.iloc[1][::-1]]
    assert numbers(sent("rates", x=rows, y=Y)["inputs"]) == X
    assert numbers(sent("plain", x=[pd.Series(row) for row in X], y=Y)["inputs"]) == X


@pytest.mark.parametrize("form", [set, frozenset])
def test_what_has_no_order_is_refused(form: Callable[[list[float]], Any]) -> None:
    with pytest.raises(UnsupportedInput, match=rf"got a {form.__name__}, which has no order"):
        sent("plain", x=form([1.0, 2.0]), y=Y)


def test_names_of_several_columns() -> None:
    frame = pd.DataFrame({"age": [1, 2, 3], "low": [1, 2, 3], "high": [1, 2, 3]})
    with pytest.raises(UnsupportedInput, match="got names of columns: pass "):
        sent("rates", x=frame, y=["low", "high"])


def test_the_name_of_a_column_needs_pandas() -> None:
    with pytest.raises(UnsupportedInput, match=r"needs a DataFrame of pandas as x, got .*'s OtherFrame"):
        sent("rates", x=OtherFrame(), y="low")


def test_views_of_memory_are_rows(innerloop: Client) -> None:
    view = memoryview(array("d", [1.0, 2.0])).cast("B").cast("d", (2, 1))
    assert innerloop.predict("sinusoid", view) == pytest.approx(innerloop.predict("sinusoid", [[1.0], [2.0]]))
