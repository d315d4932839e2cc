"""`innerloop serve`: the server in a process of its own, with the settings that belong to a process."""

import asyncio
import errno
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import torch
import typer

from app.cli.supported_systems import check_system
from app.device import keep_freed_memory
from app.errors import StartError, expectation
from app.service import health
from app.service.background import BackgroundTasks
from app.settings import Settings

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

log = logging.getLogger(__name__)

CLOSING_SHARE = 0.2
"""The part of INNERLOOP_SHUTDOWN_S that is kept for closing the store, after requests have had the rest."""
MIN_CLOSING_S = 1.0
"""At least so long, since what it closes is not lost work: less would be reported as dropped requests."""
MIN_ANSWERING_S = 0.1
"""uvicorn reports an idle server as one that drops requests where it may not wait at all."""


def serve(
    host: Annotated[str | None, typer.Option(help="Address that the server listens on; 127.0.0.1 by default.")] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port that the server listens on; 8000 by default, 0 for any free port."),
    ] = None,
) -> None:
    """Serve the bundles over HTTP. Open /docs on the server to try it.

    Settings are environment variables, such as INNERLOOP_MODELS_DIR; app/docs/settings.md lists them.
    --host and --port override INNERLOOP_HOST and INNERLOOP_PORT.
    """
    check_system()
    options = {"host": host, "port": port}
    settings = Settings.model_validate({name: value for name, value in options.items() if value is not None})
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        code = _serve(settings)
    except KeyboardInterrupt:
        code = 0  # nothing was accepted yet
    _leave(code)


def _serve(settings: Settings) -> int:
    """Serve until a signal comes, and return the exit code. Raises InnerloopError where the server cannot start."""
    listener = bind(settings.host, settings.port)
    # the server takes a second to import, and `--help` does without
    import uvicorn

    from app.api.error_responses import outermost
    from app.api.proxies import TrustedProxies, leave_out_unknown_port
    from app.api.uvicorn_protocol import OneWrite
    from app.main import create_app

    cache_problem = _prepare_process(settings)
    # INNERLOOP_ACCESS_LOG alone decides about these lines
    access_log = logging.getLogger("uvicorn.access")
    access_log.setLevel(logging.INFO)
    access_log.addFilter(leave_out_unknown_port)
    application = create_app(settings)
    closing_s = max(settings.shutdown_s * CLOSING_SHARE, MIN_CLOSING_S)
    signal.signal(signal.SIGHUP, lambda *_: application.state.reloader.request())
    served = outermost(application)
    config = uvicorn.Config(
        TrustedProxies(served, settings.trusted_proxies) if settings.trusted_proxies else served,
        log_config=None,
        access_log=settings.access_log,
        proxy_headers=False,  # `TrustedProxies` reads them
        http=OneWrite,
        lifespan="off",  # `_run` opens and closes the services: an error at start is then one line, and closing bounded
        timeout_graceful_shutdown=max(settings.shutdown_s - closing_s, MIN_ANSWERING_S),  # type: ignore[arg-type]
    )
    runner = asyncio.Runner(loop_factory=config.get_loop_factory())
    try:
        services = _services(application, settings.compile_cache, cache_problem)
        finished = runner.run(_run(services, uvicorn.Server(config), listener, closing_s))
    except BaseException:
        runner.close()
        raise
    return 0 if finished else 1  # the runner stays open: closing it waits for threads that compile


def _prepare_process(settings: Settings) -> str | None:
    """Set what belongs to the process, and so not into create_app. Returns why compiled code cannot be kept."""
    cache_problem = None
    with suppress(ModuleNotFoundError):  # without that folder nothing is compiled
        from app.service.compiled.cache import use_cache

        cache_problem = use_cache(settings.compile_cache) if settings.compile else None
    torch.set_num_threads(settings.threads)
    keep_freed_memory()
    # a request leaves no cycles: the default, a search at every seventh request, takes a tenth of its time in vain
    # (`collector` of the ablation benchmark: 1.08 times the predictions a second through 64 connections)
    gc.set_threshold(20_000, 50, 100)
    return cache_problem


def bind(host: str, port: int) -> socket.socket:
    """A socket with that address. Raises StartError."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        fix = "stop the program that uses it, or set --port or INNERLOOP_PORT to another port, or to 0 for any free one"
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            fix = "set --host or INNERLOOP_HOST to an address of this machine"
        elif error.errno == errno.EACCES:
            fix = "ports below 1024 need privileges; set --port or INNERLOOP_PORT to a larger one"
        expected = "an address to listen on"
        raise StartError(expectation(f"{host}:{port}", expected, f'"{error.strerror}"', fix)) from error
    return listener


@asynccontextmanager
async def _services(application: "FastAPI", folder: Path, cache_problem: str | None) -> AsyncIterator[None]:
    """Open the services of the application. Report a cache that cannot be written, once the store is open."""
    async with application.router.lifespan_context(application):
        if cache_problem is None:
            yield
            return
        conditions: health.Health = application.state.server.health
        conditions.begin("cache", cache_problem)
        async with BackgroundTasks({"check the cache": partial(_check_cache, folder, conditions)}):
            yield


async def _check_cache(folder: Path, conditions: health.Health) -> None:
    """Report when a cache that could not be written can be; it is used from the next start on."""
    from app.service.compiled.cache import cache_problem

    while (problem := await asyncio.to_thread(cache_problem, folder)) is not None:
        conditions.begin("cache", problem)
        await asyncio.sleep(health.CHECK_S)
    conditions.end("cache")


async def _run(
    services: AbstractAsyncContextManager[None], server: "uvicorn.Server", listener: socket.socket, closing_s: float
) -> bool:
    """Serve until a signal. Returns whether all requests were answered, and all services closed, in time."""
    await services.__aenter__()
    for number in (signal.SIGINT, signal.SIGTERM):
        # uvicorn handles them while it serves, and raises them again when it has ended
        signal.signal(number, lambda *_: setattr(server, "should_exit", True))
    host, port = listener.getsockname()[:2]
    log.info("listening on http://%s:%d (Ctrl-C stops the server)", f"[{host}]" if ":" in host else host, port)
    await server.serve(sockets=[listener])
    dropped = bool(server.server_state.tasks)  # uvicorn has just cancelled them
    try:
        async with asyncio.timeout(closing_s):
            await services.__aexit__(None, None, None)
    except TimeoutError:
        dropped = True
    if dropped:
        log.error("dropped requests that took longer than INNERLOOP_SHUTDOWN_S: raise it to wait for them")
    else:
        log.info("stopped")
    return not dropped


def _interrupt(*_: object) -> None:
    """A signal while the server starts. It is no SystemExit, which counts as an error of a user's network."""
    raise KeyboardInterrupt


def _leave(code: int) -> None:
    """End the process at once: torch aborts it where the interpreter ends while another thread compiles."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
