"""How well does one drive in a world that one has not been in, before and after adapting to who is at home there?

In each of the 40 test worlds of highway-env the bundle is shown 3 and 10 episodes of a driver who knows the world, and
drives with the same traffic as every rival: the initialization; a network of the same form trained on all training
episodes together, without meta-learning, and that network fine-tuned on the same episodes; one trained from scratch on
them; the driver who knows the world, and one who drives everywhere alike. The rivals' rates and steps are those of a
grid that bring most in the validation worlds. The bundle is asked through HTTP, at its defaults: the episodes go to
`/adapt`, each decision is an answer of `/predict`. Everybody takes the most probable action.
"""

import argparse
import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional

from app.bundles import Bundle, load
from app.cli.closed_loop import ask
from app.families.driving import DrivingLog, read, rows_of
from app.families.highway.demo import acted
from app.families.highway.episodes import WORLDS, Driver, drive_episode, make_driver, seed_of
from app.families.highway.planner import ORDINARY, style_at_home
from app.families.highway.road import Drive
from app.families.highway.world import worlds
from app.learn.metrics import interval
from app.learn.networks import build, initialize
from app.learn.update_rules import Params
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
"""What was seen, and what was done then."""


class Drove(NamedTuple):
    """What came of an episode. gained: its return."""

    gained: float
    crashed: bool


@dataclass(frozen=True)
class Rivals:
    """What the bundle is compared with, but for what they learn in a world.

    fine, scratch: (rate, steps) of Adam
    """

    bundle: Bundle
    pooled: Params
    fine: tuple[float, int]
    scratch: tuple[float, int]

    def policies(self, log: DrivingLog, world: int) -> dict[str, Params]:
        """Those that are networks, taught by the first episodes of a world."""
        found = {"pooled": self.pooled}
        for shots in SHOTS:
            shown = decisions(log, world, shots)
            found[f"fine-tuned on {shots}"] = fitted(self.bundle, self.pooled, shown, *self.fine)
            found[f"from scratch on {shots}"] = fitted(self.bundle, fresh(self.bundle), shown, *self.scratch)
        return found


def main() -> None:
    """Drive and write."""
    parser = argparse.ArgumentParser(description=QUESTION)
    parser.add_argument("--models-dir", type=Path, default=Path("models"))
    parser.add_argument("--data", type=Path, required=True, help="the folder of the log: innerloop collect driving")
    parser.add_argument("--worlds", type=int, default=WORLDS["test"])
    parser.add_argument("--episodes", type=int, default=4, help="in each world")
    said = parser.parse_args()
    torch.set_num_threads(1)
    rivals = prepared(load(said.models_dir / MODEL), said.data)
    found = asyncio.run(everywhere(rivals, said))
    rows = [*map(partial(row, found), found), *(difference(found, *pair) for pair in PAIRS)]
    chosen = {"fine": rivals.fine, "scratch": rivals.scratch}
    episodes = {"worlds": said.worlds, "episodes_in_each": said.episodes}
    write("driving", QUESTION, rows, keep=said.worlds == WORLDS["test"], chosen=chosen, **episodes)


async def everywhere(rivals: Rivals, said: argparse.Namespace) -> "Found":
    """What each makes of each world."""
    found: dict[str, list[list[Drove]]] = {}
    log = read(said.data, "test")
    with tempfile.TemporaryDirectory() as name:
        plan = innerloop("Innerloop", Path(name) / "state", models_dir=said.models_dir.resolve())
        with serving(replace(plan, waits_for={}), Path(name)) as server:
            async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
                for place in range(said.worlds):
                    everyone = await served(client, log, place, said.episodes)
                    everyone |= in_a_world(rivals, log, place, said.episodes)
                    for who, episodes in everyone.items():
                        found.setdefault(who, []).append(episodes)
                    print(place, {who: f"{returns(each[-1:]).item():.1f}" for who, each in found.items()}, flush=True)
    return found


async def served(client: httpx.AsyncClient, log: DrivingLog, place: int, episodes: int) -> dict[str, list[Drove]]:
    """What the bundle makes of the traffic, before and after adapting."""
    seeds, world = seeds_of(place, episodes), worlds("test", WORLDS["test"])[place]
    drives, models = [Drive(world) for _ in seeds], {"initialization": {"model": MODEL}}
    for shots in SHOTS:
        shown = [
            {"observations": log.observations[rows].tolist(), "actions": log.actions[rows].tolist()}
            for rows in rows_of(log, place)[:shots]
        ]
        made = await ask(client, "POST", "/adapt", {"model": MODEL, "support": {"episodes": shown}})
        models[f"adapted to {shots}"] = {"adaptation_id": made["adaptation_id"]}
    return {
        who: [Drove(each.gained, each.crashed) for each in await acted(partial(ask, client), model, drives, seeds)]
        for who, model in models.items()
    }


def in_a_world(rivals: Rivals, log: DrivingLog, place: int, episodes: int) -> dict[str, list[Drove]]:
    """What the rivals make of the same traffic."""
    world = worlds("test", WORLDS["test"])[place]
    drivers = {name: driver_of(rivals.bundle, policy) for name, policy in rivals.policies(log, place).items()}
    drivers |= {"at home": make_driver(style_at_home(world)), "alike everywhere": make_driver(ORDINARY)}
    drive, seeds = Drive(world), seeds_of(place, episodes)
    return {name: [drove(drive, driver, seed) for seed in seeds] for name, driver in drivers.items()}


def seeds_of(place: int, episodes: int) -> list[int]:
    """Of the traffic in a world, other than that of the log."""
    return [seed_of("test", place, 100 + episode) for episode in range(episodes)]


def drove(drive: Drive, driver: Driver, seed: int) -> Drove:
    """What came of it."""
    episode = drive_episode(drive, driver, seed)
    return Drove(float(episode.rewards.sum()), episode.crashed)


def driver_of(bundle: Bundle, policy: Params) -> Driver:
    """Who takes the most probable action."""
    form = form_of(bundle)

    @torch.no_grad()
    def act(seen: NDArray[Any]) -> int:
        return int(functional_call(form, policy, (torch.from_numpy(seen)[None],)).argmax())

    return act


def prepared(bundle: Bundle, folder: Path) -> Rivals:
    """Train the pooled network, and choose what the others learn by."""
    log, known = read(folder, "training"), read(folder, "validation")
    pooled = fresh(bundle)
    for rate, steps in POOLED:
        pooled = fitted(bundle, pooled, (log.observations, log.actions), rate, steps, batch=512)
    fine, scratch = (chosen(bundle, start, known, *grid) for start, grid in ((pooled, FINE), (fresh(bundle), SCRATCH)))
    return Rivals(bundle, pooled, fine, scratch)


def chosen(
    bundle: Bundle, start: Params, log: DrivingLog, rates: Sequence[float], steps: Sequence[int]
) -> tuple[float, int]:
    """The rate and steps that bring most in the validation worlds, learning from three episodes."""
    places = [(place, Drive(world)) for place, world in enumerate(worlds("validation", WORLDS["validation"]))]

    def gained(rate: float, count: int) -> float:
        total = 0.0
        for place, drive in places:
            driver = driver_of(bundle, fitted(bundle, start, decisions(log, place, 3), rate, count))
            total += sum(drove(drive, driver, seed_of("validation", place, 100 + episode)).gained for episode in (0, 1))
        return total

    return max(((rate, count) for rate in rates for count in steps), key=lambda each: gained(*each))


def fitted(
    bundle: Bundle, start: Params, shown: Decisions, rate: float, steps: int, batch: int | None = None
) -> Params:
    """Taught by Adam to imitate. batch: decisions in a step, drawn at random; all where it is None."""
    params = {name: value.clone().requires_grad_() for name, value in start.items()}
    optimizer, form = torch.optim.Adam(params.values(), lr=rate), form_of(bundle)
    generator, (seen, done) = torch.Generator().manual_seed(0), shown
    for _ in range(steps):
        some = slice(None) if batch is None else torch.randint(len(seen), (batch,), generator=generator)
        optimizer.zero_grad()
        functional.cross_entropy(functional_call(form, params, (seen[some],)), done[some]).backward()
        optimizer.step()
    return {name: value.detach() for name, value in params.items()}


def decisions(log: DrivingLog, world: int, count: int) -> Decisions:
    """Those of the first `count` episodes of a world."""
    place = torch.cat(rows_of(log, world)[:count])
    return log.observations[place], log.actions[place]


def form_of(bundle: Bundle) -> torch.nn.Module:
    """The bundle's network, without its parameters."""
    return build(bundle.manifest.network.name, bundle.manifest.network.options)


def fresh(bundle: Bundle) -> Params:
    """Parameters of the bundle's network before any training."""
    return initialize(bundle.manifest.network.name, bundle.manifest.network.options, seed=0)


Found = Mapping[str, Sequence[Sequence[Drove]]]


def returns(episodes: Sequence[Sequence[Drove]]) -> Tensor:
    """The mean return in each world."""
    return torch.tensor([sum(each.gained for each in some) / len(some) for some in episodes])


def crashes(episodes: Sequence[Sequence[Drove]]) -> Tensor:
    """The share of episodes that end in a crash, in each world."""
    return torch.tensor([sum(each.crashed for each in some) / len(some) for some in episodes])


def row(found: Found, name: str) -> dict[str, Any]:
    """The figures of one."""
    beyond = torch.arange(len(found[name])) % 2 == 1  # worlds of the test take turns
    by_kind = {"combinations": ~beyond, "beyond": beyond}
    gained = returns(found[name])
    return {
        "who": name,
        **figures("return", gained),
        **figures("crashes", crashes(found[name])),
        **{f"return_{kind}": round(gained[mine].mean().item(), 2) for kind, mine in by_kind.items() if mine.any()},
    }


def difference(found: Found, one: str, two: str) -> dict[str, Any]:
    """One less two, in the same worlds and the same traffic."""
    gained, crashed = (of(found[one]) - of(found[two]) for of in (returns, crashes))
    return {"who": f"{one}, less {two}", **figures("return", gained), **figures("crashes", crashed)}


def figures(name: str, values: Tensor) -> dict[str, float]:
    """A mean over the worlds with the half width of its 95 % interval."""
    mean, half = interval(values)
    return {name: round(mean, 3), f"{name}_half_width_95": round(half, 3)}


if __name__ == "__main__":
    main()
