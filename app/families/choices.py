"""Choices: whether a person accepts a gamble, predicted from a few of their decisions. Sokol-Hessner et al. 2009."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from app.encoders.meanings import Meaning, Meanings
from app.errors import DataError, expectation
from app.families.choices_data import Sitting, read
from app.families.family import Description, Samples, Split, uniform
from app.learn.networks import NetworkSpec
from app.learn.policies import Actions
from app.learn.shape_annotations import Bool, Float

FOLDS = 6
SHUFFLE_SEED = 0
DOLLARS = 10.0
"""An observation is in tens of dollars."""
UNIT = f"{DOLLARS:g} dollars"


class Agents(NamedTuple):
    """Simulated people, with parameters of how they value gains and losses (`acceptance_probability`)."""

    curvature: Float[Tensor, "task 1"]
    loss_aversion: Float[Tensor, "task 1"]
    consistency: Float[Tensor, "task 1"]


def acceptance_probability(agents: Agents, offers: Float[Tensor, "task decision 3"]) -> Float[Tensor, "task decision"]:
    """The probability that each agent accepts each offer, by prospect theory.

    In dollars, a gamble is worth (gain^curvature - loss_aversion |loss|^curvature) / 2, and refusing it is worth
    cert^curvature. The logit is their difference times the consistency. Sokol-Hessner et al. 2009 call the three
    parameters rho, lambda and mu.
    """
    gain, loss, certain = (offers.abs() ** agents.curvature.unsqueeze(-1)).unbind(-1)
    return (agents.consistency * ((gain - agents.loss_aversion * loss) / 2 - certain)).sigmoid()


def draw_agents(tasks: int, generator: torch.Generator) -> Agents:
    """Draw agents far more varied than the literature finds; nothing about them is fitted to the data.

    Curvature ~ U[0.4, 1.4]. Loss aversion from 1/3 to 5 and consistency from 0.1 to 10, both log-uniform.
    """

    def draw(low: float, high: float) -> Tensor:
        return uniform((tasks, 1), low, high, generator)

    return Agents(draw(0.4, 1.4), draw(-1.1, 1.61).exp(), draw(-2.3, 2.3).exp())


@dataclass(frozen=True)
class Choices:
    """Gain, loss, guaranteed amount and expected gain over it, in tens of dollars; refused (0) or accepted (1).

    A task is a person under one of two instructions. All decisions of a person are in one split. Training draws
    decisions at random; validation and test take consecutive ones, starting at a random one.

    fold: which sixth of the 30 people is the test split; the next sixth is validation
    invented: the share of training tasks in which an agent of prospect theory (`draw_agents`) decides on the gambles
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
    meanings = Meanings(
        inputs=(
            Meaning("gain", UNIT, low=0.0),
            Meaning("loss", UNIT, high=0.0),
            Meaning("guaranteed amount", UNIT, low=0.0),
            Meaning("expected gain over the guaranteed amount", UNIT),
        ),
        actions=(Meaning("refuse"), Meaning("accept")),
    )
    description = Description(
        purpose="predicts whether a person accepts a gamble, after ten of that person's decisions. An observation "
        "is the gain, the loss, the guaranteed amount (paid to those who refuse), and how much more the gamble pays on "
        "average than the guaranteed amount, in tens of dollars. Action 0 refuses the gamble, action 1 accepts it.",
        not_for="Judging people, or decisions with other stakes. It was trained on 20 people in one laboratory.",
        data="Decisions of 30 people, each on about 140 gambles under each of two instructions (Sokol-Hessner et al. "
        "2009), from the package hBayesDM: 20 people for training, 5 for validation, 5 for testing. The guide "
        "(Decisions) has the score over all 30 people, each held out once: -0.474 ± 0.044. It differs from that "
        "of this bundle because it is about other people, and all of their decisions after the first ten.",
        licence="gpl-3.0",
    )

    def __post_init__(self) -> None:
        if not 0 <= self.fold < FOLDS:
            raise ValueError(f"fold: expected 0 to {FOLDS - 1}, got {self.fold}")
        if not 0 <= self.invented <= 1:
            raise ValueError(f"invented: expected a share from 0 to 1, got {self.invented}")

    @property
    def caveat(self) -> str:
        """How few people the test split has."""
        return "All tasks come from the decisions of 5 people, so the intervals do not show how much people differ"

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
        """Draw people, each under one of the instructions, and some of their decisions."""
        sittings, training = self.sittings[split], split == "training"
        chosen = torch.randint(len(sittings), (tasks,), generator=generator, device=generator.device).tolist()
        rows = [_draw_places(sittings[each], examples, generator, in_order=not training) for each in chosen]
        pairs = list(zip(chosen, rows, strict=True))
        offers = torch.stack([sittings[each].offers[places] for each, places in pairs]).to(generator.device)
        accepted = torch.stack([sittings[each].accepted[places] for each, places in pairs]).to(generator.device)
        if training and self.invented:
            accepted = self._invent_some(offers, accepted, generator)
        return Samples(observations(offers), decisions(accepted))

    def _invent_some(
        self,
        offers: Float[Tensor, "task decision 3"],
        accepted: Bool[Tensor, "task decision"],
        generator: torch.Generator,
    ) -> Bool[Tensor, "task decision"]:
        def unit(*shape: int) -> Tensor:
            return torch.rand(shape, generator=generator, device=generator.device)

        chance = acceptance_probability(draw_agents(len(offers), generator), offers)
        by_agents = unit(*chance.shape) < chance
        return torch.where(unit(len(offers), 1) < self.invented, by_agents, accepted)

    @cached_property
    def sittings(self) -> Mapping[Split, list[Sitting]]:
        """The sittings of each split. Raises DataError where the data set cannot be read."""
        sittings = read(self.data)
        splits = split_people(sorted({each.person for each in sittings}), self.fold)
        return {split: [each for each in sittings if each.person in people] for split, people in splits.items()}


def split_people(people: Sequence[int], fold: int) -> Mapping[Split, set[int]]:
    """The people of each split: test has fold `fold`, validation the next fold, and training the others."""
    order = torch.randperm(len(people), generator=torch.Generator().manual_seed(SHUFFLE_SEED)).tolist()
    test, validation = ({people[place] for place in order[each % FOLDS :: FOLDS]} for each in (fold, fold + 1))
    return {"training": set(people) - test - validation, "validation": validation, "test": test}


def observations(offers: Float[Tensor, "*rows 3"]) -> Float[Tensor, "*rows feature"]:
    """Offers in dollars as inputs of a network."""
    gain, loss, certain = offers.unbind(-1)
    return torch.stack([gain, loss, certain, (gain + loss) / 2 - certain], -1) / DOLLARS


def decisions(accepted: Bool[Tensor, "*rows"]) -> Float[Tensor, "*rows 3"]:
    """Decisions as targets: one-hot over refused and accepted, and the weight 1 of imitation."""
    return torch.stack([~accepted, accepted, torch.ones_like(accepted)], -1).float()


def _draw_places(sitting: Sitting, count: int, generator: torch.Generator, *, in_order: bool) -> list[int]:
    """The indices of that many decisions: consecutive from a random one on, or all random."""
    total = len(sitting.accepted)
    if count > total:
        raise DataError(
            expectation(
                "shots and queries",
                f"at most {total} decisions of person {sitting.person} ({sitting.condition})",
                count,
            )
        )
    if not in_order:
        return torch.randperm(total, generator=generator, device=generator.device)[:count].tolist()
    first = int(torch.randint(total - count + 1, (1,), generator=generator, device=generator.device))
    return [*range(first, first + count)]


family = Choices
