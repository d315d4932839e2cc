"""Requests whose body is CSV: the rows are the body, and the other fields are query parameters."""

from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec
from msgspec.structs import FieldInfo, fields

from app.api import schemas
from app.api.csv_table import CsvBody
from app.api.decode_errors import invalid
from app.errors import MAX_SHOWN, Invalid, shown

CSV = "text/csv"
T = TypeVar("T")
ROWS: Mapping[type, str] = {
    schemas.AdaptRequest: "support",
    schemas.PredictRequest: "queries",
    schemas.ProposeRequest: "candidates",
}
"""The field of a body that a CSV stands for."""
NEED_SUPPORT = {"steps", "learning_rate", "label_names"}
"""Fields that go with `support`, for which a CSV of queries or candidates has no room."""


def parameters(form: type) -> dict[str, FieldInfo]:
    """The fields of a body that are query parameters where the body is CSV, by name."""
    left_out = {*ROWS.values()} | (set() if form is schemas.AdaptRequest else NEED_SUPPORT)
    if form is schemas.MoreSupport:
        left_out = {field.name for field in fields(schemas.Support)}
    return {field.name: field for field in fields(form) if field.name not in left_out}


PARAMETERS = {name for form in ROWS for name in parameters(form)}


def as_parameter(error: Invalid, content_type: str) -> Invalid:
    """An error of a field, at the place of the query parameter where the body is CSV."""
    csv = content_type.partition(";")[0].strip().lower() == CSV
    return Invalid(_place(error.place), *error.reason) if csv and error.place in PARAMETERS else error


class CsvCodec:
    """Makes the values of a request of its query string and its body. The rows stay text until the model is known."""

    media = CSV

    def __init__(self, query_string: bytes) -> None:
        self._query_string = query_string

    def decode(self, body: bytes, form: type[T]) -> T:
        """The request as `form`. Raises Invalid for a parameter that is wrong, unknown or missing."""
        values, rows = self._values(parameters(form)), {"rows": CsvBody(body)}
        if form is schemas.MoreSupport:
            values |= rows
        elif form is schemas.AdaptRequest:
            values["support"] = schemas.Support(**rows)  # type: ignore[arg-type]  # `read_support` takes a CsvBody
        else:
            values[ROWS[form]] = rows["rows"]
        return form(**values)

    def _values(self, known: dict[str, FieldInfo]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, text in _pairs(self._query_string):
            if name not in known:
                expected = (
                    f"one of the parameters {', '.join(known)}" if len(known) > 1 else f"only {next(iter(known))}"
                )
                fix = "correct its name, or leave it out"
                raise Invalid(_place(name[:MAX_SHOWN]), expected, "an unknown parameter", fix)
            if name in values:
                raise Invalid(_place(name), "one value", "several", "send it once")
            values[name] = _read(name, text, known[name].type)
        for name, field in known.items():
            if name not in values and field.required:
                raise Invalid(_place(name), "a value", "none", f"add the parameter: ?{name}=")
        return values


def _pairs(query_string: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query_string.decode("latin-1"), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError as error:
        actual = f"the byte 0x{error.object[error.start]:02x}"
        raise Invalid("query", "parameters in UTF-8", actual, "encode each value as UTF-8, then with %") from error


def _read(name: str, text: str, kind: Any) -> Any:
    """The value of a parameter. Raises Invalid."""
    try:
        return msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError as error:
        at_field = msgspec.ValidationError(f"{error} - at `$.{name}`")
        wrong = invalid(at_field, b"", schemas.AdaptRequest, lambda body: {name: text})
        expected, actual, fix = wrong.reason
        if actual == "a string":
            actual, fix = shown(text), ""
        raise Invalid(_place(name), expected, actual, fix) from error


def _place(name: str) -> str:
    """The `place` of a query parameter in an error."""
    return f"query.{name}"
