"""What every body has in common."""

import msgspec


class RequestBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What a client sends. The server refuses unknown fields and `null`: leave such a field out."""


class ResponseBody(msgspec.Struct, kw_only=True):
    """What a client receives. A field that does not apply is left out."""
