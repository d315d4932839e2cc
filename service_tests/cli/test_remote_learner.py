"""The closed loop over HTTP against the same learner in this process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import pytest
import torch

from app.bundles.folder import load
from app.cli.remote_learner import RemoteLearner
from app.families.navigation import Navigation
from app.families.worlds_protocol import Episodes
from app.learn.policies import mean_and_deviation
from app.main import create_app
from app.settings import Settings
from app.training.returns import Trial
from app.training.rollouts import local_learner
from innerloop_client import AsyncClient
from service_tests.cli.point import MAX_STEPS, write_point

WORLDS = Navigation(longest=MAX_STEPS)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """One untrained bundle, `point`."""
    return write_point(tmp_path / "models")


@asynccontextmanager
async def served(models: Path) -> AsyncIterator[tuple[AsyncClient, httpx.AsyncClient]]:
    """A client of a server in this process, and the client of httpx below it."""
    app = create_app(Settings(models_dir=models, compile=False, watch=False, store="memory"))
    http = httpx.AsyncClient(transport=httpx.ASGITransport(app))
    async with app.router.lifespan_context(app), AsyncClient("http://innerloop", http=http) as client:
        yield client, http


async def learner_of(client: AsyncClient, tasks: int, seed: int | None = 0) -> RemoteLearner:
    return RemoteLearner(client, await client.model("point"), tasks, seed=seed)


def test_it_learns_over_http_what_it_learns_here(models: Path) -> None:
    bundle, generator, place = load(models / "point"), torch.Generator().manual_seed(1), torch.tensor([[0.1, -0.2]])
    ours = local_learner(bundle, 3, generator)
    stages = Trial(3, 4, 2).run(WORLDS, lambda _: ours, torch.device("cpu"))[:2]

    async def over_http() -> list[torch.Tensor]:
        async with served(models) as (client, _):
            learner = await learner_of(client, 3)
            for each in stages:
                await asyncio.to_thread(learner.learn, each)
            return [(await each.predict(place, details=True)).mean for each in learner.adaptations if each is not None]

    outputs = ours.inner.apply(ours.meta, ours.state, place.expand(3, 1, 2))
    mean, _ = mean_and_deviation(outputs)
    torch.testing.assert_close(torch.stack(asyncio.run(over_http())), mean, rtol=0, atol=1e-5)


def test_only_episodes_that_go_on_are_asked_for(models: Path) -> None:
    going = torch.tensor([[True, False, True], [False, False, False]])
    bodies = []

    async def record(request: httpx.Request) -> None:
        if request.content:
            bodies.append(msgspec.json.decode(request.content))

    async def act() -> torch.Tensor:
        async with served(models) as (client, http):
            http.event_hooks = {"request": [record]}
            return await asyncio.to_thread((await learner_of(client, 2)).act, torch.zeros(2, 3, 2), going)

    actions = asyncio.run(act())
    assert [body["queries"] for body in bodies] == [[[0, 0], [0, 0]]], "two decisions of the first task"
    assert (actions != 0).any(-1).tolist() == going.tolist()
    assert not torch.equal(actions[0, 0], actions[0, 2]), "the same place, but drawn"


def test_without_a_seed_the_most_probable_actions_are_taken(models: Path) -> None:
    async def act() -> torch.Tensor:
        async with served(models) as (client, _):
            learner = await learner_of(client, 1, seed=None)
            return await asyncio.to_thread(learner.act, torch.zeros(1, 2, 2), torch.ones(1, 2, dtype=torch.bool))

    actions = asyncio.run(act())
    assert torch.equal(actions[0, 0], actions[0, 1])


def test_it_acts_and_learns_stage_by_stage(models: Path) -> None:
    async def act() -> list[Episodes]:
        async with served(models) as (client, _):
            learner = await learner_of(client, 2, seed=3)
            return await asyncio.to_thread(Trial(2, 3, 2).run, WORLDS, lambda _: learner, torch.device("cpu"))

    one, two = asyncio.run(act()), asyncio.run(act())
    assert [each.mask.shape[:2] for each in one] == [(2, 3)] * 3
    for each, again in zip(one, two, strict=True):
        torch.testing.assert_close(each.actions, again.actions, rtol=0, atol=1e-5)
