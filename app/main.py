"""The composition root: `create_app(settings)` wires everything, and nothing is global."""

import gc
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from threading import Lock, Thread

import torch
from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

import app
from app.api import adaptations as adaptation_routes
from app.api import docs_page, error_responses, fast_path, health, inference, models, openapi, proposals
from app.api.dependencies import Limits, ServerState
from app.api.large_bodies import LargeBodies
from app.api.paths import RootPath
from app.device import choose_device
from app.service.adaptation_defaults import AdaptationDefaults
from app.service.adaptations import Adaptations
from app.service.background import BackgroundTasks
from app.service.catalogue import Catalogue
from app.service.concurrent_changes import Changes
from app.service.engine import Engine
from app.service.expiry import sweep
from app.service.fused_batches import MAX_TASKS
from app.service.health import Health, check
from app.service.lanes import Lanes
from app.service.model import Model
from app.service.proposals import Proposals
from app.service.reloader import Reloader
from app.service.store_protocol import Quota, Store
from app.service.version_choice import VersionChoice
from app.service.work_queue import WorkQueue
from app.settings import Settings
from app.storage.memory import MemoryStore
from app.storage.redis import RedisStore
from app.storage.sqlite import SqliteStore

log = logging.getLogger(__name__)


def create_app(
    settings: Settings | None = None,
    clock: Callable[[], float] = time.time,
    middleware: Sequence[Middleware] = (),
) -> FastAPI:
    """The application. Bundles that cannot be verified are logged and left out.

    settings: read from the environment where none are given
    clock: seconds since the epoch
    middleware: your own, the outermost first. POST /adapt and POST /predict then go through it and FastAPI's layers,
        and so take longer

    Raises DeviceError if the machine does not have the device.
    """
    settings = settings or Settings()
    device = choose_device(settings.device)
    catalogue, health = Catalogue(lambda bundle: Model(bundle, device)), Health()

    compile_in_place = _make_compile(settings.compile, device, health)
    reloader = Reloader(catalogue, settings.models_dir, compile_in_place, health)
    reloader.load()
    names = ", ".join(catalogue.models) or f"no models ({settings.models_dir} has no valid bundle)"
    log.info("serving %s on %s", names, device)

    lanes = make_lanes(settings, health)
    store = make_store(settings, health)
    defaults = AdaptationDefaults(
        settings.adaptation_ttl_s, settings.on_new_bundle == "pin", settings.max_support_examples
    )
    choice = VersionChoice(catalogue, store.bundles, health)
    changes = Changes(choice, lanes, store, defaults, clock)
    adaptations = Adaptations(choice, changes, lanes, store, defaults, clock)
    large_bodies = LargeBodies(settings.max_waiting_bytes)
    watch = {"watch": reloader.watch} if settings.watch else {}
    background = BackgroundTasks(
        {
            "sweep": partial(sweep, store, clock),
            "collect bundles": partial(choice.collect, clock),
            "reload": reloader.run,
            "check": partial(check, store.check, lanes.check, choice.check),
            **watch,
        }
    )

    def compile_served() -> None:
        # a daemon: the process does not wait for it when it ends
        served = list(catalogue.models.values())
        Thread(target=compile_in_place, args=(served,), name="compile", daemon=True).start()

    application = FastAPIOffline(
        title="Innerloop",
        description=openapi.INTRODUCTION,
        openapi_tags=openapi.TAGS,
        version=app.__version__,
        middleware=list(middleware),
        generate_unique_id_function=openapi.operation_id,
        docs_url=None,  # `docs_page` serves it
        redoc_url=None,
        lifespan=_lifespan((store, lanes, large_bodies, background), compile_served),
        # FastAPI looks for OpenTelemetry at every request: 5 us
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    limits = Limits(
        settings.max_body_bytes,
        settings.max_support_examples,
        settings.max_ttl_s,
        # as many as share a fused call, where that leaves room for others
        lines=min(MAX_TASKS, max(1, settings.max_waiting // 2)),
    )
    application.state.server = ServerState(
        choice, changes, adaptations, Proposals(lanes), catalogue, background, health, str(device), limits, large_bodies
    )
    application.state.reloader = reloader
    _install_routes(application, _wrappers(settings))
    return application


def _wrappers(settings: Settings) -> Iterable[Callable[[ASGIApp], ASGIApp]]:
    """What the settings put around the application, the outermost last."""
    if settings.cors_origins:
        yield partial(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=("GET", "POST", "PATCH", "DELETE"),
            allow_headers=("*",),
            expose_headers=("Allow", "Content-Disposition", "Retry-After"),
            max_age=86_400,
        )
    if settings.root_path:
        yield partial(RootPath, root_path=settings.root_path)


def _make_compile(enabled: bool, device: torch.device, health: Health) -> Callable[[Iterable[Model]], None]:
    """A function that compiles models while they serve. It does nothing unless it is enabled."""
    compiling = Lock()  # torch compiles on one thread at a time: that of the start, or that of a reload

    def compile_in_place(models: Iterable[Model]) -> None:
        if not enabled:
            return
        with compiling:
            compile_models(models, device, health)
        # what is here now stays: otherwise the collector walks through all of torch's objects now and then, and all
        # requests wait 0.4 s for it
        gc.collect()
        gc.freeze()

    return compile_in_place


def _lifespan(
    services: Iterable[AbstractAsyncContextManager[object]], started: Callable[[], None]
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Open the services in order, then call `started`; close them in the opposite order."""

    @asynccontextmanager
    async def lifespan(application: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for service in services:
                await stack.enter_async_context(service)
            started()
            yield

    return lifespan


def _install_routes(application: FastAPI, wrappers: Iterable[Callable[[ASGIApp], ASGIApp]]) -> None:
    for routes in (proposals, models, health, adaptation_routes):
        application.include_router(routes.router)
    error_responses.install(application)
    openapi.install(application)
    docs_page.install(application)
    fast_path.install(application, inference.FAST_ROUTES, list(wrappers))


def make_lanes(settings: Settings, health: Health) -> Lanes:
    """The workers of the device."""
    engine = Engine(settings.fast_weights_bytes)
    small = WorkQueue(engine, settings.max_waiting, settings.max_waiting_bytes, health)
    large = WorkQueue(engine, settings.max_waiting, settings.max_waiting_bytes)  # its work may rightly take long
    return Lanes(engine, small, large, settings.max_multiply_adds, settings.max_work_bytes)


def make_store(settings: Settings, health: Health) -> Store:
    """The store that the settings name."""
    quota = Quota(settings.max_adaptations, settings.max_stored_bytes)
    match settings.store:
        case "memory":
            return MemoryStore(quota)
        case "sqlite":
            return SqliteStore(settings.state_dir, quota, fsync=settings.durability == "fsync", health=health)
        case "redis":
            return RedisStore(settings.redis_url, quota, fsync=settings.durability == "fsync", health=health)


def compile_models(models: Iterable[Model], device: torch.device, health: Health) -> None:
    """Compile models one after another. Without `app.service.compiled` they run uncompiled."""
    try:
        from app.service.compiled.compile_models import compile_all
    except ModuleNotFoundError as error:
        log.warning("the inner loop runs uncompiled, which is slower: %s", error)
        return
    compile_all(models, device, health)
