"""Load at a constant rate, whether or not the server keeps up, as from many independent clients.

A latency counts from when its request was due, not from when it was sent, so it includes the time that a stalled server
held the request up (leaving that out is "coordinated omission", as in wrk).
"""

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from time import perf_counter

import numpy as np
import uvloop

from service_tests.benchmarks.connections import Answer, Connection, connected
from service_tests.benchmarks.servers import cores, on

CONNECTIONS, PATIENCE_S = 512, 30


class Arrivals:
    """Requests that arrive at a constant rate, and their results.

    latencies_ms: of the successful responses, each from when its request was due
    lags_ms: how late the generator itself was with each request for which a connection was free
    failed: counts of the other requests by status; 0 is a lost connection, -1 no response in time
    """

    def __init__(self, requests: Sequence[bytes], rate: float, count: int) -> None:
        self.latencies_ms: list[float] = []
        self.lags_ms: list[float] = []
        self.failed: Counter[int] = Counter()
        self._requests = requests
        self._rate = rate
        self._count = count
        self._overdue: deque[int] = deque()

    def percentile(self, part: float) -> float:
        """A percentile of the latencies, in milliseconds; infinite if no request succeeded."""
        return float(np.percentile(self.latencies_ms, part)) if self.latencies_ms else float("inf")

    @property
    def answered(self) -> int:
        """The number of requests that have ended."""
        return len(self.latencies_ms) + self.failed.total()

    async def arrive(self, connections: Sequence[Connection]) -> None:
        """Send all requests, and wait for the responses that are still missing."""
        self._idle = list(connections)
        self._started = perf_counter()
        for index in range(self._count):
            while (late := perf_counter() - self._due(index)) < 0:
                await asyncio.sleep(0)  # the core is the generator's own, and timers come a millisecond late
            if self._idle:
                self.lags_ms.append(late * 1e3)
                self._send(self._idle.pop(), index)
            else:
                self._overdue.append(index)
        while self.answered < self._count and perf_counter() < self._due(self._count) + PATIENCE_S:
            await asyncio.sleep(0.01)
        self.failed[-1] += self._count - self.answered

    def _due(self, index: int) -> float:
        return self._started + index / self._rate

    def _send(self, connection: Connection, index: int) -> None:
        late = perf_counter() - self._due(index)

        def done(future: asyncio.Future[Answer]) -> None:
            answer = future.result()
            if answer.good:
                self.latencies_ms.append((late + answer.seconds) * 1e3)
            else:
                self.failed[answer.status] += 1
            if self._overdue:
                self._send(connection, self._overdue.popleft())
            else:
                self._idle.append(connection)

        connection.send(self._requests[index % len(self._requests)]).add_done_callback(done)


def offer(url: str, requests: Sequence[bytes], rate: float, seconds: float) -> Arrivals:
    """Send the requests in turn, `rate` a second, for so many seconds."""

    async def run() -> Arrivals:
        arrivals = Arrivals(requests, rate, max(1, round(rate * seconds)))
        async with connected(url, CONNECTIONS) as connections:
            await arrivals.arrive(connections)
        return arrivals

    with on(cores().load):
        return uvloop.run(run())
