"""Paths and methods as clients write them: HEAD where there is GET, a slash at the end, the prefix of a proxy."""

import re

from starlette.types import ASGIApp, Message, Receive, Scope, Send


def route_path(scope: Scope) -> str:
    """The path of a request without the prefix that a proxy adds, such as "/models"."""
    root, path = scope.get("root_path", ""), str(scope["path"])
    return path.removeprefix(root) if root and path.startswith(f"{root}/") else path


PREFIX = re.compile(r"(/(?!\.{1,2}(/|$))[\w.~-]+)+", re.ASCII)
"""Prefixes that a proxy may name. They come to stand in pages and documents, where other characters would do harm."""


def put_below(scope: Scope, root_path: str) -> None:
    """Put the path of a request below a prefix, as ASGI has it, whether or not a proxy has removed the prefix."""
    path = scope["path"]
    inside = path == root_path or path.startswith(f"{root_path}/")
    scope["root_path"], scope["path"] = root_path, path if inside else root_path + path


class RootPath:
    """Serve below a prefix, unless a request comes with one already."""

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        """root_path: such as "/innerloop"."""
        self._app = app
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http" and not scope.get("root_path"):
            put_below(scope, self._root_path)
        await self._app(scope, receive, send)


class LenientPaths:
    """Answer HEAD as GET without the body, and a path that ends with a slash as the path without it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http":
            if len(route_path(scope)) > 1 and scope["path"].endswith("/"):
                scope = {**scope, "path": scope["path"].rstrip("/") or "/"}
            if scope["method"] == "HEAD":
                await self._app({**scope, "method": "GET"}, receive, _without_body(send))
                return
        await self._app(scope, receive, send)


def _without_body(send: Send) -> Send:
    async def send_head(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return send_head
