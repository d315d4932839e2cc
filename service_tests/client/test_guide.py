"""The examples of the guide and of the client's README run."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from innerloop_client import Adaptation, InnerloopError
from service_tests.processes import ROOT

PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)


def run(page: Path) -> dict[str, Any]:
    """What the code of a page defines, all blocks in their order."""
    names: dict[str, Any] = {}
    for block in PYTHON.findall(page.read_text()):
        exec(block, names)
    return names


def test_the_guide(url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("gymnasium", reason="an extra: pip install 'innerloop-server[driving]'")
    monkeypatch.setenv("INNERLOOP_URL", url)
    names = run(ROOT / "app/docs/clients.md")
    assert isinstance(names["small"], Adaptation)
    assert isinstance(names["bad"], InnerloopError)
    assert "support.targets: expected at least 1 element, got 0" in capsys.readouterr().out
    assert (names["lower"] < names["upper"]).all()
    assert names["result"].after > names["result"].before / 2
    names["innerloop"].close()


def test_the_page_of_proposals(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INNERLOOP_URL", url)
    names = run(ROOT / "app/docs/proposals.md")
    assert names["candidates"][names["best"].index] == pytest.approx(-4.7, abs=0.25)
    names["innerloop"].close()


def test_the_readme(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text = (ROOT / "app/client/README.md").read_text()
    page = tmp_path / "README.md"
    page.write_text(text.replace("http://127.0.0.1:8000", url))
    run(page)
    assert capsys.readouterr().out.count(",") == 2, "a list of three predictions"


def test_the_page_about_your_own_environments(
    serve_live: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("gymnasium", reason="an extra: pip install 'innerloop-server[driving]'")
    from app.bundles.schema import Schema  # after the shape checks are installed
    from app.learn.decision_weights import Weighing
    from app.learn.networks import NetworkSpec
    from app.learn.policies import Actions
    from service_tests.bundles import write_policy

    corridors, loop = PYTHON.findall((ROOT / "app/docs/your-own-environments.md").read_text())
    (tmp_path / "corridors.py").write_text(corridors)
    network = NetworkSpec("mlp", {"inputs": 1, "outputs": 2, "hidden": [8], "activation": "tanh"})
    schema = Schema(1, 2, actions=Actions(), weighing=Weighing(discount=0.99))
    write_policy(tmp_path / "models/corridors", "maml", network, schema, 0.5, seed=0)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "corridors", raising=False)
    names: dict[str, Any] = {}
    exec(loop.replace("http://127.0.0.1:8000", serve_live(models_dir=tmp_path / "models")), names)
    assert re.findall(r"stage (\d): return \d\.\d\d\n", capsys.readouterr().out) == ["0", "1", "2"]
    names["innerloop"].close()
