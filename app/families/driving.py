"""Driving like somebody who knows the road: a world is a task, and a few of their episodes tell what no one sees.

How much grip there is, how far one may see and how the others drive is in no observation (`highway.world`), but in how
somebody drives who is at home there (`highway.planner.at_home`). Learnt from a log, so that no simulator is needed:
`innerloop collect driving --out DIR` drives in highway-env and writes it.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from app.errors import DataError
from app.families.family import Samples, Split
from app.families.highway.observation import FEATURES
from app.families.highway.world import ACTIONS
from app.learn.networks import NetworkSpec
from app.learn.policies import Actions
from app.learn.shapes import Float, Int


class Log(NamedTuple):
    """The decisions of a split, one episode after the other. ends: where each episode ends; worlds: whose it is."""

    observations: Float[Tensor, "decision feature"]
    actions: Int[Tensor, " decision"]
    ends: tuple[int, ...]
    worlds: tuple[int, ...]


@dataclass(frozen=True)
class Driving:
    """What is seen on the road (`highway.seen.NAMES`), and which of the five manoeuvres (ACTIONS) is done then.

    data: the folder of the log

    The decisions of a task are those of whole episodes, one after the other and in another order each time; where they
    are not enough they begin again.
    """

    data: Path | None = field(default=None, repr=False, compare=False)
    _logs: dict[Split, Log] = field(default_factory=dict, init=False, repr=False, compare=False)
    kind = "decision"
    features = FEATURES
    targets = len(ACTIONS)
    actions = Actions()

    @property
    def network(self) -> NetworkSpec:
        """A perceptron that gives a logit for each manoeuvre."""
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
        """Draw worlds, and decisions of who is at home there, each of weight 1."""
        log = self._logs[split] = self._logs.get(split) or read(self.data, split)
        chosen = torch.randint(max(log.worlds) + 1, (tasks,), generator=generator, device=generator.device).tolist()
        rows = torch.stack([_mixed(rows_of(log, world), examples, generator) for world in chosen])
        actions = functional.one_hot(log.actions[rows], len(ACTIONS)).float()
        weighted = torch.cat([actions, torch.ones_like(actions[..., :1])], -1)
        return Samples(log.observations[rows].to(generator.device), weighted.to(generator.device))


def rows_of(log: Log, world: int) -> list[Int[Tensor, " decision"]]:
    """Places in the log: the decisions of each episode of a world."""
    begins = (0, *log.ends)
    spans = zip(begins, log.ends, log.worlds, strict=False)
    return [torch.arange(begin, end) for begin, end, its in spans if its == world]


def _mixed(episodes: list[Tensor], examples: int, generator: torch.Generator) -> Int[Tensor, " example"]:
    """So many decisions of episodes in a random order, again and again."""
    order = torch.randperm(len(episodes), generator=generator, device=generator.device).tolist()
    whole = torch.cat([episodes[place] for place in order])
    return whole.repeat(-(-examples // len(whole)))[:examples]


def read(folder: Path | None, split: Split) -> Log:
    """The log of a split. Raises DataError where it is not in `folder`."""
    cure = "innerloop collect driving --out DIR writes it, with highway-env: pip install 'innerloop-server[driving]'"
    if folder is None:
        raise DataError(f"driving learns from a log: --data says in which folder. {cure}")
    file = folder / f"driving-{split}.npz"
    try:
        with np.load(file) as found:
            observations, actions = found["observations"].astype(np.float32), found["actions"].astype(np.int64)
            ends, worlds = np.cumsum(found["lengths"].astype(np.int64)), found["worlds"]
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"{file} cannot be read: {error}. {cure}") from error
    seen, done = torch.from_numpy(observations), torch.from_numpy(actions)
    return Log(seen, done, tuple(ends.tolist()), tuple(worlds.tolist()))


family = Driving
