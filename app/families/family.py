"""The interface of a family: a problem whose tasks share an initialization."""

from collections.abc import Mapping, Sequence
from math import nan
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from app.encoders.encoder import Encoder
from app.encoders.meanings import Meanings
from app.learn.decision_weights import Weighing
from app.learn.networks import NetworkSpec
from app.learn.policies import Actions
from app.learn.shape_annotations import Bool, Float, Int

Split = Literal["training", "validation", "test"]
"""Which tasks: to train on, to make choices by, or to publish figures of."""


class Samples(NamedTuple):
    """Labelled examples of a batch of tasks. The examples of a task are independent of each other.

    In classification the classes take turns: example i is of way `i % ways`, so the first `k * ways` examples of a task
    are `k` of each class. A target is one-hot over the ways.
    """

    inputs: Float[Tensor, "task example feature"]
    targets: Float[Tensor, "task example target"]


class PaddedSamples(Samples):
    """Examples of tasks of different sizes, as `stack_tasks` makes them: the rows that a task lacks are NaN."""


class NamedSamples(Samples):
    """Examples of classification tasks whose classes have names that count as one more example each.

    names: the inputs that the names make, [task, way, feature]
    has_name: which classes have one, [task, way]
    """

    names: Float[Tensor, "task way feature"]
    has_name: Bool[Tensor, "task way"]

    def __new__(cls, inputs: Tensor, targets: Tensor, names: Tensor, has_name: Tensor) -> "NamedSamples":
        """The samples with the names of their classes."""
        samples = super().__new__(cls, inputs, targets)
        samples.names, samples.has_name = names, has_name
        return samples


def stack_tasks(tasks: Sequence[tuple[Tensor, Tensor]]) -> Samples:
    """The samples of tasks that may have different numbers of examples, for `Family.sample`.

    tasks: the inputs [example, feature] and the targets [example, target] of each task
    """
    inputs, targets = ([each[part] for each in tasks] for part in range(2))
    if len({len(each) for each in inputs}) == 1:
        return Samples(torch.stack(inputs), torch.stack(targets))
    return PaddedSamples(*(pad_sequence(part, batch_first=True, padding_value=nan) for part in (inputs, targets)))


@runtime_checkable
class Family(Protocol):
    """A distribution of tasks, with the form of their examples and a network that fits them.

    `registry` finds a family by the name of its factory: a function or class that takes keyword options with defaults,
    all plain JSON values, and returns the family. A family that reads a data set also takes `data`, its folder or None,
    and reads it when it is first sampled from. Optional abilities are protocols of their own below.
    """

    @property
    def kind(self) -> str:
        """What is predicted: a key of `app.learn.losses.KINDS`."""

    @property
    def features(self) -> int:
        """Numbers in an input."""

    @property
    def targets(self) -> int:
        """Numbers in a target, without the weight of a decision. In classification, the default number of ways."""

    @property
    def network(self) -> NetworkSpec:
        """The network to train, unless the recipe names another."""

    def sample(
        self,
        tasks: int,
        examples: int,
        generator: torch.Generator,
        ways: int | None = None,
        split: Split = "training",
    ) -> Samples:
        """Draw `tasks` tasks and `examples` examples of each, on the generator's device.

        A task without classes may have fewer examples than that, but at least 2; `stack_tasks` puts tasks of different
        sizes together. Its support set then leaves at least one example for the queries, which repeat its other ones.

        ways: in classification, the classes of each task, with `examples` of each class; `targets` if None
        split: which tasks; makes no difference where a family can draw fresh tasks without end

        Raises DataError where the data set cannot be read, or has too few classes or examples.
        """


@runtime_checkable
class HasShape(Protocol):
    """A family whose inputs have a shape. Other families' inputs are rows of numbers."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of an input as people write it; its product is `features`."""


@runtime_checkable
class HasImages(Protocol):
    """A family whose inputs may be images."""

    @property
    def image(self) -> str:
        """How an image is turned into an input (`app.bundles.schema.Schema`)."""


@runtime_checkable
class HasEncoder(Protocol):
    """A family whose inputs are posted in another form than the network sees, such as rows of a table.

    Its samples are features already. Its bundles have the encoder, which turns what people post into such features.
    """

    @property
    def encoder(self) -> Encoder:
        """Fitted on training tasks alone; always the same for the same options and data set."""


@runtime_checkable
class HasTrainingInputs(Protocol):
    """A family whose training tasks are few enough to read all their rows, each with features by column."""

    @property
    def training_inputs(self) -> Sequence[np.ndarray]:
        """The features of all rows of each training task, [row, feature]."""

    @property
    def column_widths(self) -> Sequence[int]:
        """How many features each column has, in their order."""


@runtime_checkable
class HasClassLimits(Protocol):
    """A family of classification whose tasks have few classes, or few examples of each."""

    @property
    def max_ways(self) -> int:
        """The largest number of classes of a task."""

    @property
    def max_shots(self) -> int:
        """The largest number of support examples of a class that leaves others for the queries."""


@runtime_checkable
class HasLabelNames(Protocol):
    """A family of texts, where the words of a label can count as one more example of its class.

    Its samples are `NamedSamples` if they do.
    """

    @property
    def label_names(self) -> bool:
        """Whether they do, unless a request says otherwise."""

    def labels_of(self, inputs: Float[Tensor, "*task example feature"], split: Split) -> Int[Tensor, "*task example"]:
        """The number of the label, among those of a split, that each input of the split has."""


@runtime_checkable
class HasActions(Protocol):
    """A family of decisions.

    Its `targets` are the columns of an action: one for each discrete action, or one for each number of a box. Its
    samples have one column more, the weight of each decision (`app.learn.decision_weights`), which is 0 in padding.
    """

    @property
    def actions(self) -> Actions:
        """The form of an action."""


@runtime_checkable
class HasWeighing(Protocol):
    """A family of decisions that defines how they are weighed. Other families take the defaults of `Weighing`."""

    @property
    def weighing(self) -> Weighing:
        """How much each decision counts, given its reward."""


@runtime_checkable
class HasMeanings(Protocol):
    """A family that says what the numbers of its inputs and actions mean."""

    @property
    def meanings(self) -> Meanings:
        """What `GET /models/{name}` says about them."""


@runtime_checkable
class HasTargetUnits(Protocol):
    """A family whose targets have names and units, for those who ask the server what a prediction means."""

    @property
    def target_names(self) -> Sequence[str]:
        """The name of each number of a target, such as `temperature`."""

    @property
    def target_units(self) -> Sequence[str]:
        """The unit of each number of a target, such as `K`; an empty string if it has none."""


class Description(NamedTuple):
    """What the card of a bundle says about its problem, in sentences.

    purpose: what a bundle of the family does, and for whom. It begins with a verb, such as `predicts`: the card
        puts the name of the bundle before it
    not_for: what it is not for
    data: where the tasks come from
    licence: of the data, as Hugging Face names licences
    """

    purpose: str
    not_for: str
    data: str
    licence: str = "mit"


@runtime_checkable
class HasTaskCounts(Protocol):
    """A family that draws from a fixed number of tasks. Others draw fresh ones without end, or from very many."""

    @property
    def task_counts(self) -> Mapping[Split, int]:
        """How many tasks each split has."""


@runtime_checkable
class HasDescription(Protocol):
    """A family that describes its problem for the cards of its bundles."""

    @property
    def description(self) -> Description:
        """What the cards say."""


@runtime_checkable
class HasCaveat(Protocol):
    """A family whose evaluations need a word of caution, such as that its test split is small."""

    @property
    def caveat(self) -> str:
        """A sentence for the protocol of the family's evaluations."""


def interleave_classes(inputs: Float[Tensor, "task way shot feature"]) -> Samples:
    """The examples of classification tasks in the order of `Samples`: the classes take turns."""
    tasks, ways, shots, features = inputs.shape
    targets = torch.eye(ways, device=inputs.device).repeat(shots, 1).expand(tasks, -1, -1)
    return Samples(inputs.transpose(1, 2).reshape(tasks, shots * ways, features), targets)


def uniform(shape: tuple[int, ...], low: float, high: float, generator: torch.Generator) -> Tensor:
    """Numbers from U[low, high), on the generator's device."""
    unit = torch.rand(shape, generator=generator, device=generator.device)
    return low + (high - low) * unit
