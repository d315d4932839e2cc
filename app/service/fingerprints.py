"""Fingerprints of requests, hashes of their content, by which a repeated request is recognised."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from itertools import product

import numpy as np

from app.errors import KeyReused
from app.service.columns_by_name import Columns, inputs_by_name, targets_by_name
from app.service.commands import AdaptCommand
from app.service.record import CONTENT, KEY, Adaptation, Change
from app.service.store_protocol import Name
from app.service.support_set import SupportSet

BYTES = 16
"""Of a hash."""
FORMS = tuple(product((False, True), repeat=2))
"""Of the values of a request: whether inputs and targets are in the order of the names of their columns."""
HAS_NONE, KNOWN, MEANT, UNKNOWN = range(4)
"""What is known of the names of columns. MEANT: the values go by them"""
NO_COLUMNS = Columns((), are_meant=False)
Digest = Callable[[Iterable[np.ndarray]], bytes]


def content_bytes(content: np.ndarray) -> bytes:
    """Inputs or targets as bytes, different for different content. -0 is 0."""
    # labels and rows are objects, whose raw bytes are addresses
    if content.dtype == object:
        values = [content_bytes(each) if isinstance(each, np.ndarray) else each for each in content.tolist()]
        return repr(content.shape).encode() + repr(values).encode()
    positive: np.ndarray = content + 0
    return repr(content.shape).encode() + positive.tobytes()


def names_of(command: AdaptCommand, columns: Sequence[Columns] = ()) -> list[Name]:
    """The names under which a request and its repeats are one, always in the same order.

    There are none for a request with neither a key nor `reuse`. The key comes first, because it alone can be refused.
    The model counts by its name: a newer bundle does not make another request of it.

    columns: of the inputs and of the targets; empty where they have no names
    """
    if command.key is None and not command.reuse:
        return []
    support, (steps, rate, label_names) = command.support, command.settings
    # as version 0.1 wrote it, so that a key from before an upgrade is recognised after it
    settings = f"Asked(steps={steps!r}, learning_rate={rate!r})"
    chosen = f"({command.model.bundle.name!r}, {settings}, {command.pinned!r}, {command.assess!r})".encode()
    if label_names is not None:
        chosen += f"label_names={label_names!r}".encode()
    names = []
    if command.key is not None:
        request = chosen + repr((command.ttl_s, command.label, command.reuse)).encode()
        names.append(Name(KEY + command.key, _fingerprint(support, columns, lambda content: _hash(content, request))))
    if command.reuse:
        content = _hash(support.content, chosen + command.model.digest.encode())
        names.append(Name(CONTENT + content.hex(), b""))
    return names


def _hash(content: Iterable[np.ndarray], settings: bytes) -> bytes:
    return hashlib.blake2b(b"".join([*map(content_bytes, content), settings]), digest_size=BYTES).digest()


def _fingerprint(support: SupportSet, columns: Sequence[Columns], digest: Digest) -> bytes:
    """A hash of the first of FORMS, and of all where any names are known; and a byte for what is known of them.

    A hash is zeros in a form that needs names that are not known.
    """
    inputs, targets, *others = support.content
    of_inputs, of_targets = columns or (NO_COLUMNS, NO_COLUMNS)
    states = bytes([_state(of_inputs) | _state(of_targets) << 2])
    if not of_inputs.names and not of_targets.names:
        return digest(support.content) + states
    hashes = []
    for inputs_are_named, targets_are_named in FORMS:
        if (inputs_are_named and not of_inputs.names) or (targets_are_named and not of_targets.names):
            hashes.append(bytes(BYTES))
            continue
        x, *x_names = inputs_by_name(inputs, of_inputs.names or ()) if inputs_are_named else [inputs]
        y, *y_names = targets_by_name(targets, of_targets.names or ()) if targets_are_named else [targets]
        hashes.append(digest([x, y, *others, *x_names, *y_names]))
    return b"".join([*hashes, states])


def _state(columns: Columns) -> int:
    if not columns.names:
        return UNKNOWN if columns.names is None else HAS_NONE
    return MEANT if columns.are_meant else KNOWN


def is_repeat(request: bytes, earlier: bytes) -> bool:
    """Whether two fingerprints are those of one request.

    The order of the columns of a model may have changed in between, so values go by the names of their columns if one
    of the requests means these and both know them. All others go by their positions. Where one means names and the
    model of the other had none, they are two requests: nothing tells which position a name has there.
    """
    inputs, targets = zip(_states(request), _states(earlier), strict=True)
    if any(MEANT in states and HAS_NONE in states for states in (inputs, targets)):
        return False
    start = BYTES * FORMS.index((_go_by_names(inputs), _go_by_names(targets)))
    return request[start : start + BYTES] == earlier[start : start + BYTES]


def _go_by_names(states: tuple[int, int]) -> bool:
    return MEANT in states and UNKNOWN not in states


def _states(fingerprint: bytes) -> tuple[int, int]:
    """Of the columns of inputs and of targets."""
    if len(fingerprint) % BYTES != 1:  # an older server wrote it
        return UNKNOWN, UNKNOWN
    return fingerprint[-1] & 3, fingerprint[-1] >> 2


def request_fingerprint(
    key: str, change: Change, more: SupportSet | None = None, columns: Sequence[Columns] = ()
) -> bytes:
    """The fingerprint of a request to change an adaptation: 16 bytes for its key, and the others for what it asks for.

    The latter depend on the key, which is stored nowhere, so they reveal nothing about an example forgotten later.

    more: examples to add, and their columns as for `names_of`
    """
    secret = hashlib.blake2b(key.encode()).digest()

    def digest(content: Iterable[np.ndarray]) -> bytes:
        content_hash = hashlib.blake2b(change.name.encode(), digest_size=BYTES, key=secret)
        for part in content:
            content_hash.update(content_bytes(part))
        return content_hash.digest()

    examples = digest([]) if more is None else _fingerprint(more, columns, digest)
    return hashlib.blake2b(key.encode(), digest_size=BYTES).digest() + examples


def has_applied(adaptation: Adaptation, request: bytes) -> bool:
    """Whether a request has made one of the revisions. Raises KeyReused where another request with its key has.

    request: its `request_fingerprint`
    """
    for revision in adaptation.history:
        if revision.request is not None and revision.request[:BYTES] == request[:BYTES]:
            if not is_repeat(request[BYTES:], revision.request[BYTES:]):
                raise KeyReused
            return True
    return False
