"""The interface of an encoder: from what people post to features."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

Rows = Sequence[Any] | np.ndarray
"""Inputs as they are posted, one for each row: lists, objects, strings or bytes, or all of them as one array."""


class StateError(ValueError):
    """The state of an encoder cannot be used. The message names the field; who reads a bundle adds the file."""


class ArraysError(StateError):
    """The arrays of an encoder cannot be used."""


class CodeError(StateError):
    """The code of an encoder is not installed, or fails."""


class PackageMissing(CodeError):
    """An encoder needs a package of an extra that is not installed."""


class FilesError(CodeError):
    """Files that an encoder needs, and that are not in the bundle, are missing or cannot be used."""


@runtime_checkable
class Encoder(Protocol):
    """Turns rows into features, each row without regard to the others.

    An encoder is fitted once, on training rows, and never changes. `registry` finds it by the name of the module that
    defines it as `encoder`.

    Whatever is wrong with a row raises `app.errors.Invalid`. Its place is relative to the rows, such as `[4].age`, so
    that the caller can put the path of the rows before it, and its fix says what to send instead.
    """

    @property
    def name(self) -> str:
        """The name that `registry` finds it by."""

    @property
    def feature_shape(self) -> tuple[int, ...]:
        """The shape of an input of the network. Its product is the number of features."""

    @property
    def keeps_features(self) -> bool:
        """Whether a canonical form that is one array holds the features, so that nothing is left to encode."""

    @property
    def slow(self) -> bool:
        """Whether rows that are not arrays take long: never on an event loop, and their features are cached."""

    @property
    def encodes_later(self) -> bool:
        """Whether the worker encodes rows that are not arrays, together with those of other requests.

        `canonical` is quick then, and refuses all that `encode` would.
        """

    def seconds(self, kept: Rows) -> float:
        """About how long it takes to encode rows in the canonical form."""

    def encode(self, rows: Rows) -> np.ndarray:
        """Features, float32 [row, feature], all finite. Raises Invalid for the first row that cannot be encoded."""

    def canonical(self, rows: Rows) -> Rows:
        """The rows in the form that a record keeps. It is the same for the same content, however it was posted.

        Numbers become one float32 array [row, ...], objects become lists of values in the order of the columns, and
        images become bytes without metadata. It changes nothing about the features, and nothing the second time:

            encode(canonical(rows)) == encode(rows)
            canonical(canonical(rows)) == canonical(rows)

        Raises Invalid as `encode` does, but need not decode images: what is damaged inside, `encode` finds.
        """

    def describe(self) -> dict[str, Any]:
        """What a client has to know, as plain JSON values.

        encoder: its name
        shape: `feature_shape`
        columns: for each column its `name`, `type`, `unit`, the range (`min`, `max`) or `categories` of the training
            rows, and whether it `may_be_missing`; empty where an input has no columns
        example: a row that can be encoded
        """

    def to_json(self) -> dict[str, Any]:
        """Options and categories, as plain JSON values."""

    def arrays(self) -> dict[str, np.ndarray]:
        """Numbers learned from the training rows, by name."""


@runtime_checkable
class ReadsBeginnings(Protocol):
    """An encoder that reads only the beginning of long rows."""

    def cut(self, kept: Rows) -> list[int]:
        """The numbers of the rows, in the canonical form, of which it reads only the beginning."""


class EncoderType(Protocol):
    """The class of an encoder: what its module defines as `encoder`."""

    fit: Callable[..., Encoder]
    """`fit(rows, **options)`: the encoder for rows like these. Nothing but the rows and the options decides what it is.

    options: plain JSON values, all with defaults

    Raises Invalid for a row that cannot be used, and TrainingError for options that do not fit.
    """
    from_state: Callable[[Mapping[str, Any], Mapping[str, np.ndarray]], Encoder]
    """The encoder that `to_json` and `arrays` describe. Raises StateError where they are malformed."""
