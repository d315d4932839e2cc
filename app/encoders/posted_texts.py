"""Texts and embeddings as they are posted: what can be encoded and stored."""

import numpy as np

from app.encoders.error_places import place
from app.errors import Invalid

SEND = "send a string"
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
    return text
