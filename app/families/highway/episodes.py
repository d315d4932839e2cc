"""Driving in worlds, and writing the log that training reads."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.families.family import Split
from app.families.highway.environment import Drive
from app.families.highway.planner import Style, plan, style_at_home
from app.families.highway.world_parameters import ACTIONS, World, worlds

Driver = Callable[[NDArray[np.float32]], int]
"""observation -> action."""
WORLDS: dict[Split, int] = {"training": 160, "validation": 10, "test": 40}
EPISODES = 10
"""In each world."""
DISTURBANCE = 0.1
"""In every other episode of training and validation, how often a random action replaces the driver's; the log keeps the
driver's."""


@dataclass(frozen=True)
class Episode:
    """An episode of a driver. actions: those that the driver chose; crashed: whether it ended in a crash."""

    observations: NDArray[np.float32]
    actions: NDArray[np.int8]
    rewards: NDArray[np.float32]
    crashed: bool


def drive_episode(drive: Drive, driver: Driver, seed: int, disturbance: float = 0.0) -> Episode:
    """Drive an episode.

    disturbance: how often a random action replaces the driver's, which is logged (Laskey et al. 2017, "DART")
    """
    random, (observation, _) = np.random.default_rng(seed), drive.reset(seed=seed)
    observations, actions, rewards = [], [], []
    terminated = truncated = False
    while not (terminated or truncated):
        action = driver(observation)
        observations.append(observation)
        actions.append(action)
        taken = int(random.integers(len(ACTIONS))) if random.random() < disturbance else action
        observation, reward, terminated, truncated, _ = drive.step(taken)
        rewards.append(reward)
    return Episode(np.stack(observations), np.array(actions, np.int8), np.array(rewards, np.float32), terminated)


def make_driver(style: Style) -> Driver:
    """A driver of that style."""
    return lambda observation: plan(observation, style)


def seed_of(split: Split, world: int, episode: int) -> int:
    """The seed of an episode's traffic. Every episode has its own, and all drivers have the same."""
    return 1_000_000 * (1 + list(WORLDS).index(split)) + 1_000 * world + episode


def home_episodes(split: Split, index: int, world: World) -> Iterator[Episode]:
    """The episodes of the driver at home in a world. index: of the world in its split."""
    drive, driver = Drive(world), make_driver(style_at_home(world))
    for episode in range(EPISODES):
        disturbance = DISTURBANCE * (episode % 2) if split != "test" else 0.0
        yield drive_episode(drive, driver, seed_of(split, index, episode), disturbance)
    drive.close()


def write_log(split: Split, folder: Path, on_world: Callable[[int], Any] = lambda done: None) -> Path:
    """Drive in all worlds of a split and write `driving-<split>.npz`. on_world: is called after each world."""
    episodes: list[Episode] = []
    indices: list[int] = []
    split_worlds = worlds(split, WORLDS[split])
    for index, world in enumerate(split_worlds):
        in_world = list(home_episodes(split, index, world))
        episodes += in_world
        indices += [index] * len(in_world)
        on_world(index + 1)
    file = folder / f"driving-{split}.npz"
    np.savez_compressed(
        file,
        observations=np.concatenate([each.observations for each in episodes]).astype(np.float16),
        actions=np.concatenate([each.actions for each in episodes]),
        rewards=np.concatenate([each.rewards for each in episodes]).astype(np.float16),
        lengths=np.array([len(each.actions) for each in episodes], np.int16),
        crashed=np.array([each.crashed for each in episodes]),
        worlds=np.array(indices, np.int16),
        made=np.array([list(asdict(world).values())[1:] for world in split_worlds], np.float32),
        roads=np.array([world.road for world in split_worlds]),
    )
    return file
