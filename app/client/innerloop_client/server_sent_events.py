"""The events of a stream: https://html.spec.whatwg.org/multipage/server-sent-events.html."""

from collections.abc import AsyncIterator


async def read_events(parts: AsyncIterator[bytes]) -> AsyncIterator[tuple[str, bytes]]:
    """The name and the data of each event. One that breaks off before the empty line after it does not count.

    parts: of the body, as they come
    """
    name, data = "", list[bytes]()
    async for line in _lines(parts):
        field, _, value = line.partition(b":")
        if field == b"event":
            name = value.strip().decode(errors="replace")
        elif field == b"data":
            data.append(value)
        elif not line and data:
            yield name, b"\n".join(data)
            name, data = "", []


async def _lines(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Lines without their ends. Only a line feed, also after a carriage return, ends one."""
    rest = b""
    async for part in parts:
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r")
