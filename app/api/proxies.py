"""The client, the scheme and the prefix that a request had before a proxy forwarded it."""

from collections.abc import Sequence

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from app.api.paths import put_below

PREFIX = b"x-forwarded-prefix"


class TrustedProxies:
    """Use the headers X-Forwarded-For, -Proto and -Prefix of requests that come from these proxies."""

    def __init__(self, app: ASGIApp, proxies: Sequence[str]) -> None:
        """proxies: addresses and networks; "*" stands for all."""
        # uvicorn has types of its own for the same things
        self._forwarded = ProxyHeadersMiddleware(app, list(proxies))  # type: ignore[arg-type]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request. A prefix that is no path is ignored."""
        if scope["type"] == "http" and (scope.get("client") or ("",))[0] in self._forwarded.trusted_hosts:
            prefix = next((value for name, value in scope["headers"] if name == PREFIX), b"").strip().rstrip(b"/")
            if prefix.startswith(b"/"):
                put_below(scope, prefix.decode("latin-1"))
        await self._forwarded(scope, receive, send)  # type: ignore[arg-type]
