"""The closed loop over HTTP, against the same learner in this process."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import torch
from typer.testing import CliRunner, Result

from app.bundles import load, write
from app.cli.closed_loop import Remote, ask
from app.cli.main import cli
from app.errors import InnerloopError
from app.families.navigation import Navigation
from app.families.worlds import Episodes
from app.learn.networks import NetworkSpec
from app.learn.policies import mean_and_deviation
from app.main import create_app
from app.settings import Settings
from app.training.publish import publish_policy
from app.training.returns import Trial, evaluate_policy
from app.training.rollouts import local_learner
from service_tests.bundles import write_bundle

NETWORK = NetworkSpec("gaussian_mlp", {"inputs": 2, "actions": 2, "hidden": [8], "deviation": 0.05})
WORLDS = Navigation(longest=6)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """One untrained bundle, whose factors differ by stage as learned ones do."""
    folder = tmp_path / "models"
    write_bundle(folder / "point", "navigation", "metasgdpp", NETWORK, options={"longest": 6}, steps=1, rate=0.01)
    bundle = load(folder / "point")
    for name, value in bundle.meta.items():
        if name.startswith("inner/factor/"):
            value.copy_(torch.tensor([0.1, -0.1, 0.0, 0.0]))
    write(folder / "point", bundle.manifest, bundle.meta)
    return folder


@asynccontextmanager
async def served(models: Path) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Settings(models_dir=models, compile=False, watch=False, store="memory"))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://innerloop") as client,
    ):
        yield client


def test_it_learns_over_http_what_it_learns_here(models: Path) -> None:
    bundle, generator = load(models / "point"), torch.Generator().manual_seed(1)
    ours = local_learner(bundle, 3, generator)
    stages = Trial(3, 4, 2).run(WORLDS, lambda _: ours, torch.device("cpu"))[:2]

    async def theirs() -> list[object]:
        async with served(models) as client:
            learner = Remote(client, "point", bundle.manifest.schema, 3)
            for each in stages:
                await asyncio.to_thread(learner.learn, each)
            bodies = [{"adaptation_id": each, "queries": [[0.1, -0.2]]} for each in learner.adaptations]
            return [(await ask(client, "POST", "/predict", body))["mean"] for body in bodies]

    outputs = ours.inner.apply(ours.meta, ours.state, torch.tensor([[0.1, -0.2]]).expand(3, 1, 2))
    mean, _ = mean_and_deviation(outputs)
    torch.testing.assert_close(torch.tensor(asyncio.run(theirs())), mean, rtol=0, atol=1e-5)


def test_only_episodes_that_go_on_are_asked_for(models: Path) -> None:
    schema = load(models / "point").manifest.schema
    going = torch.tensor([[True, False, True], [False, False, False]])

    async def act() -> tuple[torch.Tensor, int]:
        async with served(models) as client:
            learner = Remote(client, "point", schema, 2)
            return await asyncio.to_thread(learner.act, torch.zeros(2, 3, 2), going), learner.decisions

    acted, decisions = asyncio.run(act())
    assert decisions == 2
    assert (acted != 0).any(-1).tolist() == going.tolist()
    assert not torch.equal(acted[0, 0], acted[0, 2]), "the same place, but drawn"


def test_it_acts_and_learns_stage_by_stage(models: Path) -> None:
    async def act() -> list[Episodes]:
        async with served(models) as client:
            learner = Remote(client, "point", load(models / "point").manifest.schema, 2, seed=3)
            return await asyncio.to_thread(Trial(2, 3, 2).run, WORLDS, lambda _: learner, torch.device("cpu"))

    one, two = asyncio.run(act()), asyncio.run(act())
    assert [each.mask.shape[:2] for each in one] == [(2, 3)] * 3
    for each, again in zip(one, two, strict=True):
        torch.testing.assert_close(each.actions, again.actions, rtol=0, atol=1e-5)


def test_a_refusal_is_said(models: Path) -> None:
    async def act() -> None:
        async with served(models) as client:
            await ask(client, "GET", "/models/nothing")

    with pytest.raises(InnerloopError, match="nothing"):
        asyncio.run(act())


def test_navigate_prints_the_returns(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INNERLOOP_MODELS_DIR", str(models))
    said = navigated()
    assert said.exit_code == 0, said.output
    assert "| | 0 stages | 1 stage |" in said.output
    assert "over 2 worlds" in said.output


def navigated(*words: str) -> Result:
    return CliRunner().invoke(cli, ["navigate", "point", "--goals", "2", "--episodes", "2", "--steps", "1", *words])


def test_navigate_writes_the_returns_beside_those_of_this_process(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INNERLOOP_MODELS_DIR", str(models))
    bundle = load(models / "point")
    offline = evaluate_policy(bundle, Trial(2, 2, 1)).as_json()
    publish_policy(replace(bundle, manifest=replace(bundle.manifest, evaluation=offline)), models / "point")
    card = (models / "point/CARD.md").read_text()
    for _ in range(2):  # a second time in the place of the first
        assert navigated("--write").exit_code == 0
    found, digest = load(models / "point").manifest.evaluation, bundle.manifest.digest
    assert {name: value for name, value in found.items() if name != "over_http"} == offline
    assert found["over_http"]["trial"] == offline["trial"]
    assert found["over_http"]["mean"][0] == pytest.approx(offline["mean"][0], abs=0.5), "the same worlds, other draws"
    added = (models / "point/CARD.md").read_text().replace(card.partition("## How it was made")[0], "")
    assert added.startswith("The same worlds, asked over HTTP:")
    assert load(models / "point").manifest.digest == digest


def test_navigate_writes_the_returns_of_a_bundle_that_has_none(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INNERLOOP_MODELS_DIR", str(models))
    assert navigated("--write").exit_code == 0
    assert load(models / "point").manifest.evaluation["way"] == "over HTTP"
    assert "Asked over HTTP." in (models / "point/CARD.md").read_text()


def test_navigate_refuses_a_server_with_another_bundle(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(models, tmp_path / "others")
    bundle = load(tmp_path / "others/point")
    write(tmp_path / "others/point", replace(bundle.manifest, initial_loss=2.0), bundle.meta)
    monkeypatch.setenv("INNERLOOP_MODELS_DIR", str(models))
    done = navigated("--models-dir", str(tmp_path / "others"))
    assert isinstance(done.exception, InnerloopError)
    assert "another point" in str(done.exception)
