"""How the server describes models, revisions and itself."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Protocol, TypeVar

from innerloop_client.errors import UnexpectedAnswer, reason, shown
from innerloop_client.field_types import check_types

R = TypeVar("R")


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Raise UnexpectedAnswer for any error of reading a body here. what: the expected body, such as `a model`"""
    try:
        yield
    except UnexpectedAnswer:
        raise
    except Exception as error:  # nothing but the body can be the reason
        actual = f"another answer ({reason(error)})"
        raise UnexpectedAnswer(f"expected {what} from Innerloop, got {actual}: check the URL") from error


def from_body(form: type[R], body: Mapping[str, Any], **expected: Any) -> R:
    """A body as a dataclass. Fields that a newer server adds are ignored. Raises UnexpectedAnswer.

    expected: values that fields must have in the answer to this request
    """
    names = {each.name for each in fields(form)}  # type: ignore[arg-type]
    with reading(form.__name__):
        values = {name: value for name, value in body.items() if name in names}
        check_types(form, values)
        check_expected(values, expected)
        return form(**values)


def check_expected(values: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Raise ValueError unless these fields have these values: otherwise it is the answer to another request."""
    for name, value in expected.items():
        if values[name] != value:
            raise ValueError(f"{name} is {shown(values[name])} instead of {shown(value)}")


def names_of(columns: Iterable[Mapping[str, Any]]) -> list[str]:
    """The names of columns, as the server describes them; a name may be None. Raises TypeError for anything else."""
    names = [column["name"] for column in columns]
    if not all(isinstance(name, str | None) for name in names):
        raise TypeError(f"the names of columns are {shown(names)}")
    return names


def layout(model: Mapping[str, Any]) -> Any:
    """What the rows for a model depend on, in what the server says of it: the encoder, and names in their order."""
    inputs, actions = model["inputs"], model.get("actions") or {}
    targets = [column.get("name") for column in model.get("target_columns", ())]
    columns = [column.get("name") for column in inputs["columns"]]
    return inputs["encoder"], inputs.get("ignore_extra"), columns, targets, actions.get("form"), actions.get("names")


def read_time(text: str) -> datetime:
    """A time of the server, RFC 3339 in UTC. Raises ValueError for a time without an offset."""
    time = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if time.tzinfo is None:
        raise ValueError(f"the time {shown(text)} has no offset from UTC")
    return time


class Models(Protocol):
    """Knows what the server says of its models, as `model_versions.Described` does."""

    async def model(self, name: str) -> Mapping[str, Any]:
        """The description of a model."""


@dataclass(frozen=True)
class Model:
    """A model that the server serves, and the requests that it takes.

    inputs, target_columns, example, evaluation and training are there if you ask for one model
    """

    name: str
    digest: str
    kind: str
    algorithm: str
    features: int
    targets: int
    inner_loop: Mapping[str, Any]
    compiled: bool
    family: str | None = None
    shape: list[int] | None = None
    max_classes: int | None = None
    image: str | None = None
    actions: Mapping[str, Any] | None = None
    intervals: list[float] | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict, repr=False)
    target_columns: list[Mapping[str, Any]] = field(default_factory=list, repr=False)
    example: Mapping[str, Any] = field(default_factory=dict, repr=False)
    family_options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    evaluation: Mapping[str, Any] = field(default_factory=dict, repr=False)
    training: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class RefusedBundle:
    """A bundle that the server cannot load: the file that is wrong, and why."""

    name: str
    file: str
    reason: str


@dataclass(frozen=True)
class Quality:
    """Whether adapting helped, by cross-validation: `assess` in `adapt`."""

    method: str
    folds: int
    error: float | None
    initial_error: float | None
    errors: list[float | None]
    helped: bool | None
    unlike_training: bool | None
    worst_example: int | None
    message: str
    accuracy: float | None = None


@dataclass(frozen=True)
class Revision:
    """A revision of an adaptation, with the change that made it."""

    revision: int
    change: str
    support_size: int
    model_digest: str
    at: datetime
    added: list[int]
    forgotten: int | None = None


@dataclass(frozen=True)
class Health:
    """Whether the server can answer requests, and which parts of it do not work."""

    status: str
    device: str
    models: list[str]
    compiled: bool
    compiling: bool
    failing: Mapping[str, str] = field(default_factory=dict)
    degraded: Mapping[str, str] = field(default_factory=dict)

    @property
    def ready(self) -> bool:
        """Whether the server can answer requests."""
        return self.status in ("ready", "degraded")
