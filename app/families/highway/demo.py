"""Driving in a held-out world of highway-env before and after adapting: the rollouts, and a report of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import one_hot
from torch.nn.utils.rnn import pad_sequence

from app.families.worlds_protocol import Episodes, Policy


@dataclass
class Trajectory:
    """An episode in one environment. frames: its pictures, where a film was asked for."""

    observations: list[NDArray[np.float32]] = field(default_factory=list)
    actions: list[int] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    crashed: bool = False
    frames: list[Any] = field(default_factory=list)

    @property
    def total_reward(self) -> float:
        """The return of the episode."""
        return sum(self.rewards)


def rollout(
    policy: Policy, environments: Sequence[Any], seeds: Sequence[int], *, film: bool = False
) -> list[Trajectory]:
    """Run an episode in each environment, side by side: one call of the policy decides for all that go on.

    policy: of discrete actions; it is called with one task
    environments: of gymnasium
    film: keep pictures of the first environment, which is made with `render_mode="rgb_array"`
    """
    trajectories = [Trajectory() for _ in environments]
    observations = [np.ravel(env.reset(seed=seed)[0]) for env, seed in zip(environments, seeds, strict=True)]
    going = torch.ones(1, len(environments), dtype=torch.bool)
    while going.any():
        actions = policy(torch.from_numpy(np.stack(observations))[None], going)[0].argmax(-1).tolist()
        for index in going[0].nonzero().flatten().tolist():
            trajectory, environment = trajectories[index], environments[index]
            if film and index == 0:
                trajectory.frames.append(environment.render())
            trajectory.observations.append(observations[index])
            trajectory.actions.append(actions[index])
            observation, reward, terminated, truncated, info = environment.step(actions[index])
            observations[index] = np.ravel(observation)
            trajectory.rewards.append(float(reward))
            trajectory.crashed = bool(info.get("crashed", False))
            going[0, index] = not (terminated or truncated)
    return trajectories


def as_episodes(trajectories: Sequence[Trajectory], actions: int) -> Episodes:
    """The trajectories as the episodes of one task, padded to the same length. actions: how many there are."""
    parts = [
        (
            torch.from_numpy(np.stack(each.observations)),
            one_hot(torch.tensor(each.actions), actions).float(),
            torch.tensor(each.rewards),
            torch.ones(len(each.actions), dtype=torch.bool),
        )
        for each in trajectories
    ]
    return Episodes(*(pad_sequence(list(part), batch_first=True)[None] for part in zip(*parts, strict=True)))


@dataclass(frozen=True)
class DriveReport:
    """The trajectories in a world before and after adapting to demonstrations.

    world: a description; demonstrations: what was adapted to; message: of the adaptation
    """

    world: str
    demonstrations: Sequence[Trajectory]
    before: Sequence[Trajectory]
    after: Sequence[Trajectory]
    message: str

    def __str__(self) -> str:
        return f"{self.world}\n" + "\n".join(map(": ".join, self.rows)) + f"\n{self.message}"

    @property
    def rows(self) -> list[tuple[str, str]]:
        """For each group of trajectories its name and its summary."""
        groups = (
            ("demonstrations", self.demonstrations),
            ("before adapting", self.before),
            ("after adapting", self.after),
        )
        return [(name, _summary(trajectories)) for name, trajectories in groups]

    def as_json(self) -> dict[str, Any]:
        """For bundle.json."""
        text = "\n".join(f"- {name}: {summary}" for name, summary in self.rows)
        return {"world": self.world, "shots": len(self.demonstrations), "text": text}


def _summary(trajectories: Sequence[Trajectory]) -> str:
    mean = sum(each.total_reward for each in trajectories) / len(trajectories)
    crashes = sum(each.crashed for each in trajectories)
    return f"return {mean:.1f}, {crashes} of {len(trajectories)} episodes end in a crash"


def drive(policy: Policy, adapt: Callable[[Episodes], str], world_index: int, shots: int, episodes: int) -> DriveReport:
    """Drive in a held-out world, adapt to a driver who is at home there, and drive again in the same traffic.

    policy: acts by its latest adaptation
    adapt: adapts the policy to demonstrations, and returns a message
    world_index: which of the test worlds
    shots: episodes that are demonstrated; episodes: that are driven before and after
    """
    # highway-env is an extra
    from app.families.highway.environment import Drive
    from app.families.highway.episodes import WORLDS, drive_episode, make_driver, seed_of
    from app.families.highway.planner import style_at_home
    from app.families.highway.world_parameters import ACTIONS, worlds

    world = worlds("test", WORLDS["test"])[world_index]
    driver, road = make_driver(style_at_home(world)), Drive(world)
    seeds = [seed_of("test", world_index, 100 + episode) for episode in range(episodes)]
    log = [drive_episode(road, driver, seed_of("test", world_index, episode)) for episode in range(shots)]
    demonstrations = [
        Trajectory(list(each.observations), each.actions.tolist(), each.rewards.tolist(), each.crashed) for each in log
    ]
    roads = [Drive(world, None if episode else "rgb_array") for episode in range(episodes)]
    before = rollout(policy, roads, seeds, film=True)
    message = adapt(as_episodes(demonstrations, len(ACTIONS)))
    after = rollout(policy, roads, seeds, film=True)
    for each in roads:
        each.close()
    return DriveReport(str(world), demonstrations, before, after, message)
