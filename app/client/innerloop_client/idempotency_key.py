"""The keys by which the server recognises a repeated request."""

import uuid


def new_key() -> str:
    """A new Idempotency-Key."""
    return uuid.uuid4().hex
