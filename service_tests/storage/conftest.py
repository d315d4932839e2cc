"""A redis server of the tests' own."""

from collections.abc import Iterator

import pytest

from service_tests.processes import free_port
from service_tests.storage.servers import redis_server


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A redis server that keeps nothing on the disk."""
    port = free_port()
    with redis_server(tmp_path_factory.mktemp("redis"), port):
        yield f"redis://127.0.0.1:{port}"
