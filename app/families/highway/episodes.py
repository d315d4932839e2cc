"""Driving in worlds, and the log of it that training reads."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.families.family import Split
from app.families.highway.planner import Style, at_home, plan
from app.families.highway.road import Drive
from app.families.highway.world import ACTIONS, World, worlds

Driver = Callable[[NDArray[np.float32]], int]
"""What is seen -> what is done."""
WORLDS: dict[Split, int] = {"training": 160, "validation": 10, "test": 40}
EPISODES = 10
"""In each world."""
DISTURBED = 0.1
"""How often, in every other episode of training, something else is done than the driver wants, which is logged."""


@dataclass(frozen=True)
class Episode:
    """What was seen, what the driver did then, and what it brought. crashed: how it ended."""

    observations: NDArray[np.float32]
    actions: NDArray[np.int8]
    rewards: NDArray[np.float32]
    crashed: bool


def driven(drive: Drive, driver: Driver, seed: int, disturbed: float = 0.0) -> Episode:
    """An episode. disturbed: how often something at random is done instead (Laskey et al. 2017, "DART")."""
    random, (observation, _) = np.random.default_rng(seed), drive.reset(seed=seed)
    seen, done, gained = [], [], []
    over = late = False
    while not (over or late):
        action = driver(observation)
        seen.append(observation)
        done.append(action)
        chosen = int(random.integers(len(ACTIONS))) if random.random() < disturbed else action
        observation, reward, over, late, _ = drive.step(chosen)
        gained.append(reward)
    return Episode(np.stack(seen), np.array(done, np.int8), np.array(gained, np.float32), over)


def styled(style: Style) -> Driver:
    """Somebody of that style."""
    return lambda observation: plan(observation, style)


def seed_of(split: Split, world: int, episode: int) -> int:
    """Of an episode's traffic: no two are alike, and every driver has the same ones."""
    return 1_000_000 * (1 + list(WORLDS).index(split)) + 1_000 * world + episode


def collected(split: Split, world: int, made: World) -> Iterator[Episode]:
    """The episodes of who is at home in a world."""
    drive, driver = Drive(made), styled(at_home(made))
    for episode in range(EPISODES):
        disturbed = DISTURBED * (episode % 2) if split != "test" else 0.0
        yield driven(drive, driver, seed_of(split, world, episode), disturbed)
    drive.close()


def log(split: Split, folder: Path, told: Callable[[int], Any] = lambda done: None) -> Path:
    """Drive in all worlds of a split and write `driving-<split>.npz`. told: is called after each world."""
    every, places, columns = [], [], worlds(split, WORLDS[split])
    for place, world in enumerate(columns):
        found = list(collected(split, place, world))
        every += found
        places += [place] * len(found)
        told(place + 1)
    file = folder / f"driving-{split}.npz"
    np.savez_compressed(
        file,
        observations=np.concatenate([each.observations for each in every]).astype(np.float16),
        actions=np.concatenate([each.actions for each in every]),
        rewards=np.concatenate([each.rewards for each in every]).astype(np.float16),
        lengths=np.array([len(each.actions) for each in every], np.int16),
        crashed=np.array([each.crashed for each in every]),
        worlds=np.array(places, np.int16),
        made=np.array([list(asdict(world).values())[1:] for world in columns], np.float32),
        roads=np.array([world.road for world in columns]),
    )
    return file
