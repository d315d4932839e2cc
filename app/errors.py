"""The exceptions of Innerloop, sorted by who has to act.

    InnerloopError
    ├── RequestError            the client: the request has to change
    │   ├── Malformed           the body is not valid JSON, msgpack or NDJSON
    │   ├── UnsupportedMedia    the body has a media type that is not supported
    │   ├── BodyTooLarge        the body is larger than the limit
    │   ├── Invalid             a field has a value that the model cannot use
    │   ├── Diverged            the support loss diverged in the inner loop
    │   ├── UnknownModel        no bundle has that name
    │   ├── UnknownVersion      the server has no such version of the model, or no longer
    │   ├── UnknownAdaptation   no adaptation has that id
    │   ├── ExpiredAdaptation   the adaptation has expired
    │   ├── UnknownExample      the adaptation has no example with that number
    │   ├── LastExample         an adaptation keeps at least one example
    │   ├── NothingToUndo       all examples come from one request, and undo would remove them all
    │   ├── Outgrown            the bundle was replaced by one that does not accept the examples
    │   ├── PinnedBundleGone    the server no longer has the bundle that the adaptation is pinned to
    │   ├── OtherVersion        the request is for another version of the model than the one that answers
    │   ├── KeyReused           the idempotency key was used for another request
    │   └── QuotaExceeded       the quota of adaptations or of bytes is used up
    ├── Unavailable             the client, later; the operator, if it lasts
    │   ├── Overloaded          the server has no room for the request now, or is shutting down
    │   ├── DeadlinePassed      the client's deadline passed before the answer was ready
    │   └── StoreFailed         the store cannot be reached or cannot write
    ├── BundleError             the author of the bundle: it cannot be loaded
    │   └── ExtraMissing        the operator: it needs a package that is not installed
    ├── NoFamily                the author of the bundle: it names no family to draw tasks from
    ├── DataError               the user of a command: the data set is missing, damaged or too small, or the
    │                           environments cannot be made
    ├── DeviceError             the user of a command: the device does not exist
    ├── StartError              the operator: the server cannot start
    └── TrainingError           the user of a command: training cannot run with these arguments

A message about a value names the field, file or id, what was expected, what came, and the fix (`expectation`). A
message about a state says in a sentence or two what happened and what to do.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

MAX_SHOWN = 60
"""Characters of a value that a message repeats."""
MAX_NAMES = 50
"""Names that a message repeats."""
MAX_PATH = 255
"""Characters of a path that a message repeats."""


def expectation(place: str, expected: str, actual: object, fix: str = "") -> str:
    """The form of every error about a value: `support.inputs[4]: expected 3 numbers, got 2`.

    place: the path of the field in the body, or the name of the parameter or header
    expected: empty where no value would do; `fix` is the whole sentence then
    fix: what to do, where that is not obvious
    """
    return f"{place}: {expected_text(expected, actual, fix) if expected else fix}"


def expected_text(expected: str, actual: object, fix: str = "") -> str:
    """What follows the place in `expectation`."""
    text = f"expected {expected}, got {actual}"
    return f"{text}: {fix}" if fix else text


def cause_text(error: Exception) -> str:
    """What an error says, in quotes; without the number and the file that Python puts around it."""
    return f'"{getattr(error, "strerror", None) or error}"'


READABLE, LONG_NUMBER = "numbers of fewer digits", "a whole number of thousands of digits"
"""What is expected of JSON with a number that `has_long_number` finds, and what came."""


def has_long_number(error: ValueError) -> bool:
    """Whether `json.loads` has failed because Python reads no whole number of so many digits: the text is JSON."""
    return not isinstance(error, json.JSONDecodeError | UnicodeError)


def exact(number: Any) -> str:
    """A number of the client with all its digits: rounded, 0.9999999 would be 1, which may be allowed."""
    return str(number).removesuffix(".0")


def path_text(path: Path) -> str:
    """A path in a message, cut if it is longer than paths are: its end says which file it is."""
    text = str(path)
    return text if len(text) <= MAX_PATH else f"{text[:MAX_SHOWN]}..."


def shown(text: str) -> str:
    """A text of the client in quotes, cut if it is long."""
    return json.dumps(text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}...", ensure_ascii=False)


def name_text(name: str) -> str:
    """A name that the client has given, in a message, cut if it is long; in quotes where it would be misread."""
    cut = name if len(name) <= MAX_SHOWN else f"{name[:MAX_SHOWN]}..."
    is_plain = cut.isprintable() and cut == cut.strip() and not {",", '"'} & {*cut}
    return cut if is_plain else printable(shown(name))


def names_text(names: Sequence[str]) -> str:
    """Names that the client has given, in a message: each cut if it is long, and the first of them if they are many."""
    listed = [name_text(name) for name in names[:MAX_NAMES]]
    return ", ".join([*listed, "..."] if len(names) > MAX_NAMES else listed)


def printable(text: str) -> str:
    """A text of others with control characters as escapes: a terminal would obey them."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def printable_lines(text: str) -> str:
    """The same of each line."""
    return "\n".join(map(printable, text.split("\n")))


class InnerloopError(Exception):
    """The base class of all errors that Innerloop raises on purpose."""


class RequestError(InnerloopError):
    """The client has to change the request. `place` is the wrong field (`expectation`), "" for the whole body."""

    place = ""


class Malformed(RequestError):
    """The body cannot be parsed. `reason` is what was expected, what came and the fix."""

    def __init__(self, expected: str, actual: str, fix: str = "") -> None:
        super().__init__(expectation("body", expected, actual, fix))
        self.reason = expected, actual, fix


class UnsupportedMedia(RequestError):
    """The body has a media type that is not supported. `declared` is the header, "" where there is none."""

    place = "Content-Type"

    def __init__(self, supported: Sequence[str], declared: str) -> None:
        super().__init__(expectation(self.place, one_of(supported), shown(declared) if declared else "none"))


class UnsupportedEncoding(RequestError):
    """The body is compressed in a way that is not supported. `declared` is the header."""

    place = "Content-Encoding"

    def __init__(self, supported: Sequence[str], declared: str) -> None:
        super().__init__(expectation(self.place, one_of(supported), shown(declared), "send the body uncompressed"))


class BodyTooLarge(RequestError):
    """The body is larger than the limit."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            expectation(
                "body",
                f"at most {limit} bytes (INNERLOOP_MAX_BODY_BYTES)",
                "more",
                "send fewer examples or queries at a time",
            )
        )


class Invalid(RequestError):
    """A field of the body, a parameter or a header has a value that cannot be used. The arguments are `expectation`'s.

    place: "" for the body itself
    `reason` is what was expected, what came and the fix.
    """

    def __init__(self, place: str, expected: str, actual: object, fix: str = "") -> None:
        super().__init__(expectation(place or "body", expected, actual, fix))
        self.place = place
        self.reason = expected, str(actual), fix

    @classmethod
    def unusable(cls, place: str, sentence: str) -> "Invalid":
        """The error of a field that has no place in this request, whatever its value."""
        return cls(place, "", "", sentence)


class Diverged(RequestError):
    """The inner loop diverged. message: what happened and what to do

    losses: the support losses before the first step and after each
    """

    def __init__(self, message: str, losses: Sequence[float]) -> None:
        super().__init__(message)
        self.losses = losses


class UnknownModel(RequestError):
    """No bundle has that name. `models` are the names of the bundles that are loaded.

    id: of the adaptation of that model, where the request names the adaptation instead
    """

    def __init__(self, name: str, models: Sequence[str], place: str = "model", id: str | None = None) -> None:
        expected = one_of(models) if models else "the name of a loaded model"
        fix = "" if models else "no model is loaded, so put a bundle into the models folder"
        message = expectation(place, expected, shown(name), fix)
        if id is not None:
            place = "adaptation_id"
            message = (
                f"The model {shown(name)} of this adaptation is not loaded: put that bundle back into the models "
                "folder, or adapt another model"
            )
        super().__init__(message)
        self.models = models
        self.place = place


class UnknownVersion(RequestError):
    """The server has no such version of the model, or no longer. digest: of the version"""

    place = "query.digest"

    def __init__(self, name: str, digest: str) -> None:
        expected = f"the digest of a version of {shown(name)} that the server has"
        super().__init__(expectation(self.place, expected, shown(digest), "leave it out for the current one"))


class UnknownAdaptation(RequestError):
    """No adaptation has that id."""

    place = "adaptation_id"

    def __init__(self, id: str) -> None:
        fix = "POST /adapt creates an adaptation and returns its id"
        super().__init__(expectation(self.place, "the id of a stored adaptation", shown(id), fix))


class ExpiredAdaptation(RequestError):
    """The adaptation has expired."""

    place = "adaptation_id"

    def __init__(self, expired_at: datetime) -> None:
        super().__init__(
            f"The adaptation expired at {expired_at:%Y-%m-%dT%H:%M:%SZ}: adapt again, with a larger ttl_s to "
            "keep it longer"
        )


class Outgrown(RequestError):
    """The bundle was replaced by one that does not accept the stored examples, and the old one is gone."""

    place = "adaptation_id"

    def __init__(self, model: str) -> None:
        super().__init__(
            f"The current version of {shown(model)} does not accept the examples of this adaptation, or has other "
            "names for their numbers: adapt again with examples for the current version"
        )


class PinnedBundleGone(RequestError):
    """The server no longer has the bundle that the adaptation is pinned to."""

    place = "adaptation_id"

    def __init__(self, model: str, digest: str) -> None:
        super().__init__(
            f"The adaptation is pinned to the version {digest} of {shown(model)}, which the server no longer has: put "
            'that bundle back into the models folder, or predict with `"pinned": false`, which adapts the current '
            "version"
        )


class OtherVersion(RequestError):
    """The request is for another version of the model than the one that answers it, `digest`.

    wanted: the digest in the request; model: the name of the model
    """

    place = "model_digest"

    def __init__(self, model: str, digest: str, wanted: str) -> None:
        fix = f"read GET /models/{model}?digest={digest}, or leave model_digest out"
        super().__init__(expectation(self.place, digest, shown(wanted), fix))
        self.digest = digest


class UnknownExample(RequestError):
    """The adaptation has no example with that number."""

    place = "path.example"

    def __init__(self, id: str, number: int) -> None:
        actual = f"{number}, which was deleted, undone or never added"
        fix = f"GET /adaptations/{id}/support lists the examples"
        super().__init__(expectation(self.place, "the number of an example of this adaptation", actual, fix))


class LastExample(RequestError):
    """An adaptation keeps at least one example, whose weight is above 0."""

    place = "path.example"

    def __init__(self, number: int, weighted: bool = False) -> None:
        """weighted: whether there are others, whose weights are 0."""
        only = "the only one whose weight is above 0" if weighted else "the only one"
        super().__init__(
            f"Example {number} is {only}, so it cannot be deleted: add another first, or delete the adaptation"
        )


class NothingToUndo(RequestError):
    """All examples come from one request, and undo would remove them all."""

    place = "adaptation_id"

    def __init__(self) -> None:
        super().__init__(
            "There is nothing to undo, as all examples come from one request: delete the adaptation instead"
        )


class KeyReused(RequestError):
    """The idempotency key was used for another request."""

    place = "Idempotency-Key"

    def __init__(self) -> None:
        super().__init__(
            f"{self.place}: this key was used for another request, so choose a new key for each new request"
        )


class QuotaExceeded(RequestError):
    """The quota of adaptations or of bytes is used up."""

    def __init__(self, limit: int, unit: str) -> None:
        setting = "INNERLOOP_MAX_STORED_BYTES" if unit == "bytes" else "INNERLOOP_MAX_ADAPTATIONS"
        super().__init__(
            f"The store has no room for this request, as it takes at most {limit} {unit} ({setting}): delete "
            "adaptations, or wait until some of them expire"
        )


def one_of(choices: Sequence[str]) -> str:
    """What a value may be: `a`, or `one of a, b`."""
    return choices[0] if len(choices) == 1 else f"one of {', '.join(choices)}"


def missing_package(package: str, extra: str) -> str:
    """The text of an error about a package that an extra of Innerloop installs."""
    return f"{package} is not installed: pip install 'innerloop-server[{extra}]', or '.[{extra}]' in a checkout"


class Unavailable(InnerloopError):
    """The request may succeed later, or on another server."""


class Overloaded(Unavailable):
    """The server has no room for the request now, or is shutting down. message: what is full, and what to do"""

    @classmethod
    def stopping(cls) -> "Overloaded":
        """The error of a server that is shutting down."""
        return cls("The server is shutting down: send the request to another server")


class DeadlinePassed(Unavailable):
    """The client's deadline passed before the answer was ready. message: what to do"""


class StoreFailed(Unavailable):
    """The store cannot be reached or cannot write. message: what does not work, and what to do"""


class BundleError(InnerloopError):
    """A bundle cannot be loaded. `file` is the one that is wrong, `reason` the message without it."""

    def __init__(self, file: Path, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.file = file
        self.reason = reason


class ExtraMissing(BundleError):
    """A bundle needs a package of an extra that is not installed. Nothing is wrong with its files."""


class NoFamily(InnerloopError):
    """The bundle names no family, as imported weights may, so there are no tasks to draw. bundle: its name"""

    def __init__(self, bundle: str) -> None:
        super().__init__(
            f"The bundle {bundle} names no family of tasks: import it again with `innerloop bundle --family`, or send "
            "examples of your own to POST /adapt"
        )


class DataError(InnerloopError):
    """A family's data set is missing, damaged or too small, or its environments cannot be made."""


class DeviceError(InnerloopError):
    """The device does not exist on this machine."""


class StartError(InnerloopError):
    """The server cannot start with these settings on this machine."""


class TrainingError(InnerloopError):
    """Training, evaluating or importing cannot run with these arguments."""
