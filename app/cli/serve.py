"""`innerloop serve`: the server in a process of its own, with the settings that belong to a process."""

import gc
import logging
import signal
from contextlib import suppress
from typing import Annotated

import torch
import typer

from app.device import keep_freed_memory
from app.settings import Settings


def serve(
    host: Annotated[str | None, typer.Option(help="Address that the server listens on; 127.0.0.1 by default.")] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port that the server listens on; 8000 by default, 0 for any free port."),
    ] = None,
) -> None:
    """Serve the bundles over HTTP. Open /docs on the server to try it.

    Settings are environment variables, such as INNERLOOP_MODELS_DIR; the README lists them.
    --host and --port override INNERLOOP_HOST and INNERLOOP_PORT.
    """
    # the server takes a second to import, and `--help` does without
    import uvicorn

    from app.api.uvicorn_protocol import OneWrite
    from app.main import create_app

    options = {"host": host, "port": port}
    settings = Settings.model_validate({name: value for name, value in options.items() if value is not None})
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # these belong to the process, so they are set here and not in create_app
    with suppress(ModuleNotFoundError):  # without that folder nothing is compiled
        from app.service.compiled.cache import use_cache

        use_cache(settings.compile_cache)
    torch.set_num_threads(settings.threads)
    keep_freed_memory()
    # a request leaves no cycles: the default, a search at every seventh request, takes a tenth of its time in vain
    # (`collector` of the ablation benchmark: 1.08 times the predictions a second through 64 connections)
    gc.set_threshold(20_000, 50, 100)
    application = create_app(settings)
    signal.signal(signal.SIGHUP, lambda *_: application.state.reloader.request())
    uvicorn.run(
        application,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        # no response depends on the client of a proxy: 6 us of the 91 that a decision took
        proxy_headers=False,
        http=OneWrite,
    )
