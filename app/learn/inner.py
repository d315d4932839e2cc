"""The inner loop. Training, evaluation and serving all run this one, so what is measured is what is served.

An algorithm is an `InnerLoop` of pure functions, written for one task:

    state       = inner.init(meta)
    state       = inner.prepare(meta, state, support)      once, before the first step; most algorithms have none
    state, loss = inner.step(meta, state, support, rate, active)
    loss        = inner.loss(meta, state, support)
    outputs     = inner.apply(meta, state, inputs)

`meta` holds the meta-parameters, shared by all tasks. `state` belongs to one task: a NamedTuple of tensors with the
fast weights, the state of the update rule and the number of examples of each class. `batched` adds the task axis;
`adapt` runs the steps.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.func import functional_call, grad_and_value, vmap
from torch.utils._pytree import tree_map

from app.learn.class_mask import class_counts, mask_absent
from app.learn.example_weights import Mask
from app.learn.losses import Loss
from app.learn.pytrees import leaves, rebuild
from app.learn.shape_annotations import Bool, Float, Int
from app.learn.update_rules import Params, Rule


class Examples(NamedTuple):
    """Labelled examples of one task, or of many tasks with a task axis in front.

    mask: false for padding rows; or the weight of each row, 0 for padding (`app.learn.example_weights`)
    declared: the classes that a task has even where it has no example of them; empty where only examples tell
    """

    inputs: Float[Tensor, "*task example feature"]
    targets: Float[Tensor, "*task example target"]
    mask: Mask
    declared: Bool[Tensor, "*task way"] | tuple[()] = ()


class Schedule(NamedTuple):
    """The inner learning rate and the number of steps of each task of a batch.

    max_steps: the number of steps that the batch runs, at least the largest of `steps`; a task that has taken its own
        steps keeps its state
    """

    rate: Float[Tensor, " task"]
    steps: Int[Tensor, " task"]
    max_steps: int


Counts = Tensor | tuple[()]
"""The number of examples of each class, [way]; empty where there are no classes."""


class State(NamedTuple):
    """The state of one task. A pytree: `batched` and `repeat_state` put a task axis in front of every tensor.

    fast: the fast weights: the parameters that move, or the solution of a head
    rule: the state of the update rule
    counts: examples of each class in the support set; a class of 0 gets no probability. A class that the task declares
        counts as one example where the head has an output for it that needs none
    statistics: by name, the statistics of the support set that layers of the network normalise with
        (`app.learn.support_norm`)
    """

    fast: Params
    rule: Any
    counts: Counts = ()
    statistics: Params = {}  # noqa: RUF012 (never changed in place)


S = TypeVar("S")
"""A state: `State`, or one tensor where the inner loop is packed (`with_packed_state`)."""


@dataclass(frozen=True)
class InnerLoop(Generic[S]):
    """Adapting to one task, as pure functions (module docstring). `loss` is `step`'s, without its gradient.

    prepare: sets what a state takes from the support set before the first step: class counts, statistics, a first head
    variance: the variance of what `apply` predicts, [query, target], where the algorithm has one
    """

    init: Callable[[Params], S]
    step: Callable[[Params, S, Examples, Tensor, Tensor], tuple[S, Tensor]]
    loss: Callable[[Params, S, Examples], Tensor]
    apply: Callable[[Params, S, Tensor], Tensor]
    prepare: Callable[[Params, S, Examples], S] | None = None
    variance: Callable[[Params, S, Tensor], Tensor] | None = None


def autograd_grad_and_value(function: Callable[..., Tensor], argnums: int) -> Callable[..., tuple[Params, Tensor]]:
    """`torch.func.grad_and_value` by plain autograd: a quarter faster, but not under `vmap` or another derivative."""

    def run(*arguments: Any) -> tuple[Params, Tensor]:
        variables = {name: value.detach().requires_grad_() for name, value in arguments[argnums].items()}
        with torch.enable_grad():
            value = function(*arguments[:argnums], variables, *arguments[argnums + 1 :])
        gradients = torch.autograd.grad(value, list(variables.values()))
        return dict(zip(variables, gradients, strict=True)), value.detach()

    return run


Forward = Callable[[Params, Tensor], Tensor]
"""(parameters, inputs) -> outputs."""


def functional_forward(network: torch.nn.Module) -> Forward:
    """The network as a function of its parameters. Parameters that the network does not have are ignored.

    network: gives the structure only, its own parameters are not read, so it may be on the meta device; use it on one
        thread at a time
    """
    names = frozenset(network.state_dict())

    def forward(params: Params, inputs: Float[Tensor, "query feature"]) -> Float[Tensor, "query output"]:
        own = {name: value for name, value in params.items() if name in names}
        outputs: Tensor = functional_call(network, own, (inputs,))
        return outputs.to(inputs.dtype)  # in mixed precision the network returns another type

    return forward


class Start(NamedTuple):
    """The fast weights that a task starts with.

    initial: meta-parameters -> all fast weights, before there is a support set
    from_support: meta-parameters, support set -> the fast weights that are computed from it before the first step
    """

    initial: Callable[[Params], Params]
    from_support: Callable[[Params, Examples], Params] | None = None


def from_meta(names: Collection[str]) -> Start:
    """Start with the meta-parameters of these names."""
    return Start(lambda meta: {name: value for name, value in meta.items() if name in names})


def from_zero(names: Collection[str]) -> Start:
    """Start with 0 for the parameters of these names, whatever their meta-parameters are."""
    return Start(lambda meta: {name: torch.zeros_like(value) for name, value in meta.items() if name in names})


def gradient_descent(
    forward: Forward,
    loss: Loss,
    rule: Rule,
    start: Start,
    ways: int | None = None,
    first_order: bool = False,
    differentiate: Callable[..., Any] = grad_and_value,
    by_class: bool = False,
) -> InnerLoop[State]:
    """Adapt by gradient steps on the support loss.

    rule: how the parameters move
    start: which parameters move, and from which values; the others are those of `meta`
    ways: the width of the class axis; None where there are no classes
    first_order: whether the outer gradient treats the inner gradients as constants (FOMAML)
    differentiate: `grad_and_value`, or `autograd_grad_and_value` if the loop is neither mapped nor differentiated
    by_class: whether gradients are times the number of classes, so that a step moves the weights of a class as far
        whatever the number of others is: in the mean over all examples, its own have a share of 1 in that number
    """

    def init(meta: Params) -> State:
        fast = start.initial(meta)
        return State(fast, rule.init(fast), initial_counts(meta, ways))

    def outputs(meta: Params, fast: Params, counts: Counts, inputs: Tensor) -> Tensor:
        result = forward({**meta, **fast}, inputs)
        return result if isinstance(counts, tuple) else mask_absent(result, counts)

    def support_loss(meta: Params, fast: Params, counts: Counts, support: Examples) -> Tensor:
        return loss(outputs(meta, fast, counts, support.inputs), support.targets, support.mask)

    def step(
        meta: Params,
        state: State,
        support: Examples,
        rate: Float[Tensor, ""],
        active: Bool[Tensor, ""],
    ) -> tuple[State, Float[Tensor, ""]]:
        gradients, value = differentiate(support_loss, argnums=1)(meta, state.fast, state.counts, support)
        if first_order:
            gradients = {name: gradient.detach() for name, gradient in gradients.items()}
        if by_class and not isinstance(state.counts, tuple):
            classes = (state.counts > 0).sum()
            gradients = {name: gradient * classes for name, gradient in gradients.items()}
        updates, rule_state = rule.update(gradients, state.rule, rate, meta)
        moved = State({name: old + updates[name] for name, old in state.fast.items()}, rule_state, state.counts)
        return where_active(active, moved, state), value

    def apply(meta: Params, state: State, inputs: Float[Tensor, "query feature"]) -> Float[Tensor, "query target"]:
        return outputs(meta, state.fast, state.counts, inputs)

    def current_loss(meta: Params, state: State, support: Examples) -> Float[Tensor, ""]:
        return support_loss(meta, state.fast, state.counts, support)

    def prepare(meta: Params, state: State, support: Examples) -> State:
        from_support = {} if start.from_support is None else start.from_support(meta, support)
        state = state._replace(fast={**state.fast, **from_support})
        return with_counts(state, support, needs_examples=start.from_support is not None)

    needs_support = ways is not None or start.from_support is not None
    return InnerLoop(init, step, current_loss, apply, prepare if needs_support else None)


def where_active(active: Bool[Tensor, ""], new: S, old: S) -> S:
    """The new state of an active task, the old one of an inactive task.

    It selects instead of multiplying by 0: an inactive task keeps its weights even where its gradient is infinite.
    """
    return tree_map(lambda after, before: torch.where(active, after, before), new, old)  # type: ignore[no-any-return]


def initial_counts(meta: Params, ways: int | None) -> Counts:
    """The class counts of a state without a support set: 0 for each class, empty where there are no classes."""
    return () if ways is None else next(iter(meta.values())).new_zeros(ways)


def with_counts(state: State, support: Examples, needs_examples: bool) -> State:
    """The state with the class counts of the support set; the same state where there are no classes.

    needs_examples: whether the output for a class is made of its examples, so that a declared class without any has
        none
    """
    if isinstance(state.counts, tuple):
        return state
    counts = class_counts(support.targets, support.mask)
    if not (needs_examples or isinstance(support.declared, tuple)):
        counts = counts.maximum(support.declared.to(counts.dtype))
    return state._replace(counts=counts)


def batched(inner: InnerLoop[S]) -> InnerLoop[S]:
    """The inner loop over a batch of tasks: all functions but `init` take and return a task axis in front.

    `meta` has no task axis. `init` still returns the state of one task; `repeat_state` repeats it.
    """
    return InnerLoop(
        init=inner.init,
        step=vmap(inner.step, in_dims=(None, 0, 0, 0, 0)),
        loss=vmap(inner.loss, in_dims=(None, 0, 0)),
        apply=vmap(inner.apply, in_dims=(None, 0, 0)),
        prepare=inner.prepare and vmap(inner.prepare, in_dims=(None, 0, 0)),
        variance=inner.variance and vmap(inner.variance, in_dims=(None, 0, 0)),
    )


def batch_of_one(inner: InnerLoop[S]) -> InnerLoop[S]:
    """`batched` for a task axis of length 1, without `vmap`, whose overhead is larger than its gain for one task.

    Four convolutions of 64 filters on 5 images, 5 steps: 18 ms instead of 22.
    """

    def single(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(meta: Params, *arguments: Any) -> Any:
            task = (leaf.squeeze(0) for leaf in leaves(arguments))
            result = (function(meta, *rebuild(arguments, task)),)
            return rebuild(result, (leaf.unsqueeze(0) for leaf in leaves(result)))[0]

        return call

    return InnerLoop(
        init=inner.init,
        step=single(inner.step),
        loss=single(inner.loss),
        apply=single(inner.apply),
        prepare=inner.prepare and single(inner.prepare),
        variance=inner.variance and single(inner.variance),
    )


def repeat_state(state: S, tasks: int) -> S:
    """The state of one task, repeated for `tasks` tasks along a new axis in front."""
    # contiguous: a stride of 0 would be one more layout to compile for
    repeated = (value.expand(tasks, *value.shape).contiguous() for value in leaves((state,)))
    return rebuild((state,), repeated)[0]  # type: ignore[no-any-return]


def with_packed_state(inner: InnerLoop[State], example: State) -> tuple[InnerLoop[Tensor], Callable[[Tensor], State]]:
    """The inner loop with the states of its tasks in one matrix, and a function from the matrix back to states.

    One matrix is stored, gathered and passed to compiled code at once: a sixth of the calls for an MLP of three layers.

    inner: batched
    example: a state of one task with the structure of all of them; its tensors have one type
    """
    sizes, shapes = [leaf.numel() for leaf in leaves(example)], [leaf.shape for leaf in leaves(example)]

    def pack(states: State) -> Float[Tensor, "task number"]:
        return torch.cat([leaf.reshape(leaf.shape[0], -1) for leaf in leaves(states)], dim=1)

    def unpack(matrix: Float[Tensor, "task number"]) -> State:
        parts = zip(torch.split(matrix, sizes, dim=1), shapes, strict=True)
        return rebuild(example, (part.reshape(-1, *shape) for part, shape in parts))  # type: ignore[no-any-return]

    def step(
        meta: Params, matrix: Tensor, support: Examples, rate: Tensor, active: Tensor
    ) -> tuple[Tensor, Float[Tensor, " task"]]:
        after, value = inner.step(meta, unpack(matrix), support, rate, active)
        return pack(after), value

    def unpacked(function: Callable[[Params, State, Any], Any]) -> Callable[[Params, Tensor, Any], Any]:
        return lambda meta, matrix, argument: function(meta, unpack(matrix), argument)

    def prepare(meta: Params, matrix: Tensor, support: Examples) -> Tensor:
        assert inner.prepare is not None
        return pack(inner.prepare(meta, unpack(matrix), support))

    loop = InnerLoop(
        init=lambda meta: pack(repeat_state(inner.init(meta), 1))[0],
        step=step,
        loss=unpacked(inner.loss),
        apply=unpacked(inner.apply),
        prepare=inner.prepare and prepare,
        variance=inner.variance and unpacked(inner.variance),
    )
    return loop, unpack


def trajectory(
    inner: InnerLoop[S],
    meta: Params,
    support: Examples,
    schedule: Schedule,
    start: S | None = None,
) -> Iterator[tuple[S, Float[Tensor, " task"]]]:
    """Yield the states of all tasks and their support losses after 0, 1, ..., `max_steps` steps.

    inner: batched
    start: the states to start from, with a task axis and not prepared; None for `inner.init(meta)`
    """
    state = _initial_states(inner, meta, support, schedule, start)
    for active in _active_by_step(schedule):
        after, loss = inner.step(meta, state, support, schedule.rate, active)
        yield state, loss
        state = after
    yield state, inner.loss(meta, state, support)


def _initial_states(inner: InnerLoop[S], meta: Params, support: Examples, schedule: Schedule, start: S | None) -> S:
    """The prepared states, before the first step."""
    # not `len`, which makes a constant of a size that has to stay general in compiled code
    state = repeat_state(inner.init(meta), schedule.rate.shape[0]) if start is None else start
    return state if inner.prepare is None else inner.prepare(meta, state, support)


def _active_by_step(schedule: Schedule) -> Sequence[Bool[Tensor, " task"]]:
    """For each step, which tasks take it."""
    return (torch.arange(schedule.max_steps, device=schedule.steps.device).unsqueeze(1) < schedule.steps).unbind()


def final_states(
    inner: InnerLoop[S],
    meta: Params,
    support: Examples,
    schedule: Schedule,
    start: S | None = None,
) -> S:
    """The states after the last step, as `adapt` returns them, without evaluating the last loss."""
    state = _initial_states(inner, meta, support, schedule, start)
    for active in _active_by_step(schedule):
        state, _ = inner.step(meta, state, support, schedule.rate, active)
    return state


def adapt(
    inner: InnerLoop[S],
    meta: Params,
    support: Examples,
    schedule: Schedule,
    start: S | None = None,
) -> tuple[S, Float[Tensor, "task step"]]:
    """Run the inner loop on a batch of tasks: its last states, and its losses after 0, 1, ..., `max_steps` steps.

    The arguments are those of `trajectory`. `losses[i, steps[i]]` is the last loss of task i; later ones repeat it.
    """
    walk = trajectory(inner, meta, support, schedule, start)
    # no state outlives its step, so that the next one reuses its memory, which is still in the processor's cache
    # (128 tasks of an MLP 1-40-40-1: 15 us each, 22 where all states are kept)
    losses = [next(walk)[1] for _ in range(schedule.max_steps)]
    state, last = next(walk)
    return state, torch.stack([*losses, last], dim=1)
