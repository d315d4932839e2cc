"""Shapes are checked at run time in every test: jaxtyping's annotations, by beartype.

torch.compile cannot see through these checks, so the tests that compile are a run of their own without them:
`pytest` leaves out the tests marked `compiled`, `pytest -m compiled` runs only them, and `make test` does both.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from fastapi.testclient import TestClient
from hypothesis import settings as hypothesis_settings
from jaxtyping import install_import_hook

from service_tests.processes import ROOT, command, running


def pytest_configure(config: pytest.Config) -> None:
    if config.option.markexpr != "compiled":
        install_import_hook(["app.learn", "app.families"], "beartype.beartype")
    hypothesis_settings.register_profile("innerloop", deadline=None, max_examples=25, derandomize=True)
    hypothesis_settings.load_profile("innerloop")
    torch.set_num_threads(1)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.option.markexpr != "compiled":
        compiled = [item for item in items if item.get_closest_marker("compiled")]
        config.hook.pytest_deselected(items=compiled)
        items[:] = [item for item in items if item not in compiled]


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """The bundles that ship."""
    return ROOT / "models"


@pytest.fixture
def serve(models_dir: Path, clock: Clock) -> Iterator[Callable[..., TestClient]]:
    """Start a server in this process with some settings; eager unless they say otherwise."""
    from app.main import create_app  # after the shape checks are installed
    from app.settings import Settings

    clients = []

    def start(*, raise_server_exceptions: bool = True, **settings: object) -> TestClient:
        chosen = Settings.model_validate(
            {"models_dir": models_dir, "compile": False, "watch": False, "store": "memory"} | settings
        )
        client = TestClient(create_app(chosen, clock), raise_server_exceptions=raise_server_exceptions)
        client.__enter__()
        clients.append(client)
        return client

    yield start
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture(scope="session")
def live_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of `innerloop serve` in a process of its own, eager."""
    state = tmp_path_factory.mktemp("state")
    with running([command("innerloop"), "serve"], state / "log", compile=False, state_dir=state) as url:
        yield url


@pytest.fixture
def client(serve: Callable[..., TestClient]) -> TestClient:
    """A server of the bundles that ship."""
    return serve()
