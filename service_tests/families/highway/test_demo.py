"""Driving over HTTP: the closed loop in highway-env, and its film."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch.func import functional_call
from typer.testing import CliRunner

from app.bundles import load, write
from app.cli.main import cli
from app.learn.networks import NetworkSpec

pytest.importorskip("highway_env", reason="the simulator is an extra: pip install 'innerloop-server[driving]'")
from app.cli.closed_loop import ask
from app.cli.connecting import connect
from app.families.driving import Driving
from app.families.highway.demo import acted
from app.families.highway.episodes import WORLDS, drive_episode
from app.families.highway.road import Drive
from app.families.highway.world import worlds
from app.learn.networks import build
from service_tests.bundles import write_bundle

FORM = NetworkSpec("mlp", {"inputs": Driving().features, "outputs": 5, "hidden": [8], "activation": "tanh"})


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One untrained bundle that only slows down: its episodes are short of traffic, and end well."""
    folder = tmp_path / "models"
    write_bundle(folder / "driving", "driving", "maml", FORM, steps=1, rate=0.1)
    bundle = load(folder / "driving")
    bundle.meta[list(bundle.meta)[-2]].copy_(torch.tensor([0.0, 0, 0, 0, 9]))
    write(folder / "driving", bundle.manifest, bundle.meta)
    monkeypatch.setenv("INNERLOOP_MODELS_DIR", str(folder))
    return folder


def test_a_server_drives_as_its_network_does_here(models: Path) -> None:
    bundle, world = load(models / "driving"), worlds("test", WORLDS["test"])[0]
    form = build(FORM.name, FORM.options)

    async def over_http() -> Any:
        async with connect(None) as client:

            async def asked(*what: Any) -> Any:
                return await ask(client, *what)

            return await acted(asked, {"model": "driving"}, [Drive(world), Drive(world)], [3, 4])

    def here(seen: Any) -> int:
        with torch.no_grad():
            return int(functional_call(form, bundle.meta, (torch.from_numpy(seen)[None],)).argmax())

    for episode, seed in zip(asyncio.run(over_http()), (3, 4), strict=True):
        ours = drive_episode(Drive(world), here, seed)
        assert episode.actions == ours.actions.tolist()
        assert episode.gained == pytest.approx(ours.rewards.sum(), abs=1e-4)
        assert episode.crashed == ours.crashed


def test_drive_puts_the_film_into_the_card(models: Path, tmp_path: Path) -> None:
    words = ["drive", "--world", "1", "--shots", "1", "--episodes", "1"]
    plain = CliRunner().invoke(cli, [*words, "--film", str(tmp_path / "mine")])
    assert plain.exit_code == 0, plain.output
    assert "before adapting: return" in plain.output
    with Image.open(tmp_path / "mine.gif") as moving:
        moving.seek(1)
    assert not (models / "driving/film.png").exists()
    said = CliRunner().invoke(cli, [*words, "--write", "--models-dir", str(models)])
    assert said.exit_code == 0, said.output
    card = (models / "driving/CARD.md").read_text()
    assert "](film.png)" in card
    assert "](film.gif)" in card
    assert "- after adapting: return" in card
    with Image.open(models / "driving/film.png") as strip:
        assert strip.width > 100
