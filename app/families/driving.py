"""Driving like a driver who knows the world: a task is a world, and a few of that driver's episodes reveal it.

No observation shows the grip of the road, the sight and the manners of the other drivers
(`highway.world_parameters`), but they show in how a driver at home in the world drives
(`highway.planner.style_at_home`). The family learns from a log, so it needs no simulator: `innerloop collect driving
--out DIR` drives in highway-env and writes the log.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from app.encoders.meanings import Meaning, Meanings
from app.errors import DataError, cause_text, expectation, path_text
from app.families.family import Description, Samples, Split
from app.families.highway.observation import FEATURES, MEANINGS
from app.families.highway.world_parameters import ACTIONS
from app.learn.networks import NetworkSpec
from app.learn.policies import Actions
from app.learn.shape_annotations import Float, Int


class DrivingLog(NamedTuple):
    """The decisions of a split, one episode after the other. ends, worlds: where each episode ends, and its world."""

    observations: Float[Tensor, "decision feature"]
    actions: Int[Tensor, " decision"]
    ends: tuple[int, ...]
    worlds: tuple[int, ...]


@dataclass(frozen=True)
class Driving:
    """Observations of the road (`highway.observation.NAMES`), and the manoeuvre that the driver chose (ACTIONS).

    data: the folder of the log

    The decisions of a task are those of whole episodes, in a random order of episodes. Where a world has too few
    decisions, they repeat.
    """

    data: Path | None = field(default=None, repr=False, compare=False)
    _logs: dict[Split, DrivingLog] = field(default_factory=dict, init=False, repr=False, compare=False)
    kind = "decision"
    features = FEATURES
    targets = len(ACTIONS)
    actions = Actions()
    meanings = Meanings(inputs=MEANINGS, actions=tuple(map(Meaning, ACTIONS)))
    description = Description(
        purpose="drives in simulated traffic. The policy imitates a driver who knows the road, after a few episodes of "
        "that driver. Worlds differ in grip, sight and the behaviour of other drivers.",
        not_for="Real vehicles, or any simulator other than highway-env as `innerloop collect driving` sets it up.",
        data="Episodes of a rule-based driver who knows the world, in highway-env (Leurent 2018), in 160 worlds for "
        "training, 10 for validation and 40 for testing. All test tasks come from these 40 worlds. Half of them "
        "combine little grip with dense traffic, which no training world does. In the others, the density of "
        "traffic, grip and sight lie outside of their ranges in training.",
    )

    @property
    def network(self) -> NetworkSpec:
        """A perceptron with a logit for each manoeuvre."""
        return NetworkSpec(
            "mlp", {"inputs": FEATURES, "outputs": len(ACTIONS), "hidden": [64, 64], "activation": "tanh"}
        )

    def sample(
        self,
        tasks: int,
        examples: int,
        generator: torch.Generator,
        ways: int | None = None,
        split: Split = "training",
    ) -> Samples:
        """Draw worlds, and decisions of a driver at home in each, all of weight 1."""
        log = self._logs[split] = self._logs.get(split) or read(self.data, split)
        chosen = torch.randint(max(log.worlds) + 1, (tasks,), generator=generator, device=generator.device).tolist()
        rows = torch.stack([_shuffle_episodes(rows_of(log, world), examples, generator) for world in chosen])
        actions = functional.one_hot(log.actions[rows], len(ACTIONS)).float()
        weighted = torch.cat([actions, torch.ones_like(actions[..., :1])], -1)
        return Samples(log.observations[rows].to(generator.device), weighted.to(generator.device))


def rows_of(log: DrivingLog, world: int) -> list[Int[Tensor, " decision"]]:
    """The rows of the log with the decisions of a world, episode by episode."""
    begins = (0, *log.ends)
    spans = zip(begins, log.ends, log.worlds, strict=False)
    return [torch.arange(begin, end) for begin, end, owner in spans if owner == world]


def _shuffle_episodes(episodes: list[Tensor], examples: int, generator: torch.Generator) -> Int[Tensor, " example"]:
    """That many decisions of the episodes in a random order, repeated where there are too few."""
    order = torch.randperm(len(episodes), generator=generator, device=generator.device).tolist()
    rows = torch.cat([episodes[place] for place in order])
    return rows.repeat(-(-examples // len(rows)))[:examples]


def read(folder: Path | None, split: Split) -> DrivingLog:
    """The log of a split. Raises DataError where it is not in `folder`."""
    fix = (
        "`innerloop collect driving --out FOLDER` writes the log; name the folder with --data. This needs highway-env: "
        "pip install 'innerloop-server[driving]', or '.[driving]' in a checkout"
    )
    if folder is None:
        raise DataError(expectation("--data", "the folder of the log", "none", fix))
    file = folder / f"driving-{split}.npz"
    try:
        with np.load(file) as arrays:
            observations, actions = arrays["observations"].astype(np.float32), arrays["actions"].astype(np.int64)
            ends, worlds = np.cumsum(arrays["lengths"].astype(np.int64)), arrays["worlds"]
    except (OSError, KeyError, ValueError) as error:
        raise DataError(expectation(path_text(file), "a file that can be read", cause_text(error), fix)) from error
    tensors = torch.from_numpy(observations), torch.from_numpy(actions)
    return DrivingLog(*tensors, tuple(ends.tolist()), tuple(worlds.tolist()))


family = Driving
