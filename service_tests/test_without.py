"""The launcher of the ablation benchmark: it finds what it replaces, and refuses what is not there."""

import subprocess
import sys
from collections.abc import Callable
from types import ModuleType

import pytest
from fastapi.testclient import TestClient

from service_tests.api.requests import adapt
from service_tests.benchmarks import without
from service_tests.benchmarks.without import NOTHING, TRICKS, Replacement, StaleTrickError, Trick, switch_off
from service_tests.processes import ROOT

INDUCTOR = {"small-matrix-kernel", "recording"}
"""What they replace imports Inductor, which takes seconds."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.compiled] if name in INDUCTOR else []) for name in TRICKS]
)
def test_a_trick_replaces_names_that_the_server_has(name: str) -> None:
    replacements = TRICKS[name].replacements()
    assert bool(replacements) == (name != NOTHING)
    for owner, attribute, value in replacements:
        assert getattr(owner, attribute) is not value


@pytest.mark.parametrize("name", ["fast-path", "one-write", "quick-on-the-loop", "malloc"])
def test_the_server_works_without(name: str, serve: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiled programs have tests of their own for that (service/compiled)."""
    for owner, attribute, value in TRICKS[name].replacements():
        monkeypatch.setattr(owner, attribute, value)
    client = serve()
    adaptation = adapt(client)
    answer = client.post("/predict", json={"adaptation_id": adaptation["adaptation_id"], "queries": [[0.5]]})
    assert answer.status_code == 200
    refused = client.post("/adapt", json={"model": "nothing", "support": {}})
    assert (refused.status_code, refused.headers["content-type"]) == (404, "application/problem+json")


def test_switching_off_replaces_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("module")
    module.thing = "on"  # type: ignore[attr-defined]
    monkeypatch.setattr(without, "TRICKS", {"one": Trick(lambda: [Replacement(module, "thing", "off")])})
    switch_off("one")
    assert module.thing == "off"


def test_a_name_that_no_longer_exists_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("module")
    monkeypatch.setattr(without, "TRICKS", {"one": Trick(lambda: [Replacement(module, "thing", "off")])})
    with pytest.raises(AttributeError, match="thing"):
        switch_off("one")
    assert not hasattr(module, "thing")


def test_a_stage_that_is_no_longer_run_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from app.service.compiled import compile_models as compiler

    monkeypatch.setattr(compiler, "STAGES", (compiler.compile_steps,))
    with pytest.raises(StaleTrickError, match="compile_look_up is not among the stages"):
        TRICKS["look-ups"].replacements()


def test_a_call_that_is_no_longer_made_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(without, "getsource", lambda _: "")
    with pytest.raises(StaleTrickError, match=r"app.service.work_queue does not ask what is quick"):
        TRICKS["quick-on-the-loop"].replacements()


def test_an_unknown_trick_is_refused() -> None:
    command = [sys.executable, "-m", "service_tests.benchmarks.without", "magic", "serve"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert result.stderr.startswith("there is no trick 'magic': choose one of small-matrix-kernel,")
