"""How many adaptations a second does POST /adapt make over HTTP, beside the obvious service and beside a mere echo?

Sinusoid MLP 1-40-40-1, 10 examples, 5 steps, JSON: 512 different support sets in turn, at 1 and 64 connections. Each
server runs all of its processes on one core, and the load runs on another. The obvious service copies a module and
trains the copy by SGD, request by request; Ray Serve and LitServe run that same code. The echo parses the body with
pydantic and returns it: no service of FastAPI and pydantic can be faster. The raw echo returns the bytes unread.
`comparison` describes the rounds and the figures.
"""

import tempfile
from pathlib import Path

from service_tests.benchmarks.bodies import SHOTS, STEPS, supports
from service_tests.benchmarks.comparison import ECHO, OBVIOUS, Effort, compare, effort, publish
from service_tests.benchmarks.servers import frameworks, rival, stores

QUESTION = f"POST /adapt: {SHOTS} examples, {STEPS} steps, MLP 1-40-40-1, requests a second on one core"
USUAL = Effort(connections=(1, 64))


def main() -> None:
    """Measure, and write the results."""
    chosen = effort(QUESTION, USUAL)
    bodies = supports(512)
    with tempfile.TemporaryDirectory() as folder:
        plans = [
            *stores(Path(folder)),
            *rival(OBVIOUS, "obvious"),
            *frameworks("/adapt"),
            *rival(ECHO, "echo"),
            *rival("raw ASGI echo", "raw"),
        ]
        publish("adapt_http", QUESTION, compare(plans, "/adapt", lambda _: bodies, chosen), chosen, USUAL)


if __name__ == "__main__":
    main()
