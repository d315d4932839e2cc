"""How long do requests of texts take on one core, beside FastAPI with scikit-learn's logistic regression?

Both servers embed with the same sentence model. Requests come one after another. `fresh` sentences were never sent
before; `known` ones were, and Innerloop has their embeddings in its cache. Sentences are of CLINC150.

    pip install 'innerloop-server[bench,text]'
    python -m service_tests.benchmarks.text_http --data FOLDER
"""

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from app.training.texts.intents import read_sentences
from service_tests.benchmarks import report
from service_tests.benchmarks.servers import Server, cores, innerloop, rival, serving
from service_tests.processes import ROOT

WAYS, SHOTS = 5, 5
BATCH = 64
QUESTION = "Requests of texts, one after another: milliseconds of each, the median"
Request = tuple[str, Mapping[str, Any]]


def main(
    data: Annotated[Path, typer.Option(help="Folder of clinc150.csv.gz.")],
    requests: Annotated[int, typer.Option(help="Requests of each sort.")] = 40,
    keep: Annotated[bool, typer.Option(help="Write the results.")] = True,
) -> None:
    """Measure, and write the results."""
    sentences = read_sentences(data)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours = innerloop("Innerloop", folder / "state", models_dir=ROOT / "models", store="memory", compile=False)
        others = rival("FastAPI with logistic regression", "text_service", package="sklearn")
        plans = [replace(ours, ready_fields={}), *others]  # classifiers are never compiled
        rows = []
        for plan in plans:
            with serving(plan, folder) as server, server.awake():
                rows += measure(server, sentences, requests)
    report.write("text_http", QUESTION, rows, keep=keep, hardware=str(cores()))


def measure(server: Server, sentences: Sequence[tuple[str, str]], requests: int) -> list[dict[str, Any]]:
    """A row for each sort of request."""
    fresh = iter(dict.fromkeys(text for text, _ in sentences))
    labels = [f"label {letter}" for letter in "abcde"]
    with closing(HTTPConnection(urlsplit(server.url).netloc, timeout=60)) as connection:

        def adapt() -> Request:
            targets = [label for label in labels for _ in range(SHOTS)]
            support = {"inputs": take(fresh, WAYS * SHOTS), "targets": targets}
            return "/adapt", {"model": "intents", "support": support}

        path, body = adapt()
        adaptation = json.loads(post(connection, path, json.dumps(body)))["adaptation_id"]

        def predict(queries: Sequence[str]) -> Request:
            return "/predict", {"adaptation_id": adaptation, "queries": list(queries)}

        known = take(fresh, 1)
        sorts: dict[str, Callable[[], Request]] = {
            f"adapt to {WAYS * SHOTS} fresh sentences": adapt,
            "predict 1 fresh sentence": lambda: predict(take(fresh, 1)),
            f"predict {BATCH} fresh sentences": lambda: predict(take(fresh, BATCH)),
            "predict 1 known sentence": lambda: predict(known),
        }
        return [row(server.name, sort, timed(connection, make, requests)) for sort, make in sorts.items()]


def take(sentences: Iterator[str], count: int) -> list[str]:
    """The next sentences."""
    return [next(sentences) for _ in range(count)]


def timed(connection: HTTPConnection, make: Callable[[], Request], count: int) -> list[float]:
    """Seconds of each request, after one that warms up, with as little of the client's own work as can be."""
    seconds = []
    for _ in range(count + 1):
        path, body = make()
        text = json.dumps(body)
        started = time.perf_counter()
        post(connection, path, text)
        seconds.append(time.perf_counter() - started)
    return seconds[1:]


def post(connection: HTTPConnection, path: str, body: str) -> bytes:
    """The body of the answer."""
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    answer = response.read()
    if response.status >= 400:
        raise RuntimeError(f"{path}: {response.status}: {answer.decode()}")
    return answer


def row(server: str, sort: str, seconds: Sequence[float]) -> dict[str, Any]:
    """What is published of the requests of a sort."""
    return {"server": server, "request": sort, "ms": round(1000 * median(seconds), 2), "requests": len(seconds)}


if __name__ == "__main__":
    typer.run(main)
