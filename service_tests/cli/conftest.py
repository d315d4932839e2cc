"""Commands that ask a server."""

from collections.abc import Callable
from pathlib import Path

import pytest

from service_tests.bundles import write_policies, write_tables


@pytest.fixture
def asked(models_dir: Path, tmp_path: Path, serve_live: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL in INNERLOOP_URL, of a server with the shipped bundles, those of a table, and policies."""
    models = tmp_path / "models"
    write_tables(models)
    write_policies(models)
    for bundle in models_dir.iterdir():
        (models / bundle.name).symlink_to(bundle)
    url = serve_live(models_dir=models)
    monkeypatch.setenv("INNERLOOP_URL", url)
    return url
