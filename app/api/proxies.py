"""The client, the scheme and the prefix that a request had before a proxy forwarded it."""

import logging
import re
from collections.abc import Sequence

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from app.api.paths import PREFIX, put_below

CLIENT_HEADER, PREFIX_HEADER = b"x-forwarded-for", b"x-forwarded-prefix"
ADDRESSES = re.compile(rb"[0-9a-fA-F.:,\[\] ]*")


class TrustedProxies:
    """Use the headers X-Forwarded-For, -Proto and -Prefix of requests that come from these proxies."""

    def __init__(self, app: ASGIApp, proxies: Sequence[str]) -> None:
        """proxies: addresses and networks; "*" stands for all."""
        # uvicorn has types of its own for the same things
        self._forwarded = ProxyHeadersMiddleware(app, list(proxies))  # type: ignore[arg-type]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request. A prefix that `PREFIX` does not match is ignored, and so is a client that is no IP."""
        if scope["type"] == "http" and (scope.get("client") or ("",))[0] in self._forwarded.trusted_hosts:
            prefix = next((value for name, value in scope["headers"] if name == PREFIX_HEADER), b"")
            prefix = prefix.decode("latin-1").strip().removesuffix("/")
            if PREFIX.fullmatch(prefix):
                put_below(scope, prefix)
            scope["headers"] = [(name, value) for name, value in scope["headers"] if _is_usable(name, value)]
        await self._forwarded(scope, receive, send)  # type: ignore[arg-type]


def _is_usable(name: bytes, value: bytes) -> bool:
    """Whether a header can be believed: the access log repeats the client's address."""
    return name != CLIENT_HEADER or ADDRESSES.fullmatch(value) is not None


def leave_out_unknown_port(record: logging.LogRecord) -> bool:
    """A filter of the access log. Proxies forward the address of a client without its port: uvicorn writes port 0."""
    assert isinstance(record.args, tuple)
    client, *others = record.args
    record.args = (str(client).removesuffix(":0"), *others)
    return True
