import asyncio
from pathlib import Path

import pytest

from app.service.compiled.cache import cache_problem


def test_a_cache_that_cannot_be_written_is_told_until_it_can_be(
    models_dir: Path, reused_models: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.cli.serve import _services  # after the shape checks are installed
    from app.main import create_app
    from app.settings import Settings

    monkeypatch.setattr("app.service.health.CHECK_S", 0.02)
    (tmp_path / "file").touch()
    folder = tmp_path / "file/cache"
    settings = Settings(models_dir=models_dir, compile=False, watch=False, store="memory", cache_dir=folder)
    application = create_app(settings)

    async def scenario() -> None:
        health = application.state.server.health
        async with _services(application, folder, cache_problem(folder)):
            assert '("Not a directory"): make room' in health.degraded["cache"]
            await asyncio.sleep(0.1)
            assert list(health.degraded) == ["cache"]
            (tmp_path / "file").unlink()
            async with asyncio.timeout(10):
                while health.degraded:
                    await asyncio.sleep(0.01)
        assert folder.is_dir()

    asyncio.run(scenario())
