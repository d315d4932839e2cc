"""Networks by name. A bundle names a network and its options; `build` makes the network.

A name is a key of NETWORKS, or `MODULE:NAME` for a subclass of `torch.nn.Module` that can be imported. The networks
here compute no statistics over the examples of a call, so a prediction does not depend on the other queries. Imported
networks should not either.
"""

import importlib
import inspect
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from app.errors import expectation, expected_text, one_of
from app.learn.ensemble_network import EnsembleNetwork
from app.learn.shape_annotations import Float
from app.learn.support_norm import SupportNorm
from app.learn.update_rules import Params

T = TypeVar("T")


@dataclass(frozen=True)
class NetworkSpec:
    """A network by name, with its options (plain JSON values)."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


class NetworkError(ValueError):
    """A network cannot be made, or does not take its inputs. The message is that of `expectation`.

    part: what is wrong: the "network" itself, its "options", or the number of "features"
    place: "" where the reason names the network
    reason: the message without the place
    """

    def __init__(self, part: str, place: str, reason: str) -> None:
        super().__init__(f"{place}: {reason}" if place else reason)
        self.part = part
        self.reason = reason


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"relu": nn.ReLU, "silu": nn.SiLU, "tanh": nn.Tanh}


def _lookup(part: str, name: str, table: Mapping[str, T]) -> T:
    """The entry of a table. Raises ValueError with the existing names where there is none of that name."""
    if name not in table:
        raise ValueError(expectation(part, one_of(sorted(table)), repr(name)))
    return table[name]


def mlp(
    inputs: int, outputs: int | None = None, hidden: Sequence[int] = (40, 40), activation: str = "relu"
) -> nn.Sequential:
    """A multi-layer perceptron; [batch, inputs] -> [batch, outputs].

    The default is the network of Finn et al. 2017 for regression. Without `outputs` there is no last layer, and the
    network returns embeddings, the activations of the last hidden layer.

    activation: a key of ACTIVATIONS, after each hidden layer
    """
    make_activation = _lookup("activation", activation, ACTIVATIONS)
    layers: list[nn.Module] = []
    for before, after in pairwise([inputs, *hidden]):
        layers += [nn.Linear(before, after), make_activation()]
    if outputs is not None:
        layers.append(nn.Linear([inputs, *hidden][-1], outputs))
    return nn.Sequential(*layers)


class GaussianMLP(nn.Module):
    """A Gaussian policy; [batch, inputs] -> [batch, 2 * actions]: the means, then the logarithms of the deviations.

    The deviations are parameters and do not depend on the observation, as in Duan et al. 2016 and Finn et al. 2017.
    """

    def __init__(
        self,
        inputs: int,
        actions: int,
        hidden: Sequence[int] = (100, 100),
        activation: str = "tanh",
        deviation: float = 1.0,
        gain: float = 1.0,
    ) -> None:
        """Initialise the layers.

        deviation: the initial standard deviation of each number of an action
        gain: scales the initial weights of the last layer. With a small one the initial policy hardly depends on the
            observation: Andrychowicz et al. 2021, "What Matters In On-Policy Reinforcement Learning?"
        """
        super().__init__()
        self.mean = mlp(inputs, actions, hidden, activation)
        with torch.no_grad():
            for parameter in self.mean[-1].parameters():
                parameter.mul_(gain)
        self.log_deviation = nn.Parameter(torch.full((actions,), math.log(deviation)))

    def forward(self, inputs: Float[Tensor, "batch feature"]) -> Float[Tensor, "batch output"]:
        """The means and log deviations."""
        mean = self.mean(inputs)
        # concatenated by a product: `cat` and `pad` under `vmap` would fix the number of tasks in compiled code
        left, right = torch.eye(2 * mean.shape[1], dtype=mean.dtype, device=mean.device).chunk(2)
        outputs: Tensor = mean @ left + self.log_deviation @ right
        return outputs


class ContextMLP(nn.Module):
    """A perceptron that appends a parameter `context` to each input; [batch, inputs] -> [batch, outputs].

    Zintgraf et al. 2019, "Fast Context Adaptation via Meta-Learning", where only the context moves in the inner loop.
    """

    def __init__(
        self, inputs: int, outputs: int, hidden: Sequence[int] = (40, 40), context: int = 5, activation: str = "relu"
    ) -> None:
        super().__init__()
        self.context = nn.Parameter(torch.zeros(context))
        self.layers = mlp(inputs + context, outputs, hidden, activation)

    def forward(self, inputs: Float[Tensor, "batch feature"]) -> Float[Tensor, "batch target"]:
        """The outputs for inputs that share the context."""
        context = self.context.expand(len(inputs), -1)
        outputs: Tensor = self.layers(torch.cat([inputs, context], dim=1))
        return outputs


def linear(inputs: int, outputs: int) -> nn.Linear:
    """`y = W x + b`; [batch, inputs] -> [batch, outputs]."""
    return nn.Linear(inputs, outputs)


def linear_map(size: int, scale: float = 1.0) -> nn.Linear:
    """`y = W x`; [batch, size] -> [batch, size]. W begins as `scale` times the identity.

    So it begins with embeddings of another network as they are. The scale decides how sure prototypes are at first.
    """
    layer = nn.Linear(size, size, bias=False)
    with torch.no_grad():
        nn.init.eye_(layer.weight).mul_(scale)
    return layer


def conv(outputs: int, side: int, channels: int = 1, filters: int = 64, blocks: int = 4) -> nn.Sequential:
    """Blocks of a 3 x 3 convolution of stride 2 and ReLU, then a linear layer; [batch, pixels] -> [batch, outputs].

    An input is a flat image: channel by channel, row by row. The default, four blocks of 64 filters with strides
    instead of pooling, is the network of Finn et al. 2017 for Omniglot, without its normalisation.
    """
    layers: list[nn.Module] = [nn.Unflatten(1, (channels, side, side))]
    for before in [channels, *[filters] * (blocks - 1)]:
        layers += [nn.Conv2d(before, filters, kernel_size=3, stride=2, padding=1), nn.ReLU()]
        side = (side + 1) // 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(filters * side * side, outputs))


NORMS: dict[str, Callable[[int], list[nn.Module]]] = {
    "none": lambda filters: [],
    "layer": lambda filters: [nn.GroupNorm(1, filters)],
    "group": lambda filters: [nn.GroupNorm(8, filters)],
    "instance": lambda filters: [nn.GroupNorm(filters, filters)],
    "support": lambda filters: [SupportNorm(filters)],
}
"""Normalisations by name: over a single image, in groups of all channels (`layer`), of an eighth of them (`group`) or
of one (`instance`), or each channel over the images of the support set (`support`).

On Omniglot after 200 outer steps layer, group and support are equally good (20-way 1-shot .863, .860, .864 +- .01),
instance and none are worse (.824, .827): `service_tests/benchmarks/norms.py`.
"""


def conv4(
    side: int = 28,
    outputs: int | None = None,
    channels: int = 1,
    filters: int = 64,
    blocks: int = 4,
    norm: str = "layer",
    pool: bool = True,
) -> nn.Sequential:
    """Blocks of a 3 x 3 convolution, a normalisation, ReLU and 2 x 2 max-pooling; [batch, pixels] -> [batch, outputs].

    An input is a flat image, as for `conv`. The default is the network of Vinyals et al. 2016 and Snell et al. 2017,
    with a normalisation over each image instead of batch normalisation. Without `outputs` there is no last layer, and
    the network returns embeddings: 64 numbers for 28 x 28 pixels.

    norm: a key of NORMS
    pool: whether to pool; otherwise the convolutions have stride 2, which takes half of the time and gives embeddings
        of 256 numbers for 28 x 28 pixels
    """
    normalise, stride = _lookup("normalisation", norm, NORMS), 1 if pool else 2
    layers: list[nn.Module] = [nn.Unflatten(1, (channels, side, side))]
    for before in [channels, *[filters] * (blocks - 1)]:
        layers += [nn.Conv2d(before, filters, kernel_size=3, stride=stride, padding=1), *normalise(filters)]
        layers += [nn.ReLU(), nn.MaxPool2d(2)] if pool else [nn.ReLU()]
        side = side // 2 if pool else (side + 1) // 2
    layers.append(nn.Flatten())
    if outputs is not None:
        layers.append(nn.Linear(filters * side * side, outputs))
    return nn.Sequential(*layers)


def stem_conv4(
    side: int = 28,
    channels: int = 1,
    filters: Sequence[int] = (64, 64, 128, 128),
    norm: str = "layer",
) -> nn.Sequential:
    """A cheaper `conv4`: the first convolution has a stride, and pooling comes before normalisation.

    [batch, pixels] -> [batch, embedding]: for 28 x 28 pixels as many numbers as the last convolution has filters. A
    5 x 5 convolution of stride 2, then 3 x 3 convolutions with 2 x 2 max-pooling; normalisation and ReLU between them
    and not after the last. Training takes two thirds of the time of `conv4` with the same filters, and the wider
    last layers are worth more than the time that they cost.

    filters: the number of filters of each convolution
    norm: a key of NORMS
    """
    first, *others = filters
    normalise = _lookup("normalisation", norm, NORMS)
    layers: list[nn.Module] = [nn.Unflatten(1, (channels, side, side)), nn.Conv2d(channels, first, 5, 2, 2)]
    for before, after in pairwise([first, *others]):
        layers += [*normalise(before), nn.ReLU(), nn.Conv2d(before, after, 3, padding=1), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten())


NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "context_mlp": ContextMLP,
    "conv": conv,
    "conv4": conv4,
    "ensemble": EnsembleNetwork,
    "gaussian_mlp": GaussianMLP,
    "linear": linear,
    "linear_map": linear_map,
    "mlp": mlp,
    "stem_conv4": stem_conv4,
}


def find(name: str) -> Callable[..., nn.Module]:
    """The function or class that makes the network of that name.

    Raises NetworkError where there is none, or where its module cannot be imported, whatever that raises: the module
    may be a user's own. From an imported module only subclasses of `torch.nn.Module` are ever called, so that a bundle
    cannot run any other function.
    """
    module, colon, attribute = name.partition(":")
    if not colon:
        if name not in NETWORKS:
            raise NetworkError("network", "network", expected_text(one_of(sorted(NETWORKS)), repr(name)))
        return NETWORKS[name]
    try:
        imported = importlib.import_module(module)
    except (Exception, SystemExit) as error:
        actual = f'{module} ("{_reason(error)}")'
        raise NetworkError("network", "network", expected_text("a module that can be imported", actual)) from error
    factory = getattr(imported, attribute, None)
    if not (isinstance(factory, type) and issubclass(factory, nn.Module)):
        if factory is None:
            expected, actual = f"a class of the module {module}", f"{attribute}, which does not exist"
        else:
            expected, actual = "a subclass of torch.nn.Module", f"{name}, which is none"
        raise NetworkError("network", "network", expected_text(expected, actual))
    return factory


def build(name: str, options: Mapping[str, Any]) -> nn.Module:
    """The structure of a network without its parameters, on the meta device; each call is given the parameters.

    Raises NetworkError for an unknown name, for options that the network does not take, and where its constructor
    fails, whatever that raises.
    """
    with torch.device("meta"):
        return _construct(name, options)


def initialize(name: str, options: Mapping[str, Any], seed: int) -> Params:
    """Initial parameters, as the network's layers draw them. The global random generator keeps its state.

    Raises NetworkError as `build` does.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return {key: value.detach() for key, value in _construct(name, options).state_dict().items()}


def _construct(name: str, options: Mapping[str, Any]) -> nn.Module:
    factory = find(name)
    parameters = inspect.signature(factory).parameters
    if wrong := _wrong_options(parameters.values(), options):
        reason = expected_text(", ".join(parameters), ", ".join(options) or "none", wrong)
        raise NetworkError("options", f"options of the network {name!r}", reason)
    try:
        return factory(**options)
    except (Exception, SystemExit) as error:
        reason = f"the network {name!r} cannot be built: {_reason(error)}"
        raise NetworkError("options", "", reason) from error


def _wrong_options(parameters: Collection[inspect.Parameter], options: Collection[str]) -> str:
    """Which options are unknown, and which are missing, in words; empty if a function takes them.

    parameters: those of the function
    """
    single = [each for each in parameters if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)]
    named = {each.name for each in single if each.kind is not each.POSITIONAL_ONLY}
    takes_any = any(each.kind is each.VAR_KEYWORD for each in parameters)
    unknown = [] if takes_any else [name for name in options if name not in named]
    required = [each.name for each in single if each.default is each.empty]
    missing = [name for name in required if name not in options or name not in named]
    wrong = ((unknown, "unknown"), (missing, "missing"))
    return ", ".join(
        f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} {how}" for names, how in wrong if names
    )


def _reason(error: BaseException) -> str:
    """The message of a ValueError; of any other exception its type too, as `KeyError('a')` alone reads `'a'`."""
    return str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"


def width(network: nn.Module, features: int) -> int:
    """The length of a network's output for inputs of length `features`. network: on the meta device.

    Raises NetworkError if the network does not take such inputs, or does not return a row of numbers for each.
    """
    try:
        outputs = network(torch.empty(2, features, device="meta"))
    except RuntimeError as error:
        failure = f'the network fails with "{" ".join(str(error).split())}"'
        reason = expected_text("the number of features that the network takes", features, failure)
        raise NetworkError("features", "features", reason) from error
    if not isinstance(outputs, Tensor) or outputs.ndim != 2 or len(outputs) != 2:
        shape = list(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        raise NetworkError(
            "network", "network", expected_text("a row of numbers for each input", f"{shape} for 2 inputs")
        )
    return outputs.shape[1]
