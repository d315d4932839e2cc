"""Predictions as a CSV: a line for each query, in their order."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from fastapi import Response
from msgspec import UNSET

from app.api import schemas
from app.api.bundle_columns import describe_targets, names_of
from app.api.codec import JSON, respond
from app.api.csv_requests import CSV
from app.bundles.bundle import Bundle
from app.errors import Invalid, shown
from app.service.class_labels import Label

AT_ONCE = 1000
"""Rows that are texts at a time."""
ACTION = "action"


def csv_predictions(answer: schemas.PredictResponse, bundle: Bundle) -> Response:
    """The answer as a response.

    The predictions are under the names of the targets. The other columns are those that the answer has: `target_lower`
    and the like, `unlike`, `similarity`, `nearest_example`, `cut`, and `probability_` with each label or action.

    Raises Invalid where two columns would have the same name, because a target is called as another part of the answer.
    """
    names, columns = zip(*_columns(answer, bundle), strict=True)
    _refuse_same(names)
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(names)
    for start in range(0, len(answer.predictions), AT_ONCE):
        parts = [_texts(values[start : start + AT_ONCE]) for values in columns]
        writer.writerows(zip(*parts, strict=True))
    return respond(file.getvalue().encode(), 200, f"{CSV}; charset=utf-8")


def _refuse_same(names: Sequence[str]) -> None:
    """Raise Invalid for the first name that two columns have."""
    for name, count in Counter(names).items():
        if count > 1:
            fix = f"a CSV of this answer would have {count} columns called {shown(name)}"
            raise Invalid("Accept", JSON.media, CSV, fix)


def _columns(answer: schemas.PredictResponse, bundle: Bundle) -> Iterator[tuple[str, Sequence[Any] | np.ndarray]]:
    names = names_of(describe_targets(bundle.manifest)) or [ACTION]
    yield from _numbered(names, "", answer.predictions)
    for part in ("lower", "upper", "mean", "std"):
        if (array := getattr(answer, part)) is not UNSET:
            yield from _numbered(names, f"_{part}", array)
    if answer.unlike is not UNSET:
        yield "unlike", answer.unlike
    if answer.similarity is not UNSET:
        yield "similarity", answer.similarity
    if answer.nearest_examples is not UNSET:
        yield "nearest_example", answer.nearest_examples
    if answer.cut_queries is not UNSET:
        cut = set(answer.cut_queries)
        yield "cut", [index in cut for index in range(len(answer.predictions))]
    if answer.probabilities is not UNSET:
        labels = range(answer.probabilities.shape[1]) if answer.labels is UNSET else answer.labels
        for index, label in enumerate(_distinct(labels)):
            yield f"probability_{label}", answer.probabilities[:, index]


def _numbered(names: Sequence[str], suffix: str, values: Any) -> Iterator[tuple[str, Any]]:
    """A column for each number of [query, number], or one for [query]."""
    if not isinstance(values, np.ndarray) or values.ndim == 1:
        yield f"{names[0]}{suffix}", values
        return
    count = values.shape[1]
    each = names if len(names) == count else [f"{names[0]}_{number}" for number in range(1, count + 1)]
    yield from ((f"{name}{suffix}", values[:, index]) for index, name in enumerate(each))


def _distinct(labels: Sequence[Label]) -> list[str]:
    """Labels as text; as JSON where 1 and "1" would have the same one."""
    texts = list(map(_text, labels))
    return texts if len(set(texts)) == len(texts) else list(map(json.dumps, labels))


def _texts(values: Sequence[Any] | np.ndarray) -> list[str]:
    """Cells: numbers with no more digits than float32 has, and nothing for one that is not finite."""
    if isinstance(values, np.ndarray) and values.dtype.kind == "f":
        numbers = JSON.encoder.encode(values).decode()[1:-1].split(",")
        return ["" if number == "null" else number for number in numbers]
    return list(map(_text, values))


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
