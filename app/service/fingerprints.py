"""Fingerprints of requests, hashes of their content, by which a repeated request is recognised."""

import hashlib
from collections.abc import Iterable

import numpy as np

from app.bundles.bundle import Bundle
from app.errors import KeyReused
from app.service.commands import AdaptCommand
from app.service.order_of_names import by_name
from app.service.record import CONTENT, KEY, Adaptation, Change
from app.service.store_protocol import Name

BYTES = 16
"""Of a hash. A fingerprint has one of the values by position, and where columns are named another one by name."""


def content_bytes(content: np.ndarray) -> bytes:
    """Inputs or targets as bytes, different for different content. -0 is 0."""
    # labels and rows are objects, whose raw bytes are addresses
    if content.dtype == object:
        values = [content_bytes(each) if isinstance(each, np.ndarray) else each for each in content.tolist()]
        return repr(content.shape).encode() + repr(values).encode()
    positive: np.ndarray = content + 0
    return repr(content.shape).encode() + positive.tobytes()


def names_of(command: AdaptCommand, arranged_for: Bundle | None = None) -> list[Name]:
    """The names under which a request and its repeats are one, always in the same order.

    There are none for a request with neither a key nor `reuse`. The key comes first, because it alone can be refused.
    The model counts by its name: a newer bundle does not make another request of it.

    arranged_for: the version of the model whose columns the request names
    """
    if command.key is None and not command.reuse:
        return []
    support, (steps, rate, label_names) = command.support, command.settings
    # as version 0.1 wrote it, so that a key from before an upgrade is recognised after it
    settings = f"Asked(steps={steps!r}, learning_rate={rate!r})"
    asked = f"({command.model.bundle.name!r}, {settings}, {command.pinned!r}, {command.assess!r})".encode()
    if label_names is not None:
        asked += f"label_names={label_names!r}".encode()
    content = _hash(support.content, asked)
    names = []
    if command.key is not None:
        named = None if arranged_for is None else by_name(support, arranged_for)
        requests = [content.copy()] if named is None else [content.copy(), _hash(named, asked)]
        for request in requests:
            request.update(repr((command.ttl_s, command.label, command.reuse)).encode())
        names.append(Name(KEY + command.key, b"".join(request.digest() for request in requests)))
    if command.reuse:
        content.update(command.model.digest.encode())
        names.append(Name(CONTENT + content.hexdigest(), b""))
    return names


def _hash(content: Iterable[np.ndarray], asked: bytes) -> hashlib.blake2b:
    return hashlib.blake2b(b"".join([*map(content_bytes, content), asked]), digest_size=BYTES)


def is_repeat(request: Name, earlier: Name) -> bool:
    """Whether a request asks for what an earlier one with its name asked for.

    Where both name their columns, their order does not matter: that of a model may have changed in between.
    """
    if request.name != earlier.name:
        return False
    named = request.fingerprint[BYTES:], earlier.fingerprint[BYTES:]
    if all(named):
        return named[0] == named[1]
    return request.fingerprint[:BYTES] == earlier.fingerprint[:BYTES]


def request_fingerprint(key: str, change: Change, *content: np.ndarray) -> bytes:
    """The fingerprint of a request to change an adaptation: 16 bytes for its key, and 16 for what it asks for.

    The latter depend on the key, which is stored nowhere, so they reveal nothing about an example forgotten later.
    """
    content_hash = hashlib.blake2b(change.name.encode(), digest_size=16, key=hashlib.blake2b(key.encode()).digest())
    for part in content:
        content_hash.update(content_bytes(part))
    return hashlib.blake2b(key.encode(), digest_size=16).digest() + content_hash.digest()


def has_applied(adaptation: Adaptation, request: bytes) -> bool:
    """Whether a request has made one of the revisions. Raises KeyReused where another request with its key has."""
    for revision in adaptation.history:
        if revision.request is not None and revision.request[:16] == request[:16]:
            if revision.request != request:
                raise KeyReused
            return True
    return False
