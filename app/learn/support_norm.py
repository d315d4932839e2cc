"""Normalisation by the statistics of the support set, so that no query depends on another.

The statistics belong to a task, as its fast weights do. They are computed once, with the meta-parameters, and do not
change while the inner loop moves the fast weights. Bronskill et al. 2020, "TaskNorm: Rethinking Batch Normalization for
Meta-Learning" (MetaBN).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from app.learn.example_weights import Mask, is_example, total_weight
from app.learn.inner import Examples, InnerLoop, State
from app.learn.shape_annotations import Float
from app.learn.update_rules import Params

EPSILON = 1e-5


class SupportNorm(nn.Module):
    """Normalise each channel of images by its `mean` and `variance`, then scale and shift it.

    Mean and variance are buffers, 0 and 1 until there is a support set; `support_statistics` computes them.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))

    def forward(self, images: Float[Tensor, "batch channel row column"]) -> Float[Tensor, "batch channel row column"]:
        """The normalised images."""
        scale = self.weight / (self.variance + EPSILON).sqrt()
        return images * scale[:, None, None] + (self.bias - self.mean * scale)[:, None, None]


def moments(
    images: Float[Tensor, "example channel row column"], mask: Mask
) -> tuple[Float[Tensor, " channel"], Float[Tensor, " channel"]]:
    """Mean and variance of each channel over the pixels of the images that are examples, by their weights."""
    real = images.where(is_example(mask)[:, None, None, None], 0.0)
    share = mask.to(images.dtype) / total_weight(mask)
    mean = share @ real.mean((2, 3))
    variance = share @ (real - mean[:, None, None]).square().mean((2, 3))
    return mean, variance


def support_statistics(network: nn.Module, params: Params, support: Examples) -> Params:
    """The mean and variance of every `SupportNorm` of a network on the support set, by their names.

    network: gives the structure only; a `torch.nn.Sequential`, or another module that calls its children in order
    """
    statistics: Params = {}
    outputs = support.inputs
    for name, layer in network.named_children():
        own = {key.removeprefix(f"{name}."): value for key, value in params.items() if key.startswith(f"{name}.")}
        if isinstance(layer, SupportNorm):
            mean, variance = moments(outputs, support.mask)
            own |= {"mean": mean, "variance": variance}
            statistics |= {f"{name}.mean": mean, f"{name}.variance": variance}
        outputs = functional_call(layer, own, (outputs,))
    return statistics


def with_statistics(inner: InnerLoop[State], network: nn.Module) -> InnerLoop[State]:
    """The inner loop with the statistics of the network's `SupportNorm` layers; the same loop if there are none."""
    layers = [name for name, layer in network.named_modules() if isinstance(layer, SupportNorm)]
    names = [f"{name}.{buffer}" for name in layers for buffer in ("mean", "variance")]
    if not names:
        return inner

    def init(meta: Params) -> State:
        return inner.init(meta)._replace(statistics={name: meta[name] for name in names})

    def prepare(meta: Params, state: State, support: Examples) -> State:
        # without examples they stay 0 and 1; the variance of no image would be 0
        has_examples = is_example(support.mask).any()
        computed = support_statistics(network, meta, support)
        statistics = {name: value.where(has_examples, state.statistics[name]) for name, value in computed.items()}
        bare = state._replace(statistics={})
        if inner.prepare is not None:
            bare = inner.prepare({**meta, **statistics}, bare, support)
        return bare._replace(statistics=statistics)

    def step(meta: Params, state: State, *arguments: Any) -> tuple[State, Tensor]:
        after, loss = inner.step({**meta, **state.statistics}, state._replace(statistics={}), *arguments)
        return after._replace(statistics=state.statistics), loss

    def with_own_statistics(function: Callable[[Params, State, Any], Tensor]) -> Callable[[Params, State, Any], Tensor]:
        return lambda meta, state, argument: function({**meta, **state.statistics}, state, argument)

    return InnerLoop(
        init,
        step,
        with_own_statistics(inner.loss),
        with_own_statistics(inner.apply),
        prepare,
        inner.variance and with_own_statistics(inner.variance),
    )
