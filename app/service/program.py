"""A function of tensors, compiled once for any number of tasks and examples, and called with nothing between.

`torch.compile` spends more around a small graph than the graph takes: an inner step of 2 tasks of an MLP 1-40-40-1 is
104 us by way of its wrapper, and 23 us where what Inductor made of it is called directly. So the function is traced
here, by `make_fx` with symbolic sizes, and Inductor's own callable is kept. What `torch.compile` would check at every
call is checked here once for each pair of sizes: whether the code is general enough for them.

These interfaces of torch are not public. Where they are gone, importing this module fails, or making a `Program` does,
and the caller goes on without.
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

from app.learn.trees import leaves, rebuild

P = ParamSpec("P")
T = TypeVar("T")

OPTIONS = {
    # they hold for the sizes that `Program` lets through, and take a third of the time of a small step
    "size_asserts": False,
    "alignment_asserts": False,
}


def _product(a: Tensor, b: Tensor) -> Tensor:
    return (a.unsqueeze(2) * b.unsqueeze(0)).sum(1)


def _added_product(c: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return c + _product(a, b)


AS_SUMS: Mapping[Any, Callable[..., Tensor]] = {
    torch.ops.aten.mm.default: _product,
    torch.ops.aten.addmm.default: _added_product,
}
"""Products of matrices as sums. Inductor makes one C function of such sums and all between them, instead of a call
from Python for each: 5 steps of a single MLP 1-40-40-1 on 10 examples take 89 us instead of 212 (see `Recording`)."""
_ALLOCATES = {
    "append", "clear", "size", "empty_strided_cpu", "reinterpret_tensor", "torch", "float32", "int64", "bool",
}  # fmt: skip
"""What Inductor's callable may use besides its C functions and can still be recorded."""


class Program(Generic[P, T]):
    """Called like the function that it was made of, with tensors of the same form, on the same device, contiguous.

    Where a number of tasks or examples is one that the code is not for (1 is), the function itself runs.
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
        arguments: examples of its arguments; their numbers of tasks and of examples should be no other size in it
        axes: of each argument, how many axes in front are general: 0, 1 (tasks) or 2 (tasks, examples)
        options: Inductor's
        decompositions: what to trace instead of some of torch's operations
        """
        self._function = function
        counts = [count for argument, count in zip(arguments, axes, strict=True) for _ in leaves(argument)]
        shapes = ShapeEnv()
        mode = FakeTensorMode(shape_env=shapes)
        fakes = [_fake(mode, leaf, count) for leaf, count in zip(leaves(arguments), counts, strict=True)]
        self._general = _general(fakes, counts)
        form: list[T] = []

        def flat(*tensors: Tensor) -> list[Tensor]:
            result = function(*rebuild(arguments, iter(tensors)))  # type: ignore[call-arg]
            form.append(result)
            # what one call returns may be what the next one takes
            return [leaf.contiguous() for leaf in leaves(result)]

        # without it torch 2.11 turns the sizes of a matrix product into constants
        with mode, enable_python_dispatcher():
            graph = make_fx(flat, dict(decompositions or {}))(*fakes)
        sizes: list[Any] = [fakes[place].shape[axis] for place, axis in self._general]
        self._covers = _covered(shapes, sizes)  # a network with convolutions is already refused here
        self.run = _inductor(graph, fakes, mode, {**OPTIONS, **options})
        self._covers = _covered(shapes, sizes)
        self._form = rebuild(form[0], iter([None] * len(leaves(form[0]))))

    def __call__(self, *arguments: P.args, **keywords: P.kwargs) -> T:
        """Run it."""
        flat = leaves(arguments)
        if not self._covers(*[flat[place].shape[axis] for place, axis in self._general]):
            return self._function(*arguments, **keywords)
        return rebuild(self._form, iter(self.run(flat)))  # type: ignore[no-any-return]


def _general(fakes: list[Tensor], counts: Sequence[int]) -> list[tuple[int, int]]:
    """Where the general sizes are to be read: an argument and an axis for each symbol."""
    found: dict[str, tuple[int, int]] = {}
    for place, (fake, count) in enumerate(zip(fakes, counts, strict=True)):
        for axis in range(count):
            found.setdefault(str(fake.shape[axis]), (place, axis))
    return list(found.values())


def _covered(shapes: ShapeEnv, sizes: list[Any]) -> Callable[..., bool]:
    """Whether code is for given sizes: what was assumed of the symbols `sizes` on the way to it holds for them.

    Raises RuntimeError where that is too much to serve any number of tasks.
    """
    assumed = shapes.produce_guards_expression(sizes)

    @functools.lru_cache(maxsize=4096)
    def covers(*actual: int) -> bool:
        return min(actual) > 1 and (assumed is None or bool(shapes.evaluate_guards_expression(assumed, actual)))

    if not covers(*(2 for _ in sizes)) or not covers(*(64 for _ in sizes)):
        raise RuntimeError(f"the compiled code would not be for any number of tasks and examples: {assumed}")
    return covers


def _fake(mode: FakeTensorMode, leaf: Tensor, count: int) -> Tensor:
    """A tensor without numbers whose first `count` sizes are symbols; equal sizes are one symbol."""
    sizes = [DimDynamic.DUCK if axis < count else DimDynamic.STATIC for axis in range(leaf.ndim)]
    return mode.from_tensor(leaf, symbolic_context=StatelessSymbolicContext(dynamic_sizes=sizes))


def _inductor(
    graph: torch.fx.GraphModule, fakes: list[Tensor], mode: FakeTensorMode, options: dict[str, Any]
) -> Callable[[list[Tensor]], Sequence[Tensor]]:
    """Inductor's own callable for a graph: it takes a list, and empties it."""
    made: list[Any] = []

    def keep(*arguments: Any, **keywords: Any) -> Any:
        made.append(compile_fx_inner(*arguments, **keywords))
        return made[-1]

    # that cache would give back more than Inductor's own; Inductor's caches go on
    with functorch_config.patch(enable_autograd_cache=False), tracing(TracingContext(mode)):
        compile_fx(graph, fakes, inner_compile=keep, config_patches=options)
    (code,) = made
    run: Callable[[list[Tensor]], Sequence[Tensor]] = code.current_callable
    return run


class Recording:
    """What a program calls for arguments of one size, to call again on what these tensors hold by then.

    What CUDA graphs are to a GPU. Nothing is allocated, and a call is one C function where the program is one: 40 us
    instead of 89 for the task of `AS_SUMS`.
    """

    def __init__(self, run: Callable[[list[Tensor]], Sequence[Tensor]], arguments: Sequence[Tensor]) -> None:
        """Run it once. Raises TypeError where it is of another form than Inductor's, or calls other than C functions.

        run: of a `Program`
        """
        function, of = getattr(run, "__func__", None), getattr(run, "__self__", None)
        if function is None:
            raise TypeError("not a method of Inductor's")
        names = set(function.__code__.co_names)
        kernels = {name for name in names if name.startswith("cpp_fused")}
        if not kernels or not names - kernels <= _ALLOCATES:
            raise TypeError("not a program of C functions alone")
        self._calls: list[tuple[Callable[..., None], tuple[Any, ...]]] = []

        def recorded(kernel: Callable[..., None]) -> Callable[..., None]:
            def call(*given: Any) -> None:
                self._calls.append((kernel, given))
                kernel(*given)

            return call

        known = function.__globals__
        spied = FunctionType(function.__code__, {**known, **{name: recorded(known[name]) for name in kernels}})
        self.results: Sequence[Tensor] = spied(of, list(arguments))

    def __call__(self) -> Sequence[Tensor]:
        """Call again: `results`, which the next call overwrites."""
        for kernel, given in self._calls:
            kernel(*given)
        return self.results
