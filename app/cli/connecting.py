"""Where the commands that ask over HTTP find a server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from app.main import create_app
from app.settings import Settings


@asynccontextmanager
async def connect(server: str | None) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the server at that URL, or of one in this process."""
    if server is not None:
        async with httpx.AsyncClient(base_url=server, timeout=60) as client:
            yield client
        return
    application = create_app(Settings(compile=False, watch=False, store="memory"))
    transport = httpx.ASGITransport(application)
    async with (
        application.router.lifespan_context(application),
        httpx.AsyncClient(transport=transport, base_url="http://innerloop") as client,
    ):
        yield client
