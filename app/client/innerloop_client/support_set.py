"""The examples of a user, as the server takes them."""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from numbers import Integral
from typing import Any

from innerloop_client.arrays import Array, is_a
from innerloop_client.descriptions import Models
from innerloop_client.errors import UnsupportedInput, shown
from innerloop_client.inputs import are_plain, plain_rows, read_inputs, read_values, repeatable, rows_of, value_rows
from innerloop_client.named_rows import by_names, have_names, names_of, rows_with_names
from innerloop_client.tables import (
    has_default_names,
    in_order,
    is_other_table,
    listed,
    names_for,
    refuse_other_table,
    target_names,
    without_multi_index,
)
from innerloop_client.value_encoding import as_names, plain

PER_STEP = ("rewards", "propensities")
"""The fields of an episode that have a number for each step."""


class Examples:
    """The examples of a user, which can be read several times. y may be the name of a column of the DataFrame x."""

    def __init__(
        self, x: Any = None, y: Any = None, weights: Any = None, labels: Any = None, episodes: Any = None
    ) -> None:
        """Raises UnsupportedInput."""
        if _is_column(x, y):
            x, y = _split(x, y)
        _check_columns(x, y)
        self._x, self._y = repeatable(x), repeatable(y)
        self._values = {"weights": repeatable(weights), "labels": repeatable(labels)}
        self._episodes = None if episodes is None else _episodes(episodes)

    async def read(self, models: Models, model: str) -> dict[str, Any]:
        """The support set as it is sent. Raises UnsupportedInput."""
        support: dict[str, Any] = {}
        if self._x is not None:
            support["inputs"] = await read_inputs(models, model, self._x, "x")
        if self._y is not None:
            support["targets"] = _unnested(await read_targets(models, model, self._y, "y"))
        for name, values in self._values.items():
            if values is not None:
                support[name] = _unnested(read_values(values, name))
        if self._episodes is not None:
            numbered = enumerate(self._episodes)
            support["episodes"] = [await _episode(models, model, each, f"episodes[{at}]") for at, each in numbered]
        return support


async def read_targets(models: Models, model: str, values: Any, place: str) -> Any:
    """Targets or actions as they are sent. Several with names go in the order of the model's names for them.

    Raises UnsupportedInput.
    """
    if are_plain(values):
        return values
    values = without_multi_index(values)
    if is_a(values, "pandas", "DataFrame") and len(values.columns) > 1:
        names = names_for([list(map(str, values.columns))], target_names(await models.model(model)))
        return read_values(in_order(values, names, place) if names else values, place)
    if is_other_table(values) and values.shape[1] > 1 and target_names(await models.model(model)):
        refuse_other_table(values, "targets", place)
    rows = value_rows(values, place)
    if isinstance(rows, Array):
        return rows
    if have_names(rows):
        given = list(filter(None, map(names_of, rows)))
        rows = by_names(rows, names_for(given, target_names(await models.model(model))), place)
    return plain_rows(rows, place)


async def check_order(models: Models, model: str, targets: Any) -> None:
    """Raise UnsupportedInput for several targets in another order than that of the model's names for them."""
    if is_a(targets, "pandas", "DataFrame"):
        given = [] if has_default_names(targets) else [list(map(str, targets.columns))]
    else:
        given = list(filter(None, map(names_of, rows_with_names(targets))))
    if given and len(given[0]) > 1:
        names = list(names_for(given, target_names(await models.model(model))) or given[0])
        wrong = next((each for each in given if each != names), None)
        if wrong is not None:
            raise UnsupportedInput(f"y: expected the columns {', '.join(names)} in this order, got {listed(wrong)}")


def _is_column(x: Any, y: Any) -> bool:
    """Whether y is the name of a column: a text, a whole number, or a tuple that cannot be the targets."""
    if isinstance(y, str) or not is_a(x, "pandas", "DataFrame"):
        return isinstance(y, str)
    if isinstance(y, tuple):
        return len(y) != len(x) and _count(x.columns, y) > 0
    return isinstance(y, Integral) and not isinstance(y, bool)


def _count(columns: Iterable[Hashable], name: Hashable) -> int:
    """How many columns are called so."""
    try:
        return Counter(columns)[name]
    except TypeError:  # a tuple of what cannot be a name, such as arrays
        return 0


def _split(x: Any, y: Hashable) -> tuple[Any, Any]:
    """A DataFrame without a column, and that column. Raises UnsupportedInput."""
    if not is_a(x, "pandas", "DataFrame"):
        module = type(x).__module__.partition(".")[0]
        actual = "none" if x is None else f"{module}'s {type(x).__name__}".removeprefix("builtins's ")
        raise UnsupportedInput(f"y: the name of a column needs a DataFrame of pandas as x, got {actual}")
    count = _count(x.columns, y)
    if count != 1:
        columns = listed(x.columns)
        actual = f"{shown(y)}, which {count} columns are called" if count else shown(y)
        raise UnsupportedInput(f"y: expected a column of x ({columns}), got {actual}")
    return x.drop(columns=y), x[y]


def _check_columns(x: Any, y: Any) -> None:
    """Raise UnsupportedInput if y is a list of names of columns: a single name would be understood."""
    if is_a(y, "pandas", "Index"):
        y = y.tolist()
    if not is_a(x, "pandas", "DataFrame") or not isinstance(y, list | tuple) or len(y) == len(x):
        return
    if y and all(isinstance(name, str) and name in x.columns for name in y):
        fix = f"pass x.drop(columns={list(y)}) as x, x[{list(y)}] as y"
        raise UnsupportedInput(f"y: expected targets, got names of columns: {fix}")


def _episodes(values: Any) -> list[Any]:
    """Episodes that can be read several times. Raises UnsupportedInput."""
    if isinstance(values, Mapping):
        raise UnsupportedInput("episodes: expected a list of episodes, got one: put it into a list")
    rows = rows_of(values, "episodes")
    if isinstance(rows, Array):
        raise UnsupportedInput("episodes: expected a list of episodes, got numbers")
    return [_fields(each) if isinstance(each, Mapping) else each for each in rows]


def _fields(episode: Mapping[str, Any]) -> dict[str, Any]:
    return {name: repeatable(values) for name, values in episode.items()}


async def _episode(models: Models, model: str, episode: Any, place: str) -> dict[str, Any]:
    if not isinstance(episode, Mapping):
        raise UnsupportedInput(f"{place}: expected observations, actions and rewards, got {type(episode).__name__}")
    read = {}
    for name, values in zip(as_names(episode, place), episode.values(), strict=True):
        where = f"{place}.{name}"
        if name in ("observations", "actions"):
            read_rows = read_inputs if name == "observations" else read_targets
            read[name] = await read_rows(models, model, values, where)
        else:  # the server refuses fields that it does not know, whatever they hold
            read[name] = read_values(values, where) if name in PER_STEP else plain(values, where)
    return read


def _unnested(values: Any) -> Any:
    """A value for each example, which may come as a column: [["a"], ["b"]]."""
    if isinstance(values, Array):
        return Array(values.values[:, 0]) if values.values.shape[1:] == (1,) else values
    is_column = all(isinstance(row, list) and len(row) == 1 for row in values)
    return [row[0] for row in values] if is_column else values
