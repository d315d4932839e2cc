"""Texts and embeddings as they are posted: what can be encoded and stored."""

from typing import Any
from unicodedata import category

import numpy as np

from app.encoders.error_places import place, show
from app.encoders.finite_numbers import many
from app.errors import Invalid

SEND = "send a string"
NESTED = (list, tuple, dict, np.ndarray)
UNREAD, UNKNOWN = ("Cc", "Cf", "Co", "Mn", "Zl", "Zp", "Zs"), "\ufffd"
"""What tokenizers of BERT leave out: categories of Unicode, and the mark of a character that could not be read."""
ROUNDING = 1e-3
"""What half precision makes of a length of 1."""


def of_length_1(embeddings: np.ndarray, first: int = 0) -> np.ndarray:
    """Embeddings, float32 [row, width], scaled to length 1. first: the number of the first row. Raises Invalid."""
    lengths = np.linalg.norm(embeddings.astype(np.float64), axis=1, keepdims=True)
    if not lengths.all():
        raise Invalid(place(first + int(np.argmin(lengths))), "an embedding", "zeros alone", SEND)
    scaled = np.where(np.abs(lengths - 1) <= ROUNDING, embeddings, embeddings / lengths)
    return scaled.astype(np.float32)


def checked_text(text: str, index: int) -> str:
    """A text that can be encoded and stored. Raises Invalid."""
    if not text.strip():
        raise Invalid(place(index), "a text", "an empty one" if not text else "one of spaces", SEND)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Invalid(place(index), "a text in Unicode", "half of a surrogate pair", "leave it out") from error
    if all(category(each) in UNREAD or each == UNKNOWN for each in text):
        raise Invalid(place(index), "a text", "one of control characters", SEND)
    return text


def check_is_embedding(row: Any, index: int, width: int) -> None:
    """Raise Invalid for a row that is neither a text nor an array of `width` values."""
    expected = f"a text, or {width} numbers"
    if not isinstance(row, list | tuple | np.ndarray):
        raise Invalid(place(index), expected, show(row), SEND)
    if not isinstance(row, np.ndarray) and row and all(isinstance(each, str) for each in row):
        raise Invalid(place(index), expected, f"an array of {len(row)} text{'' if len(row) == 1 else 's'}", SEND)
    is_flat = row.ndim == 1 if isinstance(row, np.ndarray) else not any(isinstance(each, NESTED) for each in row)
    if is_flat and len(row) != width:
        raise Invalid(place(index), expected, show(row[0]) if len(row) == 1 else many((len(row),)), SEND)
