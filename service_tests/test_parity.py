"""Promise 1: the score of a bundle over HTTP equals its offline evaluation."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import torch

from app.bundles.folder import load
from app.cli.remote_learner import over_http
from app.families.choices_data import SOURCE
from app.families.registry import make
from app.learn.outer_directions import Tasks
from app.learn.significance import Interval, interval
from app.main import create_app
from app.settings import Settings
from app.training.evaluation import curve, score_tasks
from app.training.family_and_network import family_of
from app.training.predictor import offline
from app.training.tasks import SEED, Setting, draw_held_out
from service_tests.processes import DATA

SHOTS = 5


async def score(client: httpx.AsyncClient, model: str, tasks: Tasks, steps: int) -> Interval:
    """The mean squared error over all tasks, requested at the same time; a 422 counts as the initial error."""

    async def error(task: int) -> float:
        body = {
            "model": model,
            "support": {
                "inputs": tasks.support.inputs[task].tolist(),
                "targets": tasks.support.targets[task].tolist(),
            },
            "queries": tasks.query.inputs[task].tolist(),
            "steps": steps,
        }
        response = await client.post("/predict", json=body)
        if response.status_code == 422:
            response = await client.post("/predict", json={key: body[key] for key in ("model", "queries")})
        predictions = torch.tensor(response.raise_for_status().json()["predictions"])
        return (predictions - tasks.query.targets[task]).square().mean().item()

    return interval(torch.tensor(await asyncio.gather(*map(error, range(len(tasks.query.mask))))))


def scores(models_dir: Path, model: str, tasks: Tasks, steps: list[int]) -> list[Interval]:
    async def run() -> list[Interval]:
        app = create_app(Settings(models_dir=models_dir, compile=False, watch=False, store="memory"))
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://innerloop", timeout=120) as client,
        ):
            return [await score(client, model, tasks, count) for count in steps]

    return asyncio.run(run())


@pytest.mark.parametrize("name", ["sinusoid", "linear"])
def test_the_same_tasks_score_the_same(models_dir: Path, name: str) -> None:
    expected = json.loads((models_dir / name / "bundle.json").read_text())["evaluation"]["by_shots"][str(SHOTS)]
    tasks = draw_held_out(make(name, {}), Setting(SHOTS), torch.device("cpu"))
    for steps, result in zip([1, 5, 10], scores(models_dir, name, tasks, [1, 5, 10]), strict=True):
        assert result.mean == pytest.approx(expected["mean"][steps], rel=1e-3)
        assert result.half_width == pytest.approx(expected["half_width_95"][steps], rel=1e-2)


def test_peoples_decisions_score_the_same(models_dir: Path, serve_live: Callable[..., str]) -> None:
    """The bundle scores offline as its evaluation says, and over HTTP the same on a hundred of the people's decisions.

    Each task is ten decisions, posted as episodes.
    """
    if not (folder := DATA / "decisions").is_dir():
        pytest.skip(f"no {folder.name} here: {SOURCE}")
    bundle = load(models_dir / "choices")
    expected = bundle.manifest.evaluation["by_shots"]["10"]
    family = family_of(bundle, folder)
    tasks = draw_held_out(family, Setting(10), torch.device("cpu"))
    result = curve(score_tasks(offline(bundle), "decision", tasks, [0, 2]))
    means, half_widths = expected["mean"], expected["half_width_95"]
    assert result.mean == pytest.approx([means[0], means[2]], rel=1e-3)
    assert result.half_width == pytest.approx([half_widths[0], half_widths[2]], rel=1e-2)
    few = draw_held_out(family, Setting(10), torch.device("cpu"), tasks=100)
    here, there = (
        score_tasks(predictor, "decision", few, [0, 2]).scores
        for predictor in (offline(bundle), over_http(serve_live(), bundle))
    )
    torch.testing.assert_close(there, here, rtol=1e-4, atol=1e-4)


def test_fresh_tasks_score_no_worse_than_mamls_paper(models_dir: Path) -> None:
    """Finn et al. 2017, figure 2: .67 / .38 / .35 at 1 / 5 / 10 steps; and the bundle's own evaluation."""
    expected = json.loads((models_dir / "sinusoid/bundle.json").read_text())["evaluation"]["by_shots"][str(SHOTS)]
    fresh = draw_held_out(make("sinusoid", {}), Setting(SHOTS), torch.device("cpu"), seed=SEED + 1)
    published = {1: 0.67, 5: 0.38, 10: 0.35}
    for (steps, bar), result in zip(
        published.items(), scores(models_dir, "sinusoid", fresh, list(published)), strict=True
    ):
        print(f"5-shot, {steps} steps: {result.mean:.3f} ± {result.half_width:.3f}")  # noqa: T201
        assert result.mean <= bar + result.half_width
        assert abs(result.mean - expected["mean"][steps]) <= result.half_width + expected["half_width_95"][steps]
