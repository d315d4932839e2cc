"""Choices: whether a person accepts a gamble, from a few that they have decided on. Sokol-Hessner et al. 2009."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from app.errors import DataError
from app.families.family import Samples, Split, uniform
from app.families.risky_choices import Sitting, read
from app.learn.networks import NetworkSpec
from app.learn.policies import Actions
from app.learn.shapes import Bool, Float

FOLDS = 6
SHUFFLE_SEED = 0
DOLLARS = 10.0
"""An observation is in tens of dollars."""


class Agents(NamedTuple):
    """Made-up people, a parameter each: how they value what they may win and lose (`probability`)."""

    curvature: Float[Tensor, "task 1"]
    loss_aversion: Float[Tensor, "task 1"]
    consistency: Float[Tensor, "task 1"]


def probability(agents: Agents, offers: Float[Tensor, "task decision 3"]) -> Float[Tensor, "task decision"]:
    """How probable it is that each accepts an offer, by prospect theory.

    A gamble is worth (gain^curvature - loss_aversion |loss|^curvature) / 2, refusing it cert^curvature, in dollars; the
    difference times the consistency is the logit. Sokol-Hessner et al. 2009, there rho, lambda and mu.
    """
    gain, loss, certain = (offers.abs() ** agents.curvature.unsqueeze(-1)).unbind(-1)
    return (agents.consistency * ((gain - agents.loss_aversion * loss) / 2 - certain)).sigmoid()


def drawn_agents(tasks: int, generator: torch.Generator) -> Agents:
    """Agents of all sorts, far beyond those that the literature finds: nothing in here is fitted to the data.

    Curvature ~ U[0.4, 1.4]; loss aversion from 1/3 to 5 and consistency from 0.1 to 10, even in their logarithms.
    """

    def even(low: float, high: float) -> Tensor:
        return uniform((tasks, 1), low, high, generator)

    return Agents(even(0.4, 1.4), even(-1.1, 1.61).exp(), even(-2.3, 2.3).exp())


@dataclass(frozen=True)
class Choices:
    """Gain, loss, certain amount and expected gain over it, in tens of dollars; refused (0) or accepted (1).

    A task is a person under one of two instructions. All that a person did is in one split. Training draws decisions at
    random; validation and test take them as they came, from a random one on.

    fold: which sixth of the 30 people is the test split; the next one is validation
    invented: the share of training tasks in which an agent of prospect theory decides (`drawn_agents`), on the gambles
        that a person of the training split was offered
    data: the folder of the data set (`risky_choices`)
    """

    fold: int = 0
    invented: float = 0.0
    data: Path | None = field(default=None, repr=False, compare=False)
    kind = "decision"
    features = 4
    targets = 2
    actions = Actions()

    def __post_init__(self) -> None:
        if not 0 <= self.fold < FOLDS:
            raise ValueError(f"the fold is from 0 to {FOLDS - 1}, got {self.fold}")
        if not 0 <= self.invented <= 1:
            raise ValueError(f"invented is a share from 0 to 1, got {self.invented}")

    @property
    def caveat(self) -> str:
        """How few people are tested on."""
        return "They are draws of what 5 people decided: how much people differ is not in these intervals"

    @property
    def network(self) -> NetworkSpec:
        """A small perceptron."""
        return NetworkSpec("mlp", {"inputs": 4, "outputs": 2, "hidden": [16, 16], "activation": "tanh"})

    def sample(
        self,
        tasks: int,
        examples: int,
        generator: torch.Generator,
        ways: int | None = None,
        split: Split = "training",
    ) -> Samples:
        """Draw people, each time under one of the instructions, and decisions of theirs."""
        sittings, training = self.sittings[split], split == "training"
        which = torch.randint(len(sittings), (tasks,), generator=generator, device=generator.device).tolist()
        rows = [_some(sittings[each], examples, generator, in_order=not training) for each in which]
        pairs = list(zip(which, rows, strict=True))
        offers = torch.stack([sittings[each].offers[some] for each, some in pairs]).to(generator.device)
        accepted = torch.stack([sittings[each].accepted[some] for each, some in pairs]).to(generator.device)
        if training and self.invented:
            accepted = self._partly_invented(offers, accepted, generator)
        return Samples(observations(offers), decisions(accepted))

    def _partly_invented(
        self,
        offers: Float[Tensor, "task decision 3"],
        accepted: Bool[Tensor, "task decision"],
        generator: torch.Generator,
    ) -> Bool[Tensor, "task decision"]:
        def unit(*shape: int) -> Tensor:
            return torch.rand(shape, generator=generator, device=generator.device)

        chance = probability(drawn_agents(len(offers), generator), offers)
        theirs = unit(*chance.shape) < chance
        return torch.where(unit(len(offers), 1) < self.invented, theirs, accepted)

    @cached_property
    def sittings(self) -> Mapping[Split, list[Sitting]]:
        """What there is in each split. Raises DataError where the data set is not there."""
        found = read(self.data)
        splits = people_of(sorted({each.person for each in found}), self.fold)
        return {split: [each for each in found if each.person in people] for split, people in splits.items()}


def people_of(people: Sequence[int], fold: int) -> Mapping[Split, set[int]]:
    """Who is in which split: the test split is fold `fold`, validation is the next fold, and training the others."""
    order = torch.randperm(len(people), generator=torch.Generator().manual_seed(SHUFFLE_SEED)).tolist()
    test, validation = ({people[place] for place in order[each % FOLDS :: FOLDS]} for each in (fold, fold + 1))
    return {"training": set(people) - test - validation, "validation": validation, "test": test}


def observations(offers: Float[Tensor, "*rows 3"]) -> Float[Tensor, "*rows feature"]:
    """What a network sees of offers in dollars."""
    gain, loss, certain = offers.unbind(-1)
    return torch.stack([gain, loss, certain, (gain + loss) / 2 - certain], -1) / DOLLARS


def decisions(accepted: Bool[Tensor, "*rows"]) -> Float[Tensor, "*rows 3"]:
    """Decisions as targets: one-hot, refused or accepted, and the weight of imitation, 1."""
    return torch.stack([~accepted, accepted, torch.ones_like(accepted)], -1).float()


def _some(sitting: Sitting, count: int, generator: torch.Generator, *, in_order: bool) -> list[int]:
    """Places of so many decisions: one after another from a random one on, or any."""
    of = len(sitting.accepted)
    if count > of:
        raise DataError(f"person {sitting.person} took {of} decisions ({sitting.condition}), asked for {count}")
    if not in_order:
        return torch.randperm(of, generator=generator, device=generator.device)[:count].tolist()
    first = int(torch.randint(of - count + 1, (1,), generator=generator, device=generator.device))
    return [*range(first, first + count)]


family = Choices
