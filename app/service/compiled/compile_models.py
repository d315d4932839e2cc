"""Compiling the programs of models: what is faster than the program that serves, and gives its numbers, replaces it."""

import logging
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from inspect import signature
from time import perf_counter
from typing import Any, TypeVar

import torch

from app.learn.inner import Examples, InnerLoop, Schedule, adapt, repeat_state
from app.learn.pytrees import leaves
from app.learn.update_rules import Params
from app.service.compiled.choose_faster import (
    adapt_speedup,
    example_batch,
    if_faster,
    last_faster,
    look_up_speedup,
    predict_speedup,
    single_speedup,
)
from app.service.health import Health
from app.service.model import Model
from app.service.serving_functions import ServingFunctions, Unrolled, eager

log = logging.getLogger(__name__)
T = TypeVar("T")

CONDITION = "compiler"
UNCOMPILED = "the inner loop runs uncompiled, which is slower"
FIX = "check g++ and Python's headers, or set INNERLOOP_COMPILE to false"

INTERFACE_ERRORS = (ImportError, AttributeError, TypeError, LookupError)
"""What torch's private interfaces raise where another torch lacks them, or fails on a program."""
MAX_UNROLLED = 8
"""Steps in one program: compiling takes 4 s for each."""
SINGLE_SHOTS = tuple(2**power for power in range(2, 11))
"""Numbers of examples at which a program for a single task is timed, until it is no faster any more."""
SINGLE_TASKS = (2, 3, 4, 6, 8, 12, 16)
"""Numbers of tasks, of `SINGLES_SHOTS` examples each, at which adapting one after another is timed."""
SINGLES_SHOTS = 10


def compile_all(models: Iterable[Model], device: torch.device, health: Health) -> None:
    """Compile the programs of the models in turn. Where that fails, what serves until then goes on."""
    if device.type == "cpu" and shutil.which("g++") is None:
        health.begin(CONDITION, f"{UNCOMPILED}, as g++ is not installed: {FIX}")
        return
    models, failed = list(models), False
    for model in models:
        model.compiling = True
    try:
        for stage in STAGES:
            for model in models:
                if (failure := _run_stage(stage, model)) is None:
                    continue
                if failed:  # a broken compiler fails for each model
                    log.info("%s", failure)
                else:
                    health.begin(CONDITION, f"{failure}: {FIX}")
                failed = True
    finally:
        for model in models:
            model.compiling = False
    if not failed:
        health.end(CONDITION)


def _run_stage(stage: Callable[[Model], ServingFunctions], model: Model) -> str | None:
    """Run a stage for a model. Returns why it failed, and what serves; None where it succeeded."""
    serving = "the server uses the compiled steps only" if model.compiled else UNCOMPILED
    try:
        model.functions = stage(model)
    except RuntimeError as error:
        reason = _first_line(error)
    except OSError as error:
        reason = str(error)
    except (Exception, SystemExit) as error:  # a user's network: the other models are compiled all the same
        log.exception("%s: compiling failed", model.bundle.name)
        reason = f"{type(error).__name__}: {error}"
    else:
        return None
    return f"{model.bundle.name}: {serving}: {reason}"


def _first_line(error: Exception) -> str:
    """The message without torch's pages of advice to its own developers."""
    return str(error).partition("\n")[0]


@torch.no_grad()
def compile_steps(model: Model) -> ServingFunctions:
    """Compile the inner step, the loss and the prediction.

    Each is compiled once, general in the number of tasks and of examples; the loop over steps stays Python, so no
    number of steps is compiled anew. Of a policy only the prediction is compiled: the gradient of its likelihood under
    `vmap` fixes the number of tasks. Raises RuntimeError where compiling fails or the numbers differ from eager's. Does
    nothing where the model is not `compilable`.
    """
    if not model.compilable:
        return model.functions
    started = perf_counter()
    inner, meta = _new_inner_loop(model), model.meta
    options = inductor_options(model.device)
    states, support, rate, active = example_batch(model, tasks=7, shots=11)

    fast = replace(inner, apply=compile_function(inner.apply, (meta, states, support.inputs), (0, 1, 2), options))
    if model.staged:
        ratio, min_adapt = predict_speedup(model, fast, inner), 1
    else:
        fast = replace(
            fast,
            step=compile_function(inner.step, (meta, states, support, rate, active), (0, 1, 2, 1, 1), options),
            loss=compile_function(inner.loss, (meta, states, support), (0, 1, 2), options),
        )
        ratio, min_adapt = adapt_speedup(model, by_steps(fast, 5), by_steps(inner, 5), steps=5), 2
    return if_faster(model, "steps", started, ratio, inner=fast, min_adapt=min_adapt, min_predict=2)


@torch.no_grad()
def compile_look_up(model: Model) -> ServingFunctions:
    """Compile the answers to one query a task straight from the cache of fast weights.

    Each weight is read once, where gathering writes and reads it once more: 64 policies of 2-100-100-4 take 152 us
    instead of 576, two 16 instead of 33 (`look-ups` of the ablation benchmark: 1.13 times the predictions a second
    through 64 connections). Does nothing where compiled predictions do not serve. Raises RuntimeError as
    `compile_steps` does.
    """
    if not model.compiled:
        return model.functions
    started, inner = perf_counter(), _new_inner_loop(model)
    support = example_batch(model, tasks=7, shots=2).support
    rows, queries = torch.arange(7, device=model.device), support.inputs[:, :1].contiguous()
    cache = repeat_state(model.initial_state, 13)  # of a size of its own, so that it is general too

    def answer(meta: Params, rows: torch.Tensor, queries: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        return inner.apply(meta, states[rows], queries)

    options = inductor_options(model.device)
    look_up = compile_function(answer, (model.meta, rows, queries, cache), (0, 1, 1, 1), options)
    return if_faster(model, "look-ups", started, look_up_speedup(model, look_up), look_up=look_up)


@torch.no_grad()
def compile_unrolled(model: Model) -> ServingFunctions:
    """Compile the default number of steps as one program.

    Other numbers of steps go on step by step. For 2 tasks of an MLP 1-40-40-1, 10 examples and 5 steps it takes 125
    instead of 186 us, for 64 876 instead of 957, and 20 s to compile (`unrolled-steps` of the ablation benchmark: 1.16
    times the tasks a second at 256). Does nothing where compiled steps do not serve,
    and for numbers of steps that would take minutes. Raises RuntimeError as `compile_steps` does.
    """
    steps = model.bundle.manifest.inner_loop.steps
    if not model.compiled or model.staged or not 0 < steps <= MAX_UNROLLED:
        return model.functions
    started = perf_counter()
    states, support, rate, active = example_batch(model, tasks=7, shots=11)
    unrolled = compile_function(
        by_steps(_new_inner_loop(model), steps),
        (model.meta, states, support, rate, active.long() * steps),
        (0, 1, 2, 1, 1),
        inductor_options(model.device),
    )
    ratio = adapt_speedup(model, unrolled, by_steps(model.functions.inner, steps), steps)
    return if_faster(model, f"{_count(steps, 'step')} at once", started, ratio, steps=steps, unrolled=unrolled)


@torch.no_grad()
def compile_single(model: Model) -> ServingFunctions:
    """Compile the default number of steps for a single task.

    It serves up to some number of examples, beyond which its sums are slower than products of matrices; and up to some
    number of tasks one after another, beyond which sharing a call is faster. Does nothing on a GPU, for numbers of
    steps that would take minutes, for a policy, and where the model is not `compilable`. Raises RuntimeError as
    `compile_steps` does.
    """
    steps = model.bundle.manifest.inner_loop.steps
    possible = model.compilable and not model.staged and model.device.type == "cpu"
    if not possible or not 0 < steps <= MAX_UNROLLED:
        return model.functions
    started = perf_counter()
    try:
        from app.service.compiled.single_task import SingleTask  # another torch may lack what it uses

        single = SingleTask(model.bundle, model.meta, model.initial_state, steps)
    except INTERFACE_ERRORS as error:
        raise RuntimeError(f"no program for a single task: {error}") from error
    seconds = perf_counter() - started

    def ratio(shots: int, tasks: int) -> float:
        return single_speedup(model, single, _baseline(model, steps, tasks), steps, shots, tasks)

    max_shots = last_faster(SINGLE_SHOTS, lambda shots: ratio(shots, 1), 0)
    max_singles = last_faster(SINGLE_TASKS, lambda tasks: ratio(SINGLES_SHOTS, tasks), 1)
    log.info(
        "%s: compiled a program for one task (%s) in %.1f s. Used for at most %s, and for at most %s at a time",
        model.bundle.name,
        _count(steps, "step"),
        seconds,
        _count(max_shots, "example"),
        _count(max_singles, "request"),
    )
    shots = range(2, max_shots + 1)
    return replace(model.functions, steps=steps, single=single, single_shots=shots, max_singles=max_singles)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


STAGES: Sequence[Callable[[Model], ServingFunctions]] = (
    compile_steps,
    compile_look_up,
    compile_unrolled,
    compile_single,
)
"""Each is done for all models before the next one begins: the first brings most, the third takes longest."""


def _new_inner_loop(model: Model) -> InnerLoop[torch.Tensor]:
    """An eager inner loop for this thread; the one that serves is used by another."""
    return eager(model.bundle, model.meta, model.ways).inner


def by_steps(inner: InnerLoop[torch.Tensor], max_steps: int) -> Unrolled:
    """The inner loop step by step, for tasks of at most `max_steps` steps."""

    def run(
        meta: Params, states: torch.Tensor, support: Examples, rate: torch.Tensor, steps: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return adapt(inner, meta, support, Schedule(rate, steps, max_steps), states)

    return run


def _baseline(model: Model, steps: int, tasks: int) -> Unrolled:
    """What adapts this number of tasks without `ServingFunctions.single`, for this thread."""
    functions = model.functions
    if not functions.compiled:
        return by_steps(eager(model.bundle, model.meta, model.ways).inner_for(tasks), steps)
    return functions.unrolled or by_steps(functions.inner, steps)


def compile_function(
    function: Callable[..., T], arguments: tuple[Any, ...], axes: Sequence[int], options: dict[str, Any]
) -> Callable[..., T]:
    """Compile a function for any number of tasks and examples; the arguments are those of `Program`."""
    try:
        from app.service.compiled.program import Program  # another torch may lack what it uses

        return Program(function, arguments, axes, options)
    except INTERFACE_ERRORS as error:
        log.warning("compiling with torch.compile, which is slower for few tasks: %s", error)
    # else all bundles share one limit of 8 compilations, beyond which torch falls back to eager in silence
    isolated = {"isolate_recompiles": True} if "isolate_recompiles" in signature(torch.compile).parameters else {}
    compiled: Callable[..., T] = torch.compile(  # type: ignore[call-overload]  # its stub lacks isolate_recompiles
        function,
        # a break in the graph fails here instead of being slow for ever
        fullgraph=True,
        **isolated,  # torch 2.11 does not have it
        # the functions are pure and stay as they are, so only shapes are checked at a call: 42 us a step, not 67
        options={**options, "guard_filter_fn": torch.compiler.keep_tensor_guards_unsafe},
    )
    for argument, count in zip(arguments, axes, strict=True):
        for tensor in leaves(argument):
            for axis in range(count):
                torch._dynamo.mark_dynamic(tensor, axis)
    compiled(*arguments)
    return compiled


def inductor_options(device: torch.device) -> dict[str, Any]:
    """Inductor's options, with `SmallMatmul` where it can be had."""
    if device.type == "cpu":
        try:
            from app.service.compiled.bmm_kernel import SmallMatmul  # another torch may lack what it uses

            return {"post_grad_custom_post_pass": SmallMatmul()}
        except (*INTERFACE_ERRORS, RuntimeError) as error:
            log.warning("compiling without the kernel for small matrices: %s", _first_line(error))
    return {}
