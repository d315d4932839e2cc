"""What environments return, as it is sent. An error names the value: the observation, the reward, or what ends it."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from innerloop_client.arrays import as_numpy
from innerloop_client.errors import InvalidRequest, UnsupportedInput, server_error, shown
from innerloop_client.named_rows import names_of
from innerloop_client.value_encoding import plain

QUERY = re.compile(r"^queries(\[\d+\])*")
WRAP = ": wrap the environment, for example in gymnasium's FlattenObservation"


def values_of(method: str, result: Any, count: int) -> Any:
    """What a method of an environment returns. Raises UnsupportedInput for other than `count` values."""
    if not isinstance(result, tuple) or len(result) != count:
        actual = len(result) if isinstance(result, tuple) else type(result).__name__
        raise UnsupportedInput(f"{method}: expected {count} values, as in gymnasium, got {actual}")
    return result


def read_reward(value: Any) -> float:
    """A number of any type, or of an array that has one alone. Raises UnsupportedInput."""
    number = _number(_single("reward", value), "reward", "a number", value)
    if math.isnan(number):
        raise UnsupportedInput(f"reward: expected a number, got {_kind(value)}")
    return number


def read_end(name: str, value: Any) -> bool:
    """Whether an episode ends: a boolean, or 0 or 1, of any type. name: `terminated` or `truncated`

    Raises UnsupportedInput.
    """
    given = _single(name, value)
    if isinstance(given, bool | int | float) and given in (0, 1):
        return bool(given)
    raise UnsupportedInput(f"{name}: expected true or false, got {_kind(value)}")


def read_observation(numpy: Any, observation: Any, count: int | None = None) -> Any:
    """The numbers of an observation as float32, and as a copy: environments may change theirs in place.

    count: how many numbers the observations before it had; None for the first. Raises UnsupportedInput.
    """
    if (names := names_of(observation)) is not None and not isinstance(observation, Mapping):
        fix = "return an array, in the order of the model"
        raise UnsupportedInput(f"observation: expected numbers without names, got {shown(', '.join(names))}: {fix}")
    numbers = as_numpy(observation, "observation")
    if numbers is None or numbers.dtype.kind not in "biuf":
        values = _flat(observation)
        numbers = numpy.array([_number(each, "observation", "numbers", observation, WRAP) for each in values])
    with numpy.errstate(over="ignore"):  # of numbers that are refused below
        row = numbers.astype("float32").reshape(-1)
    if count not in (None, len(row)):
        raise UnsupportedInput(f"observation: expected {_numbers(count)}, as before, got {len(row)}")
    if numpy.isinf(row).any():
        actual = f"got {shown(observation)}: scale or clip it"
        raise UnsupportedInput(f"observation: expected finite numbers in the range of a float32, {actual}")
    return row


def stacked(numpy: Any, rows: Sequence[Any]) -> Any:
    """Observations as an array. Raises UnsupportedInput if some environments have more numbers than others."""
    wrong = next((len(row) for row in rows if len(row) != len(rows[0])), None)
    if wrong is not None:
        expected = f"{_numbers(len(rows[0]))}, as from the first environment"
        raise UnsupportedInput(f"observation: expected {expected}, got {wrong} from another one")
    return numpy.stack(rows)


@contextmanager
def as_observations() -> Iterator[None]:
    """Call what an error says of the queries an observation, as the user has no queries."""
    try:
        yield
    except UnsupportedInput as error:
        text = QUERY.sub("observation", str(error))
        if text == str(error):
            raise
        raise UnsupportedInput(text) from error
    except InvalidRequest as error:
        if not error.place.startswith("queries"):
            raise
        detail = f"observation{error.detail.removeprefix(error.place)}".partition(": send ")[0]
        raise server_error({**error.problem, "detail": detail, "place": "observation"}) from error


def _flat(observation: Any) -> Iterator[Any]:
    """The values of an observation, in whatever lists and arrays they are."""
    given = plain(observation, "observation")
    if not isinstance(given, list):
        yield given
    else:
        for each in given:
            yield from _flat(each)


def _single(name: str, value: Any) -> Any:
    """A value, also of a list or an array that has one alone."""
    given = plain(value, name)
    while isinstance(given, list) and len(given) == 1:
        given = given[0]
    return given


def _number(given: Any, name: str, expected: str, value: Any, fix: str = "") -> float:
    """A number as a float. value: what it is of. Raises UnsupportedInput for anything else."""
    if not isinstance(given, bool | int | float):
        raise UnsupportedInput(f"{name}: expected {expected}, got {_kind(value)}{fix}")
    try:
        return float(given)
    except OverflowError as error:
        actual = "got a larger one: scale or clip it"
        raise UnsupportedInput(f"{name}: expected {expected} in the range of a float, {actual}") from error


def _kind(value: Any) -> str:
    """What a value is, in a message."""
    return shown(value) if isinstance(value, bool | int | float | str) else type(value).__name__


def _numbers(count: int | None) -> str:
    return f"{count} number{'' if count == 1 else 's'}"
