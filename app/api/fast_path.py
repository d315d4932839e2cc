"""The routes that are asked for most, without FastAPI's layers around them.

They stand in the OpenAPI document like any other. But telemetry, a body limit of FastAPI's own, exit stacks for
dependencies and the search for the route take 25 us, as long as an inner loop in a batch, and adapting needs none.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Receive, Scope, Send

Endpoint = Callable[[Request], Awaitable[Response]]


class DirectRoute(APIRoute):
    """A route whose endpoint gets the request and nothing else."""

    def __init__(self, path: str, endpoint: Endpoint, method: str, **options: Any) -> None:
        super().__init__(path, endpoint, methods=[method], **options)
        self.method = method
        self.direct = endpoint

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            response = await endpoint(Request(scope, receive, send))
            await response(scope, receive, send)

        self.app = serve


def install(app: FastAPI, routes: list[DirectRoute]) -> None:
    """Serve these routes before all others, once the application has its handlers of exceptions.

    Middleware has to be there before too: with any of it, these routes go the long way as the others do.
    """
    app.router.routes[:0] = routes
    if not app.user_middleware:
        app.middleware_stack = _Direct(app, routes)


class _Direct:
    """What the application serves with: its own stack, but for the direct routes."""

    def __init__(self, app: FastAPI, routes: list[DirectRoute]) -> None:
        self._rest = app.build_middleware_stack()
        self._handlers = dict(app.exception_handlers)
        self._direct: dict[tuple[str, str], ASGIApp] = {
            (route.method, route.path): self._serving(route.direct) for route in routes
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        direct = self._direct.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        await (direct or self._rest)(scope, receive, send)

    def _serving(self, endpoint: Endpoint) -> ASGIApp:
        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            request = Request(scope, receive, send)
            try:
                response = await endpoint(request)
            except Exception as error:
                # as starlette's middleware does: what only the handler of all knows is also raised, for the log
                kind = next(kind for kind in type(error).__mro__ if kind in self._handlers)
                response = await self._handlers[kind](request, error)
                if kind is Exception:
                    await response(scope, receive, send)
                    raise
            await response(scope, receive, send)

        return serve
