"""The composition root: `create_app(settings)` wires everything, and nothing is global."""

import asyncio
import gc
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from threading import Thread

import torch
from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

import app
from app.api import adaptations as adaptation_routes
from app.api import fast_path, health, inference, models, openapi, problems
from app.api.state import Limits, ServerState
from app.device import choose_device
from app.service.adaptations import Adaptations, Policy
from app.service.batcher import Batcher
from app.service.catalogue import Catalogue
from app.service.engine import Engine
from app.service.model import Model
from app.service.reloading import Reloader
from app.service.store import Quota, Store
from app.service.task import MAX_TASKS
from app.settings import Settings
from app.storage.memory import MemoryStore
from app.storage.redis import RedisStore
from app.storage.sqlite import SqliteStore

log = logging.getLogger(__name__)


def create_app(settings: Settings | None = None, clock: Callable[[], float] = time.time) -> FastAPI:
    """The application. Bundles that cannot be verified are logged and left out.

    settings: read from the environment where none are given
    clock: seconds since the epoch
    Raises DeviceError for a device that is not here.
    """
    settings = settings or Settings()
    device = choose_device(settings.device)
    catalogue = Catalogue(lambda bundle: Model(bundle, device))
    reloader = Reloader(catalogue, settings.models_dir, partial(compile_models, settings.compile, device))
    reloader.load()
    names = ", ".join(catalogue.models) or f"no bundle ({settings.models_dir} has none)"
    log.info("serving %s on %s", names, device)

    engine = Engine(settings.fast_weights_bytes)
    batcher = Batcher(engine, settings.max_waiting, settings.max_waiting_bytes)
    store = make_store(settings)
    policy = Policy(settings.adaptation_ttl_s, settings.on_new_bundle == "pin", settings.max_support_examples)
    adaptations = Adaptations(catalogue, engine, batcher, store, policy, clock)

    @asynccontextmanager
    async def lifespan(application: FastAPI) -> AsyncIterator[None]:
        async with store, batcher:
            # a daemon: the process does not wait for it when it ends
            models = list(catalogue.models.values())
            Thread(target=compile_models, args=(settings.compile, device, models), name="compile", daemon=True).start()
            background = [adaptations.sweep(), reloader.run(), *([reloader.watch()] if settings.watch else [])]
            tasks = [asyncio.create_task(each) for each in background]
            yield
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    application = FastAPIOffline(
        title="Innerloop",
        description=app.__doc__,
        version=app.__version__,
        redoc_url=None,
        lifespan=lifespan,
        # FastAPI looks for OpenTelemetry at every request: 5 us
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    application.state.server = ServerState(
        adaptations=adaptations,
        catalogue=catalogue,
        device=str(device),
        limits=Limits(
            settings.max_body_bytes,
            settings.max_support_examples,
            settings.max_ttl_s,
            # as many as share a fused call, where that leaves room for others
            lines=min(MAX_TASKS, max(1, settings.max_waiting // 2)),
        ),
    )
    application.state.reloader = reloader
    for routes in (models, health, adaptation_routes):
        application.include_router(routes.router)
    problems.install(application)
    openapi.install(application)
    fast_path.install(application, inference.DIRECT)
    return application


def make_store(settings: Settings) -> Store:
    """The store that the settings name."""
    quota = Quota(settings.max_adaptations, settings.max_stored_bytes)
    match settings.store:
        case "memory":
            return MemoryStore(quota)
        case "sqlite":
            return SqliteStore(settings.state_dir, quota, fsync=settings.durability == "fsync")
        case "redis":
            return RedisStore(settings.redis_url, quota, fsync=settings.durability == "fsync")


def compile_models(wanted: bool, device: torch.device, models: Iterable[Model]) -> None:
    """Compile the models one after another; what serves until then goes on where that fails."""
    if wanted:
        try:
            from app.service.compiled.compiler import compile_all  # without this folder the server runs eagerly
        except ModuleNotFoundError as error:
            log.warning("the inner loop stays eager: %s", error)
        else:
            compile_all(models, device)
    # what is here now stays: else the collector walks through all of torch's objects again and again, and every request
    # waits for it
    gc.collect()
    gc.freeze()
