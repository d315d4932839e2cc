"""The events of a stream: https://html.spec.whatwg.org/multipage/server-sent-events.html."""

from collections.abc import AsyncIterator

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


async def read_events(parts: AsyncIterator[bytes]) -> AsyncIterator[tuple[str, bytes]]:
    """The name and the data of each event. One that breaks off before the empty line after it does not count.

    parts: of the body, as they come
    """
    name, data = "", list[bytes]()
    async for line in _lines(parts):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            name = value.decode(errors="replace")
        elif field == b"data":
            data.append(value)
        elif not line:
            if data:
                yield name, b"\n".join(data)
            name, data = "", []


async def _lines(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Lines without their ends, which are CR, LF or both."""
    rest, is_first = b"", True
    async for part in parts:
        lines = (rest + part).splitlines(keepends=True)
        # a line feed may follow a carriage return
        rest = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        for line in lines:
            yield line.rstrip(b"\r\n").removeprefix(BYTE_ORDER_MARK if is_first else b"")
            is_first = False
    if rest.endswith(b"\r"):
        yield rest[:-1]
