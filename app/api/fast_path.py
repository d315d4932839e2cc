"""The two busiest routes, POST /adapt and POST /predict, served without FastAPI's layers.

They are in the OpenAPI document like any other route. But FastAPI's telemetry, its own body limit, exit stacks for
dependencies and the search for the route take 25 us, as long as an inner loop in a batch, and these routes need none of
them. `fast-path` of the ablation benchmark: 1.46 times the requests to adapt a second through 64 connections, and 1.76
times those to predict.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.dependencies import ServerState, server_state
from app.api.paths import LenientPaths, route_path

Endpoint = Callable[[Request, ServerState], Awaitable[Response]]


class FastRoute(APIRoute):
    """A route whose endpoint takes the request and the state of the server, and nothing else."""

    def __init__(self, path: str, endpoint: Endpoint, method: str, **options: Any) -> None:
        super().__init__(path, endpoint, methods=[method], **options)
        self.method = method
        self.fast_endpoint = endpoint

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            request = Request(scope, receive, send)
            response = await endpoint(request, server_state(request))
            await response(scope, receive, send)

        self.app = serve


def install(app: FastAPI, routes: list[FastRoute], wrappers: Iterable[Callable[[ASGIApp], ASGIApp]] = ()) -> None:
    """Serve these routes before all others. Middleware that is added before the first request applies to them too.

    wrappers: around all of it, the outermost last
    """
    app.router.routes[:0] = routes
    app.router.redirect_slashes = False  # `LenientPaths` answers instead
    build = app.build_middleware_stack

    def build_with_fast_path() -> ASGIApp:
        stack: ASGIApp = LenientPaths(build())
        if not app.user_middleware:
            stack = _FastPath(app, stack, routes)
        for wrap in wrappers:
            stack = wrap(stack)
        return stack

    # FastAPI calls it once, at the first request
    app.build_middleware_stack = build_with_fast_path  # type: ignore[method-assign]


class _FastPath:
    """The fast routes, and the application's own stack for all others."""

    def __init__(self, app: FastAPI, rest: ASGIApp, routes: list[FastRoute]) -> None:
        self._rest = rest
        self._handlers = dict(app.exception_handlers)
        self._endpoints: dict[tuple[str, str], ASGIApp] = {
            (route.method, route.path): self._serving(route.fast_endpoint, app.state.server) for route in routes
        }

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        endpoint = None
        if scope["type"] == "http":
            path = route_path(scope) if scope.get("root_path") else scope["path"]  # a call less for most requests
            endpoint = self._endpoints.get((scope["method"], path))
        return (endpoint or self._rest)(scope, receive, send)

    def _serving(self, endpoint: Endpoint, server: ServerState) -> ASGIApp:
        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            request = Request(scope, receive, send)
            try:
                response = await endpoint(request, server)
            except Exception as error:
                # as starlette's middleware does: what only the handler of Exception takes is raised again, for the log
                handled = next(base for base in type(error).__mro__ if base in self._handlers)
                response = await self._handlers[handled](request, error)
                if handled is Exception:
                    await response(scope, receive, send)
                    raise
            await response(scope, receive, send)

        return serve
