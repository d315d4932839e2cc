"""The limit of any Python service behind uvicorn: the body's bytes are the answer, nothing reads them.

`python -m service_tests.benchmarks.rivals.raw PORT` serves it.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from service_tests.benchmarks.rivals.server import run


async def application(
    scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
) -> None:
    """Answer every request with its body."""
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        part = await receive()
        body, more = body + part.get("body", b""), part.get("more_body", False)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    run(application)
