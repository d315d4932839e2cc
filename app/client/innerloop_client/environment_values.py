"""What environments return, as it is sent. An error names the value: the observation, the reward, or what ends it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from innerloop_client.errors import InvalidRequest, UnsupportedInput, server_error, shown

WRAP = ": wrap the environment, for example in gymnasium's FlattenObservation"


def values_of(method: str, result: Any, count: int) -> Any:
    """What a method of an environment returns. Raises UnsupportedInput for other than `count` values."""
    if not isinstance(result, tuple) or len(result) != count:
        actual = len(result) if isinstance(result, tuple) else type(result).__name__
        raise UnsupportedInput(f"{method}: expected {count} values, as in gymnasium, got {actual}")
    return result


def read_reward(value: Any) -> float:
    """A number of any type, or of an array that has one alone. Raises UnsupportedInput."""
    return float(_read("reward", value, _one_number, "a number"))


def read_end(name: str, value: Any) -> bool:
    """Whether an episode ends: a truth value of any type. name: `terminated` or `truncated`. Raises UnsupportedInput"""
    return bool(_read(name, value, lambda each: bool(_single(each)), "true or false"))


def read_observation(numpy: Any, observation: Any, count: int | None = None) -> Any:
    """The numbers of an observation as float32, and as a copy: environments may change theirs in place.

    count: how many numbers the observations before it had; None for the first. Raises UnsupportedInput.
    """

    def read(value: Any) -> Any:
        numbers = numpy.asarray(value)
        if numbers.dtype.kind not in "biuf":
            numbers = numpy.array([_one_number(each) for each in numbers.reshape(-1)], "float64")
        with numpy.errstate(over="ignore"):  # of numbers that are refused below
            return numbers.astype("float32").reshape(-1)

    row = _read("observation", observation, read, "numbers", WRAP)
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
    """Call what the server says of the queries an observation, as the user has no queries."""
    try:
        yield
    except InvalidRequest as error:
        if not error.place.startswith("queries"):
            raise
        detail = f"observation{error.detail.removeprefix(error.place)}".partition(": send ")[0]
        raise server_error({**error.problem, "detail": detail, "place": "observation"}) from error


def _single(value: Any) -> Any:
    """A value, also of an array that has one alone."""
    return value.item() if hasattr(value, "item") else value


def _one_number(value: Any) -> float:
    return float(_single(value))


def _read(name: str, value: Any, read: Callable[[Any], Any], expected: str, fix: str = "") -> Any:
    """What `read` makes of a value. Raises UnsupportedInput for one that it cannot read."""
    try:
        return read(value)
    except OverflowError as error:
        actual = "got a larger one: scale or clip it"
        raise UnsupportedInput(f"{name}: expected {expected} in the range of a float, {actual}") from error
    except (RuntimeError, TypeError, ValueError) as error:  # RuntimeError: of a tensor with several numbers
        raise UnsupportedInput(f"{name}: expected {expected}, got {type(value).__name__}{fix}") from error


def _numbers(count: int | None) -> str:
    return f"{count} number{'' if count == 1 else 's'}"
