"""Driving in highway-env by a server: act through `/predict`, send what somebody drove to `/adapt`, act again."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Ask = Callable[[str, str, Any], Awaitable[Any]]
"""(method, path, body) -> the answer's body. Raises where the server refuses."""


@dataclass
class Episode:
    """What happened in one environment. frames: pictures of it, where they were wanted."""

    observations: list[list[float]] = field(default_factory=list)
    actions: list[Any] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    crashed: bool = False
    frames: list[Any] = field(default_factory=list)

    @property
    def gained(self) -> float:
        """The return."""
        return sum(self.rewards)

    def as_support(self, *, rewards: bool) -> dict[str, Any]:
        """As `/adapt` takes it. rewards: to learn from what it brought; else it is imitated."""
        said = {"observations": self.observations, "actions": self.actions}
        return said | {"rewards": self.rewards} if rewards else said


async def acted(
    ask: Ask, model: Mapping[str, Any], environments: Sequence[Any], seeds: Sequence[int], *, film: bool = False
) -> list[Episode]:
    """An episode in each environment, side by side: one request decides for all that go on.

    model: what `/predict` is to answer by, such as {"adaptation_id": ...}; the most probable actions are taken
    environments: of gymnasium; film: keep pictures of the first, which is made with `render_mode="rgb_array"`
    """
    episodes = [Episode() for _ in environments]
    seen = [one.reset(seed=seed)[0] for one, seed in zip(environments, seeds, strict=True)]
    going = list(range(len(environments)))
    while going:
        queries = [np.ravel(seen[place]).tolist() for place in going]
        answer = await ask("POST", "/predict", {**model, "queries": queries})
        for place, query, action in zip(list(going), queries, answer["predictions"], strict=True):
            episode, environment = episodes[place], environments[place]
            if film and place == 0:
                episode.frames.append(environment.render())
            episode.observations.append(query)
            episode.actions.append(action)
            seen[place], reward, over, late, said = environment.step(action)
            episode.rewards.append(float(reward))
            episode.crashed = bool(said.get("crashed", False))
            if over or late:
                going.remove(place)
    return episodes


@dataclass(frozen=True)
class Drives:
    """What came of driving in a world before and after adapting to somebody's episodes.

    world: in words; shown: those episodes, by who drove; message: of `/adapt`
    """

    world: str
    shown: Sequence[Episode]
    before: Sequence[Episode]
    after: Sequence[Episode]
    message: str

    def __str__(self) -> str:
        return f"{self.world}\n" + "\n".join(map(": ".join, self.rows)) + f"\n{self.message}"

    @property
    def rows(self) -> list[tuple[str, str]]:
        """Who drove, and what came of it."""
        rows = (("shown to it", self.shown), ("before adapting", self.before), ("after adapting", self.after))
        return [(name, _summary(episodes)) for name, episodes in rows]

    def as_json(self) -> dict[str, Any]:
        """For bundle.json."""
        text = "\n".join(f"- {name}: {what}" for name, what in self.rows)
        return {"world": self.world, "shots": len(self.shown), "text": text}


def _summary(episodes: Sequence[Episode]) -> str:
    mean = sum(each.gained for each in episodes) / len(episodes)
    crashed = sum(each.crashed for each in episodes)
    return f"return {mean:.1f}, {crashed} of {len(episodes)} episodes end in a crash"


async def drive(ask: Ask, bundle: str, place: int, shots: int, episodes: int) -> Drives:
    """Drive in a held-out world, show the model how somebody drives who is at home there, and drive again.

    place: which of the test worlds; shots: episodes that are shown; episodes: that are driven before and after, the
        same traffic both times
    """
    # highway-env is an extra
    from app.families.highway.episodes import WORLDS, drive_episode, make_driver, seed_of
    from app.families.highway.planner import style_at_home
    from app.families.highway.road import Drive
    from app.families.highway.world import worlds

    world = worlds("test", WORLDS["test"])[place]
    home, alone = make_driver(style_at_home(world)), Drive(world)
    seeds = [seed_of("test", place, 100 + episode) for episode in range(episodes)]
    log = [drive_episode(alone, home, seed_of("test", place, episode)) for episode in range(shots)]
    shown = [
        Episode(each.observations.tolist(), each.actions.tolist(), each.rewards.tolist(), each.crashed) for each in log
    ]
    roads = [Drive(world, None if episode else "rgb_array") for episode in range(episodes)]
    before = await acted(ask, {"model": bundle}, roads, seeds, film=True)
    support = {"episodes": [each.as_support(rewards=False) for each in shown]}
    adaptation = await ask("POST", "/adapt", {"model": bundle, "support": support})
    known = {"adaptation_id": adaptation["adaptation_id"]}
    after = await acted(ask, known, roads, seeds, film=True)
    for road in roads:
        road.close()
    return Drives(
        str(world), shown, before, after, f"adaptation {adaptation['adaptation_id']}: {adaptation['message']}"
    )
