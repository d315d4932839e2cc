"""The composition root: `create_app(settings)` wires everything, and nothing is global."""

import logging
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from threading import Thread

import torch
from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

import app
from app.api import openapi, problems
from app.api.routes import router
from app.api.state import Limits, ServerState
from app.bundles import load_all
from app.device import choose_device
from app.service.adaptations import Adaptations
from app.service.batcher import Batcher
from app.service.engine import Engine
from app.service.model import Model
from app.settings import Settings
from app.storage.memory import MemoryStore

log = logging.getLogger(__name__)


def create_app(settings: Settings | None = None, clock: Callable[[], float] = time.time) -> FastAPI:
    """The application. Bundles that cannot be verified are logged and left out.

    settings: read from the environment where none are given
    clock: seconds since the epoch
    Raises DeviceError for a device that is not here.
    """
    settings = settings or Settings()
    device = choose_device(settings.device)
    bundles, refused = load_all(settings.models_dir)
    for error in refused.values():
        log.error("bundle refused: %s", error)
    models = {name: Model(bundle, device) for name, bundle in bundles.items()}
    log.info("serving %s on %s", ", ".join(models) or f"no bundle ({settings.models_dir} has none)", device)

    engine = Engine(models, settings.fast_weights_bytes)
    batcher = Batcher(engine.run, settings.max_waiting)

    @asynccontextmanager
    async def lifespan(application: FastAPI) -> AsyncIterator[None]:
        async with batcher:
            if settings.compile:
                # a daemon: the process does not wait for it when it ends
                Thread(target=compile_all, args=(models.values(), device), name="compile", daemon=True).start()
            yield

    application = FastAPIOffline(
        title="Innerloop", description=app.__doc__, version=app.__version__, redoc_url=None, lifespan=lifespan
    )
    application.state.server = ServerState(
        adaptations=Adaptations(models, batcher, MemoryStore(), settings.adaptation_ttl_s, clock),
        models=models,
        refused=refused,
        device=str(device),
        limits=Limits(settings.max_body_bytes, settings.max_support_examples, settings.max_ttl_s),
    )
    application.include_router(router)
    problems.install(application)
    openapi.install(application)
    return application


def compile_all(models: Iterable[Model], device: torch.device) -> None:
    """Compile the models one after another; eager serves until then, and goes on where compiling fails."""
    if device.type == "cpu" and shutil.which("g++") is None:
        log.warning("the inner loop stays eager: compiling needs g++ and Python's headers")
        return
    for model in models:
        try:
            model.compile()
        except RuntimeError as error:
            reason = str(error).partition("\n")[0]  # torch adds pages of advice to its own developers
            log.warning("%s: the inner loop stays eager: %s", model.bundle.name, reason)
