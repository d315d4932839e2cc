"""What an adaptation is, as the server last described it."""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from datetime import datetime
from html import escape
from typing import Any

from innerloop_client.descriptions import Quality, check_expected, from_body, read_time, reading
from innerloop_client.errors import are_losses, shown
from innerloop_client.field_types import check_types
from innerloop_client.model_versions import Version
from innerloop_client.session import Session
from innerloop_client.url_segments import segment


@dataclass(repr=False, eq=False, init=False)
class AdaptationFields:
    """A model adapted to a support set. Methods that change it update the fields in place.

    id: identifies it on the server
    revision: 1 at first, and 1 more after each change
    model, model_digest: the name and the version of the model
    kind: `regression`, `classification` or `decision`
    support_size, examples: how many examples it has, and the number of each
    steps, learning_rate: of the inner loop
    losses: the support loss before the first step and after each step; None if not finite
    status, message: whether the support loss fell, in a word and in a sentence
    created_at, expires_at: times in UTC
    label: your name for it
    labels: the classes, for a classifier
    label_names: whether the words of each label count as one more example
    cut_examples: the numbers of the examples that are longer than a model of texts reads; it read their beginning
    pinned: whether it stays with this version of the model
    quality: whether adapting helped, if you asked with `assess`
    lineage: digests of earlier versions of the model
    change: what the call changed, in words, if the last one was `forget` or `undo`; None if the answer of
        `forget` was lost, and it was sent again
    """

    id: str
    revision: int
    model: str
    model_digest: str
    kind: str
    support_size: int
    examples: list[int]
    steps: int
    learning_rate: float
    losses: list[float | None]
    status: str
    message: str
    created_at: datetime
    expires_at: datetime
    label: str | None = None
    labels: list[Any] | None = None
    label_names: bool = False
    cut_examples: list[int] | None = None
    pinned: bool = False
    quality: Quality | None = None
    lineage: tuple[str, ...] = ()
    change: str | None = None

    def __init__(self, session: Session, body: Mapping[str, Any], **expected: Any) -> None:
        """body: the adaptation as the server describes it; expected: values that fields must have."""
        self._session = session
        self._read(body, expected)

    def _read(self, body: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
        """Take over what the server says."""
        with reading("an adaptation"):
            values = {**body, "id": body["adaptation_id"], "lineage": tuple(body.get("lineage", ()))}
            values |= {name: read_time(body[name]) for name in ("created_at", "expires_at")}
            if "quality" in body:
                values["quality"] = from_body(Quality, body["quality"])
            described = {name: values.get(name, default) for name, default in DEFAULTS.items()}
            for name, value in described.items():
                if value is MISSING:
                    raise KeyError(name)
            check_types(AdaptationFields, described)
            check_expected(described, expected)
            if not are_losses(described["losses"]):
                raise TypeError(f"losses is {shown(described['losses'])}")
            segment("id", described["id"])  # raises if it cannot be part of a path
        vars(self).update(described)
        self._version = Version(self.model_digest)

    def _shown(self) -> Iterator[tuple[str, Any]]:
        """The fields that people look at first."""
        names = ("id", "model", "label", "revision", "support_size", "losses", "status", "message", "expires_at")
        yield from ((name, getattr(self, name)) for name in names if getattr(self, name) is not None)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._shown())})"

    def __rich_repr__(self) -> Iterator[tuple[str, Any]]:
        """The same for rich, in color."""
        yield from self._shown()

    def _repr_html_(self) -> str:
        """A table for notebooks."""
        rows = (f"<tr><th>{name}</th><td>{escape(_text(value))}</td></tr>" for name, value in self._shown())
        return f"<table>{''.join(rows)}</table>"


DEFAULTS = {each.name: each.default for each in fields(AdaptationFields)}
"""The fields, and MISSING for those that an answer must have."""


def _text(value: Any) -> str:
    """A value as people read it: losses as the first, the last and their number."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S} UTC"
    if isinstance(value, list) and value:
        first, last = (f"{loss:.4g}" if loss is not None else "not finite" for loss in (value[0], value[-1]))
        return f"{first} before the first step, {last} after {len(value) - 1}"
    return str(value)
