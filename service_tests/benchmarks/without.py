"""The server with one trick switched off, for `ablation`. The server itself has no settings for that.

    python -m service_tests.benchmarks.without TRICK serve --port 8000

This replaces the names that make up the trick, and then runs the usual command. It fails if a name no longer exists, or
is no longer used. The trick `nothing` replaces nothing. The results have one row more than there are tricks: huge pages
for the fast weights (`huge-pages`) did not pay, and were deleted.

The server has two more routes. GET /programs lists the compiled programs that serve the bundle `sinusoid`. GET
/inner-loop?tasks=32&seconds=0.3 calls `Model.adapt` over and over on the event loop, and returns the median time of a
call. So the inner loop is measured with all that a server's process has set.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from inspect import getsource
from statistics import median
from time import perf_counter
from types import ModuleType
from typing import Any, NamedTuple

SHOTS = 10
"""Examples of each task in the benchmarks."""


class Replacement(NamedTuple):
    """A name to replace: the module or class that has it, the name, and the new value."""

    owner: Any
    name: str
    value: Any


class StaleTrickError(Exception):
    """The server no longer uses what the trick would replace."""


@dataclass(frozen=True)
class Trick:
    """What `switch_off` replaces.

    replacements: raises AttributeError or StaleTrickError where the server has no such trick any more
    affects: the figures that the trick can change: adapt, predict, inner
    program: the compiled program that is missing without the trick, by its name in GET /programs
    """

    replacements: Callable[[], list[Replacement]]
    affects: tuple[str, ...] = ("adapt", "predict")
    program: str = ""


def _stage(name: str) -> Callable[[], list[Replacement]]:
    """Leave a stage of compiling out."""

    def replacements() -> list[Replacement]:
        from app.service.compiled import compile_models as compiler

        stage = getattr(compiler, name)
        if stage not in compiler.STAGES:
            raise StaleTrickError(f"{name} is not among the stages of {compiler.__name__}")
        return [Replacement(compiler, "STAGES", tuple(each for each in compiler.STAGES if each is not stage))]

    return replacements


def _imported(user: ModuleType, alias: str, **functions: Callable[..., Any]) -> Replacement:
    """Replace functions of a module, only where `user` calls them as `alias.function(`. The module stays as it is."""
    module, source = getattr(user, alias), getsource(user)
    for name in functions:
        if f"{alias}.{name}(" not in source or not hasattr(module, name):
            raise StaleTrickError(f"{user.__name__} does not call {alias}.{name}")
    changed = ModuleType(module.__name__)
    vars(changed).update({**vars(module), **functions})
    return Replacement(user, alias, changed)


def _nothing() -> list[Replacement]:
    return []


def _kernel() -> list[Replacement]:
    """The kernel cannot be had, as on a machine where it does not compile."""
    from app.service.compiled import bmm_kernel
    from app.service.compiled import compile_models as compiler

    def refuse() -> None:
        raise RuntimeError("switched off")

    if "SmallMatmul()" not in getsource(compiler.inductor_options):
        raise StaleTrickError("compile options have no SmallMatmul")
    return [Replacement(bmm_kernel, "SmallMatmul", refuse)]


def _recording() -> list[Replacement]:
    """No program can be recorded, so the program for a single task is called as it is."""
    from app.service.compiled import single_task

    def refuse(*_: object) -> None:
        raise TypeError("switched off")

    return [Replacement(single_task, "Recording", refuse)]


def _fast_path() -> list[Replacement]:
    """The fast routes are routes of FastAPI like the others. They stay the first that FastAPI tries."""
    from fastapi import FastAPI
    from fastapi.routing import APIRoute

    from app.api import fast_path

    def install(app: FastAPI, routes: list[fast_path.FastRoute], wrappers: object = ()) -> None:
        app.router.routes[:0] = [
            APIRoute(each.path, each.fast_endpoint, methods=[each.method], response_model=None) for each in routes
        ]

    return [Replacement(fast_path, "install", install)]


def _one_write() -> list[Replacement]:
    """Use uvicorn's own protocol."""
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    from app.api import uvicorn_protocol

    return [Replacement(uvicorn_protocol, "OneWrite", HttpToolsProtocol)]


def _quick() -> list[Replacement]:
    """No work is quick, so all of it runs on the engine's thread.

    A lower QUICK_S would do that too, but would also check more clients for disconnects: `WorkQueue` uses it for both.
    """
    from app.service import work_queue
    from app.service.engine import Engine
    from app.service.job import Job

    if ".seconds(jobs) < QUICK_S" not in getsource(work_queue):
        raise StaleTrickError(f"{work_queue.__name__} does not ask what is quick")
    measured = Engine.seconds

    def never_quick(engine: Engine, jobs: list[Job]) -> float:
        measured(engine, jobs)  # it takes time too
        return float("inf")

    return [Replacement(Engine, "seconds", never_quick)]


def _collector() -> list[Replacement]:
    """Python's garbage collector keeps its thresholds, and walks through all objects."""
    import app.main
    from app.cli import serve

    return [
        _imported(serve, "gc", set_threshold=lambda *_: None),
        _imported(app.main, "gc", freeze=lambda: None),
    ]


def _malloc() -> list[Replacement]:
    """glibc returns freed memory to the system, as it does by default."""
    from app.cli import serve

    return [Replacement(serve, "keep_freed_memory", lambda: None)]


NOTHING = "nothing"
TRICKS: Mapping[str, Trick] = {
    "small-matrix-kernel": Trick(_kernel, ("adapt", "inner")),
    "single-task-program": Trick(_stage("compile_single"), ("adapt", "inner"), "single"),
    "recording": Trick(_recording, ("adapt", "inner")),
    "unrolled-steps": Trick(_stage("compile_unrolled"), ("adapt", "inner"), "unrolled"),
    "look-ups": Trick(_stage("compile_look_up"), ("predict",), "look_up"),
    "fast-path": Trick(_fast_path),
    "one-write": Trick(_one_write),
    "quick-on-the-loop": Trick(_quick),
    "collector": Trick(_collector, ("adapt", "predict", "inner")),
    "malloc": Trick(_malloc, ("adapt", "predict", "inner")),
    NOTHING: Trick(_nothing, ("adapt", "predict", "inner")),
}


def switch_off(trick: str) -> None:
    """Replace the names of a trick, in this process, for good. Raises what `Trick.replacements` raises."""
    for owner, name, value in TRICKS[trick].replacements():
        getattr(owner, name)  # a name that does not exist would be replaced in vain
        setattr(owner, name, value)


def add_probes(create_app: Callable[..., Any]) -> Callable[..., Any]:
    """A `create_app` whose application has the routes of the module's docstring."""
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def programs(request: Request) -> JSONResponse:
        serving = request.app.state.server.catalogue.models["sinusoid"].functions
        names = [name for name in ("compiled", "unrolled", "look_up") if getattr(serving, name)]
        return JSONResponse(names + ["single"] * (serving.single is not None and SHOTS in serving.single_shots))

    async def inner_loop(request: Request) -> JSONResponse:
        from service_tests.benchmarks.inner_loop import run_engine, sinusoids  # it imports what a server does not

        model = request.app.state.server.catalogue.models["sinusoid"]
        size, seconds = int(request.query_params["tasks"]), float(request.query_params["seconds"])
        tasks, _ = sinusoids(size)
        run_engine(model, tasks, size)
        end, times = perf_counter() + seconds, []
        while (started := perf_counter()) < end:
            run_engine(model, tasks, size)
            times.append(perf_counter() - started)
        return JSONResponse({"seconds": median(times), "calls": len(times)})

    @wraps(create_app)
    def create(*arguments: Any, **options: Any) -> Any:
        application = create_app(*arguments, **options)
        application.router.routes += [Route("/programs", programs), Route("/inner-loop", inner_loop)]
        return application

    return create


def main() -> None:
    """Switch the trick off that the first argument names, and run `innerloop` with the others."""
    trick, *arguments = sys.argv[1:] or [""]
    if trick not in TRICKS:
        sys.exit(f"there is no trick {trick!r}: choose one of {', '.join(TRICKS)}")
    switch_off(trick)
    import app.main
    from app.cli.main import main as run  # after the names are replaced

    app.main.create_app = add_probes(app.main.create_app)
    sys.argv = ["innerloop", *arguments]
    run()


if __name__ == "__main__":
    main()
