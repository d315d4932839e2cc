"""The examples of the guide and of the client's README run."""

import re
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
    monkeypatch.setenv("INNERLOOP_URL", url)
    names = run(ROOT / "app/docs/clients.md")
    assert isinstance(names["small"], Adaptation)
    assert isinstance(names["bad"], InnerloopError)
    assert "support.targets: expected at least 1 element, got 0" in capsys.readouterr().out
    names["innerloop"].close()


def test_the_readme(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text = (ROOT / "app/client/README.md").read_text()
    page = tmp_path / "README.md"
    page.write_text(text.replace("http://127.0.0.1:8000", url))
    run(page)
    assert capsys.readouterr().out.count(",") == 2, "a list of three predictions"
