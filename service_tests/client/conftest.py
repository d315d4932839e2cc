"""Clients of live servers."""

from collections.abc import Callable, Iterator

import pytest

from innerloop_client import Client


@pytest.fixture
def url(serve_live: Callable[..., str]) -> str:
    """The URL of a server with the shipped bundles."""
    return serve_live()


@pytest.fixture
def innerloop(url: str) -> Iterator[Client]:
    """A client of a server with the shipped bundles."""
    with Client(url) as client:
        yield client
