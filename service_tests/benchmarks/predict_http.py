"""How many predictions a second does POST /predict answer over HTTP, beside the obvious service and beside a mere echo?

Each server first makes 10,000 adaptations of sinusoids, 10 examples, 5 steps, MLP 1-40-40-1; then it gets one query a
request by their ids in random turn, at 1 and 64 connections. The obvious service keeps 10,000 modules in a dict. All
else is as in `adapt_http`.
"""

import tempfile
from pathlib import Path
from uuid import uuid4

from service_tests.benchmarks.bodies import adapt_all, queries, supports
from service_tests.benchmarks.comparison import ECHO, OBVIOUS, Effort, compare, effort, publish
from service_tests.benchmarks.servers import LITSERVE, Server, frameworks, rival, stores

IDS = 10_000
RAW = "raw ASGI echo"
QUESTION = f"POST /predict: one query by one of {IDS:,} adaptations, MLP 1-40-40-1, requests a second on one core"
USUAL = Effort(connections=(1, 64))


def main() -> None:
    """Measure, and write the results."""
    chosen = effort(QUESTION, USUAL)
    bodies = supports(IDS)

    def prepare(server: Server) -> list[bytes]:
        if server.name in (ECHO, RAW):
            return queries([uuid4().hex for _ in bodies])
        return queries(adapt_all(server, bodies, "/predict" if server.name == LITSERVE else "/adapt"))

    with tempfile.TemporaryDirectory() as folder:
        plans = [
            *stores(Path(folder)),
            *rival(OBVIOUS, "obvious"),
            *frameworks("/predict"),
            *rival(ECHO, "echo"),
            *rival(RAW, "raw"),
        ]
        publish("predict_http", QUESTION, compare(plans, "/predict", prepare, chosen), chosen, USUAL)


if __name__ == "__main__":
    main()
