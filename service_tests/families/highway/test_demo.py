"""Driving over HTTP: the closed loop in highway-env, and its film."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.func import functional_call
from typer.testing import CliRunner

from app.bundles.folder import load, write
from app.cli.main import cli
from app.learn.networks import NetworkSpec

pytest.importorskip("highway_env", reason="the simulator is an extra: pip install 'innerloop-server[driving]'")
from app.cli.remote_learner import RemoteLearner
from app.cli.server_connection import connect
from app.families.driving import Driving
from app.families.highway.demo import Trajectory, as_episodes, rollout
from app.families.highway.environment import Drive
from app.families.highway.episodes import WORLDS, drive_episode
from app.families.highway.world_parameters import worlds
from app.learn.networks import build
from service_tests.bundles import write_bundle

NETWORK = NetworkSpec("mlp", {"inputs": Driving().features, "outputs": 5, "hidden": [8], "activation": "tanh"})


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One untrained bundle that only slows down: its episodes are short of traffic, and end well."""
    folder = tmp_path / "models"
    write_bundle(folder / "driving", "driving", "maml", NETWORK, steps=1, rate=0.1)
    bundle = load(folder / "driving")
    bundle.meta[list(bundle.meta)[-2]].copy_(torch.tensor([0.0, 0, 0, 0, 9]))
    write(folder / "driving", bundle.manifest, bundle.meta)
    monkeypatch.setenv("INNERLOOP_MODELS_DIR", str(folder))
    return folder


def test_a_server_drives_as_its_network_does_here(models: Path) -> None:
    bundle, world = load(models / "driving"), worlds("test", WORLDS["test"])[0]
    network = build(NETWORK.name, NETWORK.options)

    async def over_http() -> list[Trajectory]:
        async with connect(None) as client:
            learner = RemoteLearner(client, await client.model("driving"), 1, seed=None)
            return await asyncio.to_thread(rollout, learner.act, [Drive(world), Drive(world)], [3, 4])

    def act(observation: Any) -> int:
        with torch.no_grad():
            return int(functional_call(network, bundle.meta, (torch.from_numpy(observation)[None],)).argmax())

    for trajectory, seed in zip(asyncio.run(over_http()), (3, 4), strict=True):
        expected = drive_episode(Drive(world), act, seed)
        assert trajectory.actions == expected.actions.tolist()
        assert trajectory.total_reward == pytest.approx(expected.rewards.sum(), abs=1e-4)
        assert trajectory.crashed == expected.crashed


def test_trajectories_become_the_episodes_of_a_task() -> None:
    observations = [np.full(3, value, np.float32) for value in range(3)]
    short, long = Trajectory(observations[:1], [1], [0.5]), Trajectory(observations, [0, 1, 0], [1.0, 2.0, 3.0])
    episodes = as_episodes([short, long], actions=2)
    assert episodes.mask.tolist() == [[[True, False, False], [True, True, True]]]
    assert episodes.observations[0, 1, :, 0].tolist() == [0, 1, 2]
    assert episodes.actions[0, :, 0].tolist() == [[0, 1], [1, 0]]
    assert episodes.returns.tolist() == [[0.5, 6.0]]


def test_drive_puts_the_film_into_the_card(models: Path, tmp_path: Path) -> None:
    words = ["drive", "--world", "1", "--demonstrations", "1", "--episodes", "1"]
    plain = CliRunner().invoke(cli, [*words, "--film", str(tmp_path / "mine")])
    assert plain.exit_code == 0, plain.output
    assert "before adapting: return" in plain.output
    with Image.open(tmp_path / "mine.gif") as moving:
        moving.seek(1)
    assert not (models / "driving/film.png").exists()
    result = CliRunner().invoke(cli, [*words, "--write", "--models-dir", str(models)])
    assert result.exit_code == 0, result.output
    card = (models / "driving/CARD.md").read_text()
    assert "](film.png)" in card
    assert "](film.gif)" in card
    assert "- after adapting: return" in card
    with Image.open(models / "driving/film.png") as strip:
        assert strip.width > 100
