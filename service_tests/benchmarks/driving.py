"""How well does a policy drive in a new world, before and after adapting to a driver who is at home there?

In each of the 40 test worlds of highway-env the bundle adapts to 3 and to 10 episodes of a driver who is at home in the
world, and drives in the same traffic as every rival: the initialization; a network of the same form trained on all
training episodes together, without meta-learning, and that network fine-tuned on the same episodes; one trained from
scratch on them; the driver who is at home, and one who drives everywhere alike. The rivals' rates and steps are those
of a grid with the largest return in the validation worlds. The bundle is used over HTTP, at its defaults: the episodes
go to `/adapt`, and each decision is an answer of `/predict`. All policies take the most probable action.
"""

import argparse
import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional

from app.bundles.bundle import Bundle
from app.bundles.folder import load
from app.cli.remote_learner import RemoteLearner
from app.cli.server_connection import connect
from app.families.driving import DrivingLog, read, rows_of
from app.families.highway.demo import Trajectory, as_episodes, rollout
from app.families.highway.environment import Drive
from app.families.highway.episodes import WORLDS, Driver, drive_episode, make_driver, seed_of
from app.families.highway.planner import ORDINARY, style_at_home
from app.families.highway.world_parameters import ACTIONS, worlds
from app.learn.networks import build, initialize
from app.learn.significance import interval
from app.learn.update_rules import Params
from innerloop_client import AsyncClient
from service_tests.benchmarks.report import write
from service_tests.benchmarks.servers import innerloop, serving

QUESTION = "Driving in held-out worlds: return of an episode (at most 40) and share of crashes, by who drives"
MODEL = "driving"
SHOTS = (3, 10)
POOLED = ((2e-3, 6_000), (3e-4, 3_000))
"""Rates and steps of 512 decisions that the pooled network is trained by."""
FINE, SCRATCH = ((1e-4, 3e-4, 1e-3, 3e-3), (5, 20, 60, 150)), ((1e-3, 3e-3, 1e-2), (20, 60, 150, 300))
"""Rates and steps that the rivals choose among."""
PAIRS = (
    *((f"adapted to {shots}", "initialization") for shots in SHOTS),
    *((f"adapted to {shots}", f"fine-tuned on {shots}") for shots in SHOTS),
    *((f"adapted to {shots}", f"from scratch on {shots}") for shots in SHOTS),
    *((f"adapted to {shots}", "pooled") for shots in SHOTS),
    *((f"adapted to {SHOTS[-1]}", rival) for rival in ("at home", "alike everywhere")),
)

Decisions = tuple[Tensor, Tensor]
"""Observations, and the action after each."""


class Outcome(NamedTuple):
    """The outcome of an episode."""

    total_reward: float
    crashed: bool


@dataclass(frozen=True)
class Rivals:
    """The rivals before they learn in a world.

    fine, scratch: (rate, steps) of Adam
    """

    bundle: Bundle
    pooled: Params
    fine: tuple[float, int]
    scratch: tuple[float, int]

    def policies(self, log: DrivingLog, world: int) -> dict[str, Params]:
        """The rivals that are networks, by name, after learning from the first episodes of a world."""
        policies = {"pooled": self.pooled}
        for shots in SHOTS:
            demonstrated = decisions(log, world, shots)
            policies[f"fine-tuned on {shots}"] = fit(self.bundle, self.pooled, demonstrated, *self.fine)
            policies[f"from scratch on {shots}"] = fit(self.bundle, fresh(self.bundle), demonstrated, *self.scratch)
        return policies


def main() -> None:
    """Drive, and write the results."""
    parser = argparse.ArgumentParser(description=QUESTION)
    parser.add_argument("--models-dir", type=Path, default=Path("models"))
    parser.add_argument("--data", type=Path, required=True, help="the folder of the log: innerloop collect driving")
    parser.add_argument("--worlds", type=int, default=WORLDS["test"])
    parser.add_argument("--episodes", type=int, default=4, help="in each world")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rivals = prepare(load(options.models_dir / MODEL), options.data)
    outcomes = asyncio.run(everywhere(rivals, options))
    rows = [*map(partial(row, outcomes), outcomes), *(difference(outcomes, *pair) for pair in PAIRS)]
    chosen = {"fine": rivals.fine, "scratch": rivals.scratch}
    episodes = {"worlds": options.worlds, "episodes_in_each": options.episodes}
    write("driving", QUESTION, rows, keep=options.worlds == WORLDS["test"], chosen=chosen, **episodes)


async def everywhere(rivals: Rivals, options: argparse.Namespace) -> "Outcomes":
    """The outcomes of all drivers in all worlds."""
    outcomes: dict[str, list[list[Outcome]]] = {}
    log = read(options.data, "test")
    with tempfile.TemporaryDirectory() as name:
        plan = innerloop("Innerloop", Path(name) / "state", models_dir=options.models_dir.resolve())
        with serving(replace(plan, ready_fields={}), Path(name)) as server:
            async with connect(server.url) as client:
                for place in range(options.worlds):
                    everyone = await served(client, log, place, options.episodes)
                    everyone |= in_a_world(rivals, log, place, options.episodes)
                    for who, episodes in everyone.items():
                        outcomes.setdefault(who, []).append(episodes)
                    print(
                        place, {who: f"{returns(each[-1:]).item():.1f}" for who, each in outcomes.items()}, flush=True
                    )
    return outcomes


async def served(client: AsyncClient, log: DrivingLog, place: int, episodes: int) -> dict[str, list[Outcome]]:
    """The bundle in a world's traffic, before and after adapting, by name."""
    seeds, world = seeds_of(place, episodes), worlds("test", WORLDS["test"])[place]
    drives, model = [Drive(world) for _ in seeds], await client.model(MODEL)
    results = {}
    for name, shots in {"initialization": 0, **{f"adapted to {shots}": shots for shots in SHOTS}}.items():
        learner = RemoteLearner(client, model, tasks=1, seed=None, with_rewards=False)
        if shots:
            demonstrations = [
                Trajectory(list(log.observations[rows].numpy()), log.actions[rows].tolist(), [0.0] * len(rows))
                for rows in rows_of(log, place)[:shots]
            ]
            await asyncio.to_thread(learner.learn, as_episodes(demonstrations, len(ACTIONS)))
        trajectories = await asyncio.to_thread(rollout, learner.act, drives, seeds)
        results[name] = [Outcome(each.total_reward, each.crashed) for each in trajectories]
    return results


def in_a_world(rivals: Rivals, log: DrivingLog, place: int, episodes: int) -> dict[str, list[Outcome]]:
    """The rivals in the same traffic, by name."""
    world = worlds("test", WORLDS["test"])[place]
    drivers = {name: driver_of(rivals.bundle, policy) for name, policy in rivals.policies(log, place).items()}
    drivers |= {"at home": make_driver(style_at_home(world)), "alike everywhere": make_driver(ORDINARY)}
    drive, seeds = Drive(world), seeds_of(place, episodes)
    return {name: [outcome(drive, driver, seed) for seed in seeds] for name, driver in drivers.items()}


def seeds_of(place: int, episodes: int) -> list[int]:
    """Seeds of the traffic in a world, other than those of the log."""
    return [seed_of("test", place, 100 + episode) for episode in range(episodes)]


def outcome(drive: Drive, driver: Driver, seed: int) -> Outcome:
    """Drive an episode."""
    episode = drive_episode(drive, driver, seed)
    return Outcome(float(episode.rewards.sum()), episode.crashed)


def driver_of(bundle: Bundle, policy: Params) -> Driver:
    """A driver who takes the most probable action."""
    network = network_of(bundle)

    @torch.no_grad()
    def act(observation: NDArray[Any]) -> int:
        return int(functional_call(network, policy, (torch.from_numpy(observation)[None],)).argmax())

    return act


def prepare(bundle: Bundle, folder: Path) -> Rivals:
    """Train the pooled network, and choose the rates and steps of the others."""
    log, validation = read(folder, "training"), read(folder, "validation")
    pooled = fresh(bundle)
    for rate, steps in POOLED:
        pooled = fit(bundle, pooled, (log.observations, log.actions), rate, steps, batch=512)
    fine, scratch = (
        choose(bundle, start, validation, *grid) for start, grid in ((pooled, FINE), (fresh(bundle), SCRATCH))
    )
    return Rivals(bundle, pooled, fine, scratch)


def choose(
    bundle: Bundle, start: Params, log: DrivingLog, rates: Sequence[float], steps: Sequence[int]
) -> tuple[float, int]:
    """The rate and steps with the largest return in the validation worlds after learning from three episodes."""
    places = [(place, Drive(world)) for place, world in enumerate(worlds("validation", WORLDS["validation"]))]

    def score(rate: float, count: int) -> float:
        total = 0.0
        for place, drive in places:
            driver = driver_of(bundle, fit(bundle, start, decisions(log, place, 3), rate, count))
            total += sum(
                outcome(drive, driver, seed_of("validation", place, 100 + episode)).total_reward for episode in (0, 1)
            )
        return total

    return max(((rate, count) for rate in rates for count in steps), key=lambda each: score(*each))


def fit(
    bundle: Bundle, start: Params, demonstrated: Decisions, rate: float, steps: int, batch: int | None = None
) -> Params:
    """Parameters after learning to imitate by Adam. batch: decisions in a step, drawn at random; None takes all."""
    params = {name: value.clone().requires_grad_() for name, value in start.items()}
    optimizer, network = torch.optim.Adam(params.values(), lr=rate), network_of(bundle)
    generator, (observations, actions) = torch.Generator().manual_seed(0), demonstrated
    for _ in range(steps):
        part = slice(None) if batch is None else torch.randint(len(observations), (batch,), generator=generator)
        optimizer.zero_grad()
        functional.cross_entropy(functional_call(network, params, (observations[part],)), actions[part]).backward()
        optimizer.step()
    return {name: value.detach() for name, value in params.items()}


def decisions(log: DrivingLog, world: int, count: int) -> Decisions:
    """The decisions of the first `count` episodes of a world."""
    place = torch.cat(rows_of(log, world)[:count])
    return log.observations[place], log.actions[place]


def network_of(bundle: Bundle) -> torch.nn.Module:
    """The bundle's network, without its parameters."""
    return build(bundle.manifest.network.name, bundle.manifest.network.options)


def fresh(bundle: Bundle) -> Params:
    """Parameters of the bundle's network before any training."""
    return initialize(bundle.manifest.network.name, bundle.manifest.network.options, seed=0)


Outcomes = Mapping[str, Sequence[Sequence[Outcome]]]


def returns(episodes: Sequence[Sequence[Outcome]]) -> Tensor:
    """The mean return in each world."""
    return torch.tensor([sum(each.total_reward for each in world) / len(world) for world in episodes])


def crashes(episodes: Sequence[Sequence[Outcome]]) -> Tensor:
    """The share of episodes that end in a crash, in each world."""
    return torch.tensor([sum(each.crashed for each in world) / len(world) for world in episodes])


def row(outcomes: Outcomes, name: str) -> dict[str, Any]:
    """The figures of one driver."""
    beyond = torch.arange(len(outcomes[name])) % 2 == 1  # worlds of the test take turns
    by_kind = {"combinations": ~beyond, "beyond": beyond}
    by_world = returns(outcomes[name])
    return {
        "who": name,
        **figures("return", by_world),
        **figures("crashes", crashes(outcomes[name])),
        **{f"return_{kind}": round(by_world[mask].mean().item(), 2) for kind, mask in by_kind.items() if mask.any()},
    }


def difference(outcomes: Outcomes, one: str, two: str) -> dict[str, Any]:
    """The figures of one driver less those of another, in the same worlds and the same traffic."""
    reward, crashed = (measure(outcomes[one]) - measure(outcomes[two]) for measure in (returns, crashes))
    return {"who": f"{one}, less {two}", **figures("return", reward), **figures("crashes", crashed)}


def figures(name: str, values: Tensor) -> dict[str, float]:
    """A mean over the worlds with the half width of its 95 % interval."""
    mean, half = interval(values)
    return {name: round(mean, 3), f"{name}_half_width_95": round(half, 3)}


if __name__ == "__main__":
    main()
