import re

import pytest
import torch

from app.cli.checks import versions


def test_the_installed_packages_are_those_required() -> None:
    assert versions.check().mark == "ok"
    assert f"torch {torch.__version__}" in versions.check().message


@pytest.mark.parametrize("version", ["2.10.1", "2.14.0+cu130", "3.0.0.dev20270101"])
def test_another_torch_gets_a_warning(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "__version__", version)
    finding = versions.check()
    assert finding.mark == "warning"
    assert f". torch: expected >=2.11, <2.14, got {version}: run `pip install 'torch" in finding.message


def test_a_local_build_within_the_bounds_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "__version__", "2.13.1+cu130")
    assert versions.check().mark == "ok"


def test_without_the_distribution_its_requirements_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "DISTRIBUTION", "innerloop-nowhere")
    finding = versions.check()
    assert finding.mark == "warning"
    assert re.search(r"innerloop-nowhere is not installed: run `pip install \.`", finding.message)
