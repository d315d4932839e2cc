"""Compiling a way to adapt, and finding out whether that is faster: what `Model` does at start."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from inspect import signature
from time import perf_counter
from typing import Any, TypeVar

import torch

from app.learn.inner import Examples, InnerLoop, adapt
from app.learn.rules import Params
from app.learn.trees import leaves

log = logging.getLogger(__name__)
T = TypeVar("T")

Unrolled = Callable[[Params, torch.Tensor, Examples, torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""(meta, states, support, rate, steps) -> the states after the steps, and the losses [task, step]."""


def compiled(
    function: Callable[..., T], arguments: tuple[Any, ...], axes: Sequence[int], options: dict[str, Any]
) -> Callable[..., T]:
    """Compile a function for any number of tasks and examples (`Program`, whose arguments these are)."""
    try:
        from app.service.program import Program  # it needs interfaces that another torch may lack

        return Program(function, arguments, axes, options)
    except (ImportError, AttributeError, TypeError, LookupError) as error:
        log.warning("compiling by torch.compile, which is slower for few tasks: %s", error)
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
    """Inductor's options, with `small_matmul` where it can be had."""
    if device.type == "cpu":
        try:
            from app.service.small_matmul import SmallMatmul  # it needs interfaces that another torch may lack

            return {"post_grad_custom_post_pass": SmallMatmul()}
        except (ImportError, AttributeError, TypeError, RuntimeError) as error:
            log.warning("compiling without the kernel for small matrices: %s", error)
    return {}


def compare(one: Callable[[], Any], two: Callable[[], Any], device: torch.device) -> float:
    """How many times as fast one way to adapt is.

    Raises RuntimeError where their results are further than 1e-4 apart.
    """
    took = {one: float("inf"), two: float("inf")}
    for _ in range(4):
        results = []
        for way in took:
            started = perf_counter()
            results.append(way())
            if device.type == "cuda":
                torch.cuda.synchronize()
            took[way] = min(took[way], perf_counter() - started)
        if not all(map(partial(torch.allclose, rtol=1e-4, atol=1e-4), *map(leaves, results))):
            raise RuntimeError("compiled code gives other numbers than eager code")
    return took[two] / took[one]


def by_steps(inner: InnerLoop[torch.Tensor], longest: int) -> Unrolled:
    """The inner loop step by step, with so many steps as the most."""

    def run(
        meta: Params, states: torch.Tensor, support: Examples, rate: torch.Tensor, steps: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return adapt(inner, meta, support, rate, steps, longest, states)

    return run
