import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.service.model import Model
from service_tests.device import DEVICE
from service_tests.processes import SHIPPED


def test_live(client: TestClient) -> None:
    assert client.get("/health/live").json() == {"status": "live"}


def test_ready(client: TestClient) -> None:
    expected = {"status": "ready", "device": DEVICE.type, "models": SHIPPED, "compiled": False}
    expected["compiling"] = False
    response = client.get("/health/ready")
    assert response.status_code == 200
    assert response.json() == expected


def test_without_a_bundle_the_server_is_not_ready(serve: Callable[..., TestClient], tmp_path: Path) -> None:
    response = serve(models_dir=tmp_path).get("/health/ready")
    assert response.status_code == 503
    assert response.json()["status"] == "no bundle is loaded"


@pytest.mark.parametrize(
    ("compiled", "compiling", "expected"),
    [
        (["linear", "sinusoid"], [], (True, False)),
        (["sinusoid"], ["linear"], (False, True)),
        ([], [], (False, False)),
    ],
)
def test_the_server_is_compiled_once_all_models_are(
    serve: Callable[..., TestClient],
    own_models: Path,
    monkeypatch: pytest.MonkeyPatch,
    compiled: list[str],
    compiling: list[str],
    expected: tuple[bool, bool],
) -> None:
    for other in own_models.iterdir():
        if other.name not in ("linear", "sinusoid"):
            shutil.rmtree(other)
    client = serve(models_dir=own_models)
    for model in client.app.state.server.catalogue.models.values():  # type: ignore[attr-defined]
        model.compiling = model.bundle.name in compiling
    monkeypatch.setattr(Model, "compiled", property(lambda model: model.bundle.name in compiled))
    answer = client.get("/health/ready").json()
    assert (answer["compiled"], answer["compiling"]) == expected
