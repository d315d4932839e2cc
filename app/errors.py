"""The exceptions of Innerloop, sorted by who has to act.

    InnerloopError
    ├── RequestError            the client: the request has to change
    │   ├── Malformed           the body is not valid JSON, msgpack or NDJSON
    │   ├── UnsupportedMedia    the body has a media type that is not supported
    │   ├── BodyTooLarge        the body is larger than the limit
    │   ├── Invalid             a field has a value that the model cannot use
    │   ├── Diverged            the support loss diverged in the inner loop
    │   ├── UnknownModel        no bundle has that name
    │   ├── UnknownAdaptation   no adaptation has that id
    │   ├── ExpiredAdaptation   the adaptation has expired
    │   ├── UnknownExample      the adaptation has no example with that number
    │   ├── LastExample         an adaptation keeps at least one example
    │   ├── NothingToUndo       no example was added after the adaptation was created
    │   ├── Outgrown            the bundle was replaced by one that takes other examples
    │   ├── PinnedBundleGone    the bundle that the adaptation is pinned to is not there any more
    │   ├── KeyReused           the idempotency key was used for another request
    │   └── QuotaExceeded       the quota of adaptations or of bytes is used up
    ├── Unavailable             the client, later; the operator, if it lasts
    │   ├── Overloaded          the server's queue is full
    │   ├── DeadlinePassed      the answer would come after the client's deadline
    │   └── StoreFailed         the store cannot be reached or cannot write
    ├── BundleError             the author of the bundle: it cannot be loaded
    ├── NoFamily                the author of the bundle: it names no family to draw tasks from
    ├── DataError               the user of a command: the data set is missing, damaged or too small
    ├── DeviceError             the user of a command: the device does not exist
    ├── StartError              the operator: the server cannot start
    └── TrainingError           the user of a command: training cannot run with these arguments

Each message names the field, file or id, and the fix.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

MAX_NAME = 60
"""Characters of an unknown name that a message repeats."""


class InnerloopError(Exception):
    """The base class of all errors that Innerloop raises on purpose."""


class RequestError(InnerloopError):
    """The client has to change the request."""


class Malformed(RequestError):
    """The body cannot be parsed."""


class UnsupportedMedia(RequestError):
    """The body has a media type that is not supported."""


class BodyTooLarge(RequestError):
    """The body is larger than the limit."""


class Invalid(RequestError):
    """A field of the body has a value that cannot be used. `place` is its path, such as `support.inputs[4]`."""

    def __init__(self, message: str, place: str = "") -> None:
        super().__init__(f"{place}: {message}" if place else message)
        self.place = place


class Diverged(RequestError):
    """The inner loop diverged. `losses` are the support losses before the first step and after each."""

    def __init__(self, message: str, losses: Sequence[float]) -> None:
        super().__init__(message)
        self.losses = losses


class UnknownModel(RequestError):
    """No bundle has that name. `models` are the names of the bundles that are loaded."""

    def __init__(self, name: str, models: Sequence[str]) -> None:
        choice = f"choose one of {', '.join(models)}" if models else "no model is loaded"
        super().__init__(f"there is no model {name[:MAX_NAME]!r}; {choice}")
        self.models = models


class UnknownAdaptation(RequestError):
    """No adaptation has that id."""

    def __init__(self, id: str) -> None:
        super().__init__(f"there is no adaptation {id[:MAX_NAME]!r}; POST /adapt creates one and returns its id")


class ExpiredAdaptation(RequestError):
    """The adaptation has expired."""

    def __init__(self, id: str, expired_at: datetime) -> None:
        super().__init__(
            f"adaptation {id!r} expired at {expired_at:%Y-%m-%dT%H:%M:%SZ}; adapt again, and set a larger ttl_s "
            "to keep it longer"
        )


class Outgrown(RequestError):
    """The bundle was replaced by one that takes other examples, and the old one is gone."""

    def __init__(self, id: str, model: str) -> None:
        super().__init__(
            f"the model {model!r} was replaced and no longer takes the examples of adaptation {id!r}; adapt again with "
            "examples for the new model"
        )


class PinnedBundleGone(RequestError):
    """The bundle that the adaptation is pinned to is not there any more."""

    def __init__(self, id: str, model: str, digest: str) -> None:
        super().__init__(
            f"adaptation {id!r} is pinned to the version {digest} of {model!r}, which is not there any more: put that "
            'bundle into the models folder, or predict with `"pinned": false`, which adapts to the present version'
        )


class UnknownExample(RequestError):
    """The adaptation has no example with that number."""

    def __init__(self, id: str, number: int) -> None:
        super().__init__(
            f"adaptation {id!r} has no example {number}: it was forgotten, undone or never added; "
            f"GET /adaptations/{id}/support lists the examples"
        )


class LastExample(RequestError):
    """An adaptation keeps at least one example."""

    def __init__(self, id: str) -> None:
        super().__init__(
            f"the last example of adaptation {id!r} cannot be forgotten; add another first, or delete the adaptation"
        )


class NothingToUndo(RequestError):
    """No example was added after the adaptation was created."""

    def __init__(self, id: str) -> None:
        super().__init__(
            f"adaptation {id!r} has only the examples that it was created with, so there is nothing to undo; "
            "forgotten examples cannot be restored"
        )


class KeyReused(RequestError):
    """The idempotency key was used for another request."""

    def __init__(self) -> None:
        super().__init__("this Idempotency-Key was used for another request; use a new key for each new request")


class QuotaExceeded(RequestError):
    """The quota of adaptations or of bytes is used up."""

    def __init__(self, limit: int, unit: str) -> None:
        super().__init__(f"at most {limit} {unit} can be stored; delete adaptations, or wait until some of them expire")


class Unavailable(InnerloopError):
    """The request may succeed later, or on another server."""


class Overloaded(Unavailable):
    """The server's queue is full."""


class DeadlinePassed(Unavailable):
    """The answer would come after the client's deadline."""


class StoreFailed(Unavailable):
    """The store cannot be reached or cannot write."""


class BundleError(InnerloopError):
    """A bundle cannot be loaded. `file` is the one that is wrong, `reason` the message without it."""

    def __init__(self, file: Path, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.file = file
        self.reason = reason


class NoFamily(InnerloopError):
    """The bundle names no family, as imported weights may, so there are no tasks to draw."""

    def __init__(self, bundle: str) -> None:
        super().__init__(
            f"{bundle} names no family, so there are no tasks to draw; import it again with `innerloop bundle --family`"
        )


class DataError(InnerloopError):
    """A family's data set is missing, damaged or too small."""


class DeviceError(InnerloopError):
    """The device does not exist on this machine."""


class StartError(InnerloopError):
    """The server cannot start with these settings on this machine."""


class TrainingError(InnerloopError):
    """Training, evaluating or importing cannot run with these arguments."""
