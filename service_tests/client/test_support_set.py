"""Names decide where numbers go: those of inputs, of targets and of actions."""

import ast
import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from innerloop_client import UnsupportedInput
from innerloop_client.support_set import Examples

NUMBERS = {"encoder": "numbers", "columns": [{"name": "age"}, {"name": "dose"}]}
MODELS: Mapping[str, Mapping[str, Any]] = {
    "rates": {"name": "rates", "inputs": NUMBERS, "target_columns": [{"name": "low"}, {"name": "high"}]},
    "arm": {"name": "arm", "inputs": NUMBERS, "actions": {"form": "box", "names": ["lift", "turn"]}},
    "plain": {
        "name": "plain",
        "inputs": {"encoder": "numbers", "columns": [{"name": None}, {"name": None}]},
        "target_columns": [{"name": "target_1"}, {"name": "target_2"}],
    },
    "wards": {"name": "wards", "inputs": NUMBERS | {"encoder": "table"}, "target_columns": [{"name": "stay"}]},
}
X, Y = [[61.0, 2.0], [47.0, 1.0]], [[1.0, 5.0], [2.0, 6.0]]


class Described:
    """Knows these models."""

    async def model(self, name: str) -> Mapping[str, Any]:
        return MODELS[name]


def sent(model: str, **support: Any) -> dict[str, Any]:
    return asyncio.run(Examples(**support).read(Described(), model))


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


def test_targets_that_the_server_numbers() -> None:
    y = pd.DataFrame(Y, columns=["target_1", "target_2"])
    assert numbers(sent("plain", x=X, y=y[["target_2", "target_1"]])["targets"]) == Y
    assert numbers(sent("plain", x=X, y=y.iloc[:, [1]])["targets"]) == numbers([5.0, 6.0])


def test_actions_go_by_their_names() -> None:
    actions = pd.DataFrame(Y, columns=["lift", "turn"])
    for same in (actions, actions[["turn", "lift"]]):
        (episode,) = sent("arm", episodes=[{"observations": X, "actions": same}])["episodes"]
        assert numbers(episode["actions"]) == Y


def test_numbers_in_columns_of_objects() -> None:
    x = pd.DataFrame(X, columns=["age", "dose"]).astype(object)
    assert numbers(sent("rates", x=x, y=Y)["inputs"]) == X
    x.loc[0, "age"] = None
    assert np.isnan(numbers(sent("rates", x=x, y=Y)["inputs"])[0][0])


def test_an_episode_that_is_in_no_list() -> None:
    with pytest.raises(UnsupportedInput, match=r"^episodes: expected a list of episodes, got one: put it into a list$"):
        sent("arm", episodes={"observations": X})


class OtherFrame:
    """A DataFrame of another library, as far as this client knows them."""

    shape = (2, 2)

    def to_pandas(self) -> pd.DataFrame:
        return pd.DataFrame(X, columns=["dose", "age"])

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.array(X)


def test_tables_of_others_are_not_read_by_position() -> None:
    with pytest.raises(UnsupportedInput, match=r"^x: .* the inputs have names, got OtherFrame: send its to_pandas"):
        sent("rates", x=OtherFrame(), y=Y)
    with pytest.raises(UnsupportedInput, match=r"^y: .* the targets have names, got OtherFrame: send its to_pandas"):
        sent("rates", x=X, y=OtherFrame())


def test_tables_of_others_without_names() -> None:
    assert numbers(sent("plain", x=OtherFrame(), y=Y)["inputs"]) == X


def objects(values: list[Any]) -> np.ndarray:
    array = np.empty(len(values), object)
    array[:] = values
    return array


NAMED: dict[str, Callable[[pd.DataFrame], Any]] = {
    "a list of Series": lambda frame: [row for _, row in frame.iterrows()],
    "a generator of Series": lambda frame: (row for _, row in frame.iterrows()),
    "an array of Series": lambda frame: objects([row for _, row in frame.iterrows()]),
    "a Series of Series": lambda frame: pd.Series([row for _, row in frame.iterrows()]),
    "rows of DataFrames": lambda frame: [frame.iloc[[index]] for index in range(len(frame))],
    "named tuples": lambda frame: list(frame.itertuples(index=False)),
    "a structured array": lambda frame: frame.to_records(index=False),
    "records": lambda frame: list(frame.to_records(index=False)),
    "values of a dictionary": lambda frame: dict(frame.iterrows()).values(),
    "a deque": lambda frame: deque(frame.itertuples(index=False)),
    "a column of records": lambda frame: frame.to_records(index=False).reshape(-1, 1),
    "arrays of a record": lambda frame: [row.reshape(1) for row in frame.to_records(index=False)],
    "records without axes": lambda frame: [np.array(row, row.dtype) for row in frame.to_records(index=False)],
    "a MultiIndex": pd.MultiIndex.from_frame,
    "dicts": lambda frame: frame.to_dict("records"),
    "a dict and a Series": lambda frame: [frame.iloc[0].to_dict(), frame.iloc[1]],
    "different orders": lambda frame: [frame.iloc[0], frame.iloc[1][::-1]],
}


@pytest.mark.parametrize("model", ["rates", "wards"])
def test_a_series_that_is_one_row_is_refused_with_the_fix(model: str) -> None:
    row = pd.DataFrame(X, columns=["age", "dose"]).iloc[0]
    with pytest.raises(UnsupportedInput, match=r"^x: expected rows, got a Series that is one row: send it in a list, "):
        sent(model, x=row, y=[1])
    assert len(sent(model, x=[row], y=[1])["inputs"]) == 1


@pytest.mark.parametrize("form", NAMED.values(), ids=NAMED.keys())
def test_rows_go_by_their_names(form: Callable[[pd.DataFrame], Any]) -> None:
    x, y = (pd.DataFrame(part, columns=names) for part, names in ((X, ["age", "dose"]), (Y, ["low", "high"])))
    for model, inputs in (("rates", X), ("wards", [{"dose": dose, "age": age} for age, dose in X])):
        assert numbers(sent(model, x=form(x[["dose", "age"]]), y=[1, 2])["inputs"]) == inputs
    assert numbers(sent("rates", x=X, y=form(y[["high", "low"]]))["targets"]) == Y
    (episode,) = sent(
        "arm",
        episodes=[
            {
                "observations": form(x[["dose", "age"]]),
                "actions": form(pd.DataFrame(Y, columns=["lift", "turn"])[["turn", "lift"]]),
            }
        ],
    )["episodes"]
    assert numbers(episode["observations"]) == X
    assert numbers(episode["actions"]) == Y
    with pytest.raises(UnsupportedInput, match=r"^x(\[0\])?: expected the (names|columns) age, dose, got .*agee"):
        sent("rates", x=form(x.rename(columns={"age": "agee"})), y=Y)


UNNAMED: dict[str, Any] = {
    "Series": [pd.Series(row) for row in X],
    "Series with other numbers": [pd.Series(row, index=[5, 6]) for row in X],
    "Series with numbers as texts": [pd.Series(row, index=["0", "1"]) for row in X],
    "names that pandas makes up": list(pd.DataFrame(X, columns=["age (y)", "dose (mg)"]).itertuples(index=False)),
    "names that numpy makes up": np.array([tuple(row) for row in X], "f8,f8"),
    "a DataFrame": pd.DataFrame(X),
    "a part of a DataFrame": pd.DataFrame(X, columns=[2, 3]),
}


@pytest.mark.parametrize("model", ["plain", "rates", "wards"])
@pytest.mark.parametrize("rows", UNNAMED.values(), ids=UNNAMED.keys())
def test_rows_without_names_stay_in_their_order(model: str, rows: Any) -> None:
    assert numbers(sent(model, x=rows, y=[1, 2])["inputs"]) == X
    assert numbers(sent(model, x=X, y=rows)["targets"]) == X


@pytest.mark.parametrize("columns", [["age (y)", "dose"], ["dose", "age (y)"]])
@pytest.mark.parametrize("model", ["rates", "wards"])
def test_named_tuples_that_have_lost_some_names_are_refused(model: str, columns: list[str]) -> None:
    rows = list(pd.DataFrame(X, columns=columns).itertuples(index=False))
    with pytest.raises(
        UnsupportedInput, match=r"^x\[0\]: expected the names age, dose, got .*: itertuples\(\) replaces"
    ):
        sent(model, x=rows, y=[1, 2])


def test_a_model_without_names_needs_rows_in_one_order() -> None:
    rows = [pd.Series([1.0, 20.0], ["a", "b"]), [2.0, 30.0], pd.Series([3.0, 10.0], ["a", "b"])]
    assert numbers(sent("plain", x=rows, y=rows)["inputs"]) == [[1, 20], [2, 30], [3, 10]]
    for names in (["b", "a"], ["a", "c"]):
        other = [*rows, pd.Series([3.0, 10.0], names)]
        expected = rf"expected the names a, b in this order, .*, got {', '.join(names)}: the model has no"
        with pytest.raises(UnsupportedInput, match=rf"^x\[3\]: {expected}"):
            sent("plain", x=other, y=X)
        with pytest.raises(UnsupportedInput, match=rf"^y\[3\]: {expected}"):
            sent("plain", x=X, y=other)


def test_dicts_for_a_model_without_names_are_left_to_the_server() -> None:
    rows = [{"a": 1.0, "b": 20.0}, {"b": 10.0, "a": 3.0}]
    assert sent("plain", x=rows, y=rows) == {"inputs": rows, "targets": rows}


@pytest.mark.parametrize("index", [["a", "a"], ["a", ("b", 1)]])
def test_an_index_that_does_not_matter(index: list[Any]) -> None:
    assert numbers(sent("plain", x=[pd.Series(row, index=pd.Index(index, dtype=object)) for row in X])["inputs"]) == X


def test_what_only_looks_like_a_named_tuple() -> None:
    with pytest.raises(UnsupportedInput, match=r"x\[0\]: cannot send a value of type Module"):
        sent("rates", x=[ast.parse("1")], y=Y)


@pytest.mark.parametrize("form", [set, frozenset])
@pytest.mark.parametrize("name", ["x", "y", "weights", "labels", "episodes"])
def test_what_has_no_order_is_refused(form: Callable[[list[float]], Any], name: str) -> None:
    with pytest.raises(UnsupportedInput, match=rf"^{name}: .*, got a {form.__name__}, which has no order: make a list"):
        sent("plain", **{name: form([1.0, 2.0])})


def test_the_keys_of_a_dict_have_an_order() -> None:
    assert sent("plain", labels=dict.fromkeys("ba").keys())["labels"] == ["b", "a"]


def test_names_of_several_columns() -> None:
    frame = pd.DataFrame({"age": [1, 2, 3], "low": [1, 2, 3], "high": [1, 2, 3]})
    with pytest.raises(UnsupportedInput, match="got names of columns: pass "):
        sent("rates", x=frame, y=["low", "high"])
    with pytest.raises(UnsupportedInput, match="got names of columns: pass "):
        sent("rates", x=frame, y=pd.Index(["low", "high"]))


@pytest.mark.parametrize("form", [list, tuple, pd.Index])
def test_a_label_for_each_row_may_be_called_as_a_column_is(form: Callable[[list[str]], Any]) -> None:
    alike = pd.DataFrame([[1.0, 0.2], [0.2, 1.0]], ["cat", "dog"], ["cat", "dog"])
    assert list(sent("plain", x=alike, y=form(["cat", "dog"]))["targets"]) == ["cat", "dog"]
    names = pd.DataFrame([[1.0, 0.2], [0.2, 1.0]]).set_axis(pd.MultiIndex.from_tuples([("a", 1), ("b", 2)]), axis=1)
    arrays = (np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    assert numbers(sent("plain", x=names, y=arrays)["targets"]) == [[1, 2], [3, 4]]


@pytest.mark.parametrize("name", [7, np.int64(7), ("b", "y")])
def test_the_name_of_a_column_may_be_no_text(name: Any) -> None:
    columns = [("a", "x"), name] if isinstance(name, tuple) else [3, name]
    frame = pd.DataFrame([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    frame.columns = pd.Index(columns)
    support = sent("plain", x=frame, y=name)
    assert numbers(support["inputs"]) == [[1], [3], [5]]
    assert np.asarray(support["targets"]).tolist() == [2, 4, 6]
    with pytest.raises(UnsupportedInput, match=r"^y: expected a column of x \(.*\), got 8$"):
        sent("plain", x=frame, y=8)


def test_large_whole_numbers_beside_floats() -> None:
    large = 2**53 + 1
    for names in ([0, 1], ["dose", "age"]):
        row = sent("wards", x=pd.DataFrame([[0.5, large]]).set_axis(names, axis=1))["inputs"][0]
        assert large in (row if isinstance(row, list) else row.values())


def test_the_name_of_a_column_needs_pandas() -> None:
    for x, kind in ((OtherFrame(), r"service_tests's OtherFrame"), (X, "list"), (None, "none")):
        with pytest.raises(UnsupportedInput, match=rf"needs a DataFrame of pandas as x, got {kind}$"):
            sent("rates", x=x, y="low")


def test_memory_is_no_list() -> None:
    with pytest.raises(UnsupportedInput, match=r"got a memoryview: send numpy\.asarray of it"):
        sent("plain", x=memoryview(b"abc"), y=Y)
