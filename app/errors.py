"""What can go wrong, sorted by who has to act.

    InnerloopError
    ├── RequestError            the client: the request can never work as it is
    │   ├── Malformed           the body is not JSON
    │   ├── UnsupportedMedia    the body is of another media type
    │   ├── BodyTooLarge        the body is over the limit
    │   ├── Invalid             the body does not mean anything to the model it names
    │   ├── Diverged            the inner loop left the range where its answer means anything
    │   ├── UnknownModel        no bundle of that name
    │   ├── UnknownAdaptation   no adaptation of that id
    │   ├── ExpiredAdaptation   there was one
    │   ├── UnknownExample      the adaptation has no example of that number
    │   ├── LastExample         an adaptation without examples is none
    │   ├── NothingToUndo       only the examples it began with are left
    │   ├── Outgrown            the newer bundle of that name takes other examples
    │   ├── KeyReused           the idempotency key came with another request before
    │   └── QuotaExceeded       more is kept already than may be
    ├── Unavailable             whoever runs the server, or nobody: try again later
    │   ├── Overloaded          more work is queued than the server takes on
    │   ├── DeadlinePassed      the answer would come later than the client waits
    │   └── StoreFailed         the store cannot be reached, or cannot write
    ├── BundleError             whoever made the bundle: it is refused
    ├── NoFamily                whoever asks for tasks of a bundle that came without any
    ├── DataError               whoever trains or evaluates: the data set is not there, or too small
    ├── DeviceError             whoever starts it: the device asked for is not here
    └── TrainingError           whoever trains: the run cannot go on as asked

Every message names the place and the cure.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path


class InnerloopError(Exception):
    """The root of all errors raised on purpose."""


class RequestError(InnerloopError):
    """The client has to change the request."""


class Malformed(RequestError):
    """The body is not JSON."""


class UnsupportedMedia(RequestError):
    """The body is of a media type that is not read here."""


class BodyTooLarge(RequestError):
    """The body is over the limit."""


class Invalid(RequestError):
    """A value in the body cannot be used. `place` is its path, such as `support.inputs[4]`."""

    def __init__(self, message: str, place: str = "") -> None:
        super().__init__(f"{message} at {place}" if place else message)
        self.place = place


class Diverged(RequestError):
    """The inner loop diverged. `losses` are those before the first step and after each."""

    def __init__(self, message: str, losses: Sequence[float]) -> None:
        super().__init__(message)
        self.losses = losses


class UnknownModel(RequestError):
    """No bundle has that name. `models` are those that exist."""

    def __init__(self, name: str, models: Sequence[str]) -> None:
        known = ", ".join(models) or "none is loaded"
        super().__init__(f"there is no model {name!r}; the models here: {known}")
        self.models = models


class UnknownAdaptation(RequestError):
    """No adaptation has that id."""

    def __init__(self, id: str) -> None:
        super().__init__(f"there is no adaptation {id!r}; POST /adapt makes one and answers with its id")


class ExpiredAdaptation(RequestError):
    """The adaptation has outlived its time."""

    def __init__(self, id: str, expired_at: datetime) -> None:
        super().__init__(
            f"adaptation {id!r} expired at {expired_at:%Y-%m-%dT%H:%M:%SZ}; adapt again, and set a larger ttl_s"
        )


class Outgrown(RequestError):
    """The newer bundle of that name takes other examples than the adaptation has, and the older one is gone."""

    def __init__(self, id: str, model: str) -> None:
        super().__init__(f"{model} takes other examples now than those of adaptation {id!r}: adapt again")


class UnknownExample(RequestError):
    """The adaptation has no example of that number."""

    def __init__(self, id: str, number: int) -> None:
        super().__init__(
            f"adaptation {id!r} has no example {number}: it was forgotten, undone or never posted; "
            f"GET /adaptations/{id}/support lists those it has"
        )


class LastExample(RequestError):
    """An adaptation without examples is none."""

    def __init__(self, id: str) -> None:
        super().__init__(f"this is the last example of {id!r}: post another one first, or delete the adaptation")


class NothingToUndo(RequestError):
    """Only the examples that the adaptation began with are left."""

    def __init__(self, id: str) -> None:
        super().__init__(f"nothing is left to undo: {id!r} has only examples that it began with; forgetting is final")


class KeyReused(RequestError):
    """The idempotency key came with another request before."""

    def __init__(self) -> None:
        super().__init__("this Idempotency-Key came with another request before; take a new key for a new one")


class QuotaExceeded(RequestError):
    """More is kept already than may be."""

    def __init__(self, limit: int, unit: str) -> None:
        super().__init__(f"{limit} {unit} are kept at most: delete adaptations, or wait until some expire")


class Unavailable(InnerloopError):
    """It may work later, or on another server."""


class Overloaded(Unavailable):
    """More work is queued than the server takes on."""


class DeadlinePassed(Unavailable):
    """The answer would come later than the client waits."""


class StoreFailed(Unavailable):
    """The store cannot be reached, or cannot write."""


class BundleError(InnerloopError):
    """A bundle is refused. `file` is the one to look at."""

    def __init__(self, file: Path, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.file = file
        self.reason = reason


class NoFamily(InnerloopError):
    """A bundle of weights from elsewhere came without a family, so that there are no tasks to draw."""

    def __init__(self, bundle: str) -> None:
        super().__init__(
            f"{bundle} came without a family, so there are no tasks to draw; `innerloop bundle --family` names one"
        )


class DataError(InnerloopError):
    """A family's data set is not where it should be, or does not have what is asked of it."""


class DeviceError(InnerloopError):
    """The device asked for is not here."""


class TrainingError(InnerloopError):
    """A training run cannot go on as asked."""
