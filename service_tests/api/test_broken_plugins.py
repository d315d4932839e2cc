"""Whatever a user's network raises, only its own bundle is refused and the others serve."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from service_tests.api.requests import adapt, reload

BROKEN = {
    "at_import": "raise RuntimeError('no licence file')",
    "syntax": "def broken(:",
    "exits": "import sys; sys.exit(3)",
    "at_construction": (
        "import torch\nclass Net(torch.nn.Module):\n    def __init__(self):\n        raise KeyError('hidden')"
    ),
    "at_forward": (
        "import torch\nclass Net(torch.nn.Linear):\n    def __init__(self):\n        super().__init__(1, 1)\n"
        "    def forward(self, x):\n        raise ZeroDivisionError('no scale')"
    ),
}
REASONS = {
    "at_import": "no licence file",
    "syntax": "invalid syntax",
    "exits": "SystemExit: 3",
    "at_construction": "KeyError: 'hidden'",
    "at_forward": "ZeroDivisionError: no scale",
}


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    for name, source in BROKEN.items():
        (tmp_path / f"user_net_{name}.py").write_text(source)
    return tmp_path


def add_broken_bundle(models: Path, name: str) -> None:
    """Copy `linear` to a bundle whose network is one of the broken modules."""
    shutil.copytree(models / "linear", models / name)
    file = models / name / "bundle.json"
    contents = json.loads(file.read_text())
    contents["network"] = {"name": f"user_net_{name}:Net", "options": {}}
    file.write_text(json.dumps(contents))


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_network_refuses_its_own_bundle(
    serve: Callable[..., TestClient], own_models: Path, modules: Path, name: str
) -> None:
    add_broken_bundle(own_models, name)
    client = serve(models_dir=own_models)
    (refused,) = client.get("/models").json()["refused"]
    assert refused["name"] == name
    assert REASONS[name] in refused["reason"]
    assert adapt(client)["status"] == "improved"


def test_a_broken_network_does_not_stop_a_reload(
    serve: Callable[..., TestClient], own_models: Path, modules: Path, retrain: Callable[..., str]
) -> None:
    client = serve(models_dir=own_models)
    add_broken_bundle(own_models, "exits")
    new_digest = retrain(1.05)
    reload(client)
    assert adapt(client)["model_digest"] == new_digest
    assert [each["name"] for each in client.get("/models").json()["refused"]] == ["exits"]
    assert "failing" not in client.get("/health/ready").json()


def test_a_network_that_exits_on_real_data_is_refused(
    serve: Callable[..., TestClient], own_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "user_net_late.py").write_text(
        "import torch\nclass Net(torch.nn.Linear):\n    def __init__(self):\n        super().__init__(1, 1)\n"
        "    def forward(self, x):\n        if x.device.type != 'meta':\n            raise SystemExit(9)\n"
        "        return super().forward(x)"
    )
    add_broken_bundle(own_models, "late")
    client = serve(models_dir=own_models)
    (refused,) = client.get("/models").json()["refused"]
    expected = "network: expected a network that runs, got 'user_net_late:Net', which fails: SystemExit: 9"
    assert refused["reason"] == expected
    assert adapt(client)["status"] == "improved"
