"""A function of tensors, compiled once for any number of tasks and examples, and called without a wrapper.

`torch.compile` spends more time around a small graph than in it: an inner step of 2 tasks of an MLP 1-40-40-1 takes 104
us through its wrapper, and 23 us where Inductor's code is called directly. So the function is traced here, by `make_fx`
with symbolic sizes, and Inductor's own callable is kept. `torch.compile` checks at every call whether the code is
general enough for the sizes; here that is checked once for each combination of sizes.

These interfaces of torch are private. Where another torch lacks them, importing this module or making a `Program`
fails, and the caller does without.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType
from typing import Any, Generic, ParamSpec, TypeVar

import torch
from torch import Tensor
from torch._dispatch.python import enable_python_dispatcher
from torch._functorch import config as functorch_config
from torch._guards import TracingContext, tracing
from torch._inductor.compile_fx import compile_fx, compile_fx_inner
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv, StatelessSymbolicContext

from app.learn.pytrees import leaves, rebuild

P = ParamSpec("P")
T = TypeVar("T")

OPTIONS = {
    # these checks hold for the sizes that `Program` admits, and take a third of the time of a small step
    "size_asserts": False,
    "alignment_asserts": False,
}


def _mm_as_sum(a: Tensor, b: Tensor) -> Tensor:
    return (a.unsqueeze(2) * b.unsqueeze(0)).sum(1)


def _addmm_as_sum(c: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return c + _mm_as_sum(a, b)


AS_SUMS: Mapping[Any, Callable[..., Tensor]] = {
    torch.ops.aten.mm.default: _mm_as_sum,
    torch.ops.aten.addmm.default: _addmm_as_sum,
}
"""Matrix products as sums. Inductor fuses such sums and all between them into one C function, instead of a call from
Python for each: 5 steps of a single MLP 1-40-40-1 on 10 examples take 89 us instead of 212 (see `Recording`)."""
_ALLOCATES = {
    "append", "clear", "size", "empty_strided_cpu", "reinterpret_tensor", "torch", "float32", "int64", "bool",
}  # fmt: skip
"""The names besides its C functions that Inductor's callable may use if it is to be recorded."""


class Program(Generic[P, T]):
    """A compiled function. Call it like the function, with contiguous tensors of the same form on the same device.

    For a number of tasks or examples that the code is not general enough for (such as 1) the function itself runs.
    """

    def __init__(
        self,
        function: Callable[P, T],
        arguments: tuple[Any, ...],
        axes: Sequence[int],
        options: Mapping[str, Any],
        decompositions: Mapping[Any, Callable[..., Any]] | None = None,
    ) -> None:
        """Trace and compile. Raises RuntimeError where that fails.

        function: pure; from pytrees of tensors to a pytree of tensors
        arguments: example arguments; their numbers of tasks and of examples should differ from all other sizes
        axes: how many leading axes of each argument are general: 0, 1 (tasks) or 2 (tasks, examples)
        options: Inductor's options
        decompositions: functions to trace instead of some of torch's operations
        """
        self._function = function
        counts = [count for argument, count in zip(arguments, axes, strict=True) for _ in leaves(argument)]
        shapes = ShapeEnv()
        mode = FakeTensorMode(shape_env=shapes)
        fakes = [_fake(mode, leaf, count) for leaf, count in zip(leaves(arguments), counts, strict=True)]
        self._general = _general_axes(fakes, counts)
        form: list[T] = []

        def flat(*tensors: Tensor) -> list[Tensor]:
            result = function(*rebuild(arguments, iter(tensors)))  # type: ignore[call-arg]
            form.append(result)
            # the result of one call may be an argument of the next
            return [leaf.contiguous() for leaf in leaves(result)]

        # without the dispatcher torch 2.11 turns the sizes of a matrix product into constants
        with mode, enable_python_dispatcher():
            graph = make_fx(flat, dict(decompositions or {}))(*fakes)
        sizes: list[Any] = [fakes[index].shape[axis] for index, axis in self._general]
        self._covers = _coverage(shapes, sizes)  # this already refuses a network with convolutions
        self.run = _inductor(graph, fakes, mode, {**OPTIONS, **options})
        self._covers = _coverage(shapes, sizes)
        self._form = rebuild(form[0], iter([None] * len(leaves(form[0]))))

    def __call__(self, *arguments: P.args, **keywords: P.kwargs) -> T:
        """Run the compiled code, or the function where the code is not for these sizes."""
        flat = leaves(arguments)
        if not self._covers(*[flat[index].shape[axis] for index, axis in self._general]):
            return self._function(*arguments, **keywords)
        return rebuild(self._form, iter(self.run(flat)))  # type: ignore[no-any-return]


def _general_axes(fakes: Sequence[Tensor], counts: Sequence[int]) -> list[tuple[int, int]]:
    """Where a call's general sizes are read: for each symbol one argument with it, by index, and its axis there."""
    positions: dict[str, tuple[int, int]] = {}
    for index, (fake, count) in enumerate(zip(fakes, counts, strict=True)):
        for axis in range(count):
            positions.setdefault(str(fake.shape[axis]), (index, axis))
    return list(positions.values())


def _coverage(shapes: ShapeEnv, sizes: list[Any]) -> Callable[..., bool]:
    """A function that tells whether code is for given sizes: what was assumed of the symbols `sizes` holds for them.

    Raises RuntimeError where the assumptions exclude 2 or 64 tasks or examples.
    """
    assumed = shapes.produce_guards_expression(sizes)

    @functools.lru_cache(maxsize=4096)
    def covers(*actual: int) -> bool:
        return min(actual) > 1 and (assumed is None or bool(shapes.evaluate_guards_expression(assumed, actual)))

    if not covers(*(2 for _ in sizes)) or not covers(*(64 for _ in sizes)):
        raise RuntimeError(f"the compiled code would not be for any number of tasks and examples: {assumed}")
    return covers


def _fake(mode: FakeTensorMode, leaf: Tensor, count: int) -> Tensor:
    """A tensor without data whose first `count` sizes are symbols; equal sizes are one symbol."""
    sizes = [DimDynamic.DUCK if axis < count else DimDynamic.STATIC for axis in range(leaf.ndim)]
    return mode.from_tensor(leaf, symbolic_context=StatelessSymbolicContext(dynamic_sizes=sizes))


def _inductor(
    graph: torch.fx.GraphModule, fakes: list[Tensor], mode: FakeTensorMode, options: dict[str, Any]
) -> Callable[[list[Tensor]], Sequence[Tensor]]:
    """Inductor's own callable for a graph. It takes a list of tensors, and empties it."""
    compiled: list[Any] = []

    def keep(*arguments: Any, **keywords: Any) -> Any:
        compiled.append(compile_fx_inner(*arguments, **keywords))
        return compiled[-1]

    # the autograd cache would return a wrapper of Inductor's callable; Inductor's own caches stay on
    with functorch_config.patch(enable_autograd_cache=False), tracing(TracingContext(mode)):
        compile_fx(graph, fakes, inner_compile=keep, config_patches=options)
    (code,) = compiled
    run: Callable[[list[Tensor]], Sequence[Tensor]] = code.current_callable
    return run


class Recording:
    """The calls of a program for arguments of one size, to be repeated on what these tensors contain then.

    It is what CUDA graphs are for a GPU. Nothing is allocated, and a program of one C function is one call: 40 us
    instead of 89 for the task of `AS_SUMS` (`recording` of the ablation benchmark: 1.20 times the requests to adapt
    through one connection).
    """

    def __init__(self, run: Callable[[list[Tensor]], Sequence[Tensor]], arguments: Sequence[Tensor]) -> None:
        """Run a program once. Raises TypeError where it is not Inductor's, or calls more than C functions.

        run: a `Program.run`
        """
        function, instance = getattr(run, "__func__", None), getattr(run, "__self__", None)
        if function is None:
            raise TypeError("not a method of Inductor's")
        names = set(function.__code__.co_names)
        kernels = {name for name in names if name.startswith("cpp_fused")}
        if not kernels or not names - kernels <= _ALLOCATES:
            raise TypeError("not a program of C functions alone")
        self._calls: list[tuple[Callable[..., None], tuple[Any, ...]]] = []

        def recording(kernel: Callable[..., None]) -> Callable[..., None]:
            def call(*kernel_arguments: Any) -> None:
                self._calls.append((kernel, kernel_arguments))
                kernel(*kernel_arguments)

            return call

        names_in_code = function.__globals__
        recorders = {name: recording(names_in_code[name]) for name in kernels}
        spy = FunctionType(function.__code__, {**names_in_code, **recorders})
        self.results: Sequence[Tensor] = spy(instance, list(arguments))

    def __call__(self) -> Sequence[Tensor]:
        """Repeat the calls. Returns `results`, which the next call overwrites."""
        for kernel, arguments in self._calls:
            kernel(*arguments)
        return self.results
