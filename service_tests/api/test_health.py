from collections.abc import Callable
from pathlib import Path

from fastapi.testclient import TestClient

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
    assert response.json()["status"] == "no bundle serves"
