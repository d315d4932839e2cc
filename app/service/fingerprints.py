"""Fingerprints of requests, by which a repeated request is recognised."""

import hashlib

import numpy as np

from app.errors import KeyReused
from app.service.record import Adaptation, Change


def content_bytes(content: np.ndarray) -> bytes:
    """Inputs or targets as bytes, different for different content. -0 is 0."""
    # labels and rows are objects, whose raw bytes are addresses
    if content.dtype == object:
        values = [content_bytes(each) if isinstance(each, np.ndarray) else each for each in content.tolist()]
        return repr(content.shape).encode() + repr(values).encode()
    positive: np.ndarray = content + content.dtype.type(0)
    return repr(content.shape).encode() + positive.tobytes()


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
