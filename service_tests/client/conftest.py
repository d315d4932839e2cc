"""Clients of live servers."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from innerloop_client import Client
from service_tests.client.answering import Answering
from service_tests.client.flaky import Flaky
from service_tests.processes import serving_in_a_thread


@pytest.fixture
def url(serve_live: Callable[..., str]) -> str:
    """The URL of a server with the shipped bundles."""
    return serve_live()


@pytest.fixture
def innerloop(url: str) -> Iterator[Client]:
    """A client of a server with the shipped bundles."""
    with Client(url) as client:
        yield client


@pytest.fixture
def flaky(models_dir: Path, reused_models: None) -> Flaky:
    """A server with the shipped bundles whose answers get lost on request."""
    from app.main import create_app  # after the shape checks are installed
    from app.settings import Settings

    return Flaky(create_app(Settings(models_dir=models_dir, compile=False, watch=False, store="memory")))


@pytest.fixture
def flaky_url(flaky: Flaky) -> Iterator[str]:
    """The URL of `flaky`."""
    with serving_in_a_thread(flaky) as url:
        yield url


@pytest.fixture
def flaky_client(flaky_url: str) -> Iterator[Client]:
    """A client of `flaky`."""
    with Client(flaky_url) as client:
        yield client


@pytest.fixture
def server_of() -> Iterator[Callable[[Sequence[bytes]], Answering]]:
    """A function that starts a server which gives these answers, one a request, and none after the last."""
    with ExitStack() as stack:
        yield lambda answers: stack.enter_context(Answering(lambda number: answers[number - 1 : number]))
