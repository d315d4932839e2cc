"""What does the largest work that a server takes cost: its memory, and the time of a small request beside it?

Each row sends one large request, or several at once, to a server with all bundles that ship, on one core. Meanwhile a
client on another core sends a small one every 10 ms. The memory is the peak of the server's process over its size
before. Half of the rows are refused: their status and their memory show that this happens before any work.
"""

import argparse
import base64
import io
import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
from PIL import Image

from service_tests.benchmarks.report import write
from service_tests.processes import command, starting, wait_until

QUESTION = "Large requests on one core: their memory, and the latency of a small request beside them"
SMALL = {"model": "sinusoid", "support": {"inputs": [[0.1], [1.2]], "targets": [0.3, 0.9]}, "queries": [[2.0]]}
EVERY_S = 0.01
MSGPACK = "application/msgpack"
JSON = "application/json"
NDJSON = "application/x-ndjson"


@dataclass(frozen=True)
class Corner:
    """Requests that are sent at once: method, path, media type and body of each."""

    name: str
    requests: list[tuple[str, str, str, bytes]]


def png(seed: int, side: int = 28) -> str:
    """A random drawing, in base64."""
    pixels = (np.random.default_rng(seed).random((side, side)) > 0.5).astype(np.uint8) * 255
    return encoded(Image.fromarray(pixels))


def encoded(image: Image.Image) -> str:
    """A PNG in base64."""
    file = io.BytesIO()
    image.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def raw(array: np.ndarray) -> dict[str, Any]:
    """An array as msgpack takes it."""
    return {"shape": list(array.shape), "data": array.tobytes(), "dtype": array.dtype.name}


def labels(count: int, classes: int) -> list[str]:
    """Labels of so many classes in turn."""
    return [f"id {index % classes}" for index in range(count)]


def images(count: int) -> dict[str, Any]:
    """Random images as a raw array."""
    return raw(np.random.default_rng(0).random((count, 784), np.float32))


def posted(path: str, body: object, media: str = JSON) -> tuple[str, str, str, bytes]:
    """A request with a body."""
    data = msgspec.msgpack.encode(body) if media == MSGPACK else json.dumps(body).encode()
    return "POST", path, media, data


def adapting(model: str, count: int, **fields: object) -> tuple[str, str, str, bytes]:
    """A request that adapts a model to so many images of 5 classes."""
    support = {"inputs": images(count), "targets": labels(count, 5)}
    return posted("/adapt", {"model": model, "support": support} | fields, MSGPACK)


def numbers(text: str, size: int = 2**25 - 1000) -> bytes:
    """So many bytes of JSON: an array of this text again and again."""
    return b"[" + b",".join([text.encode()] * (size // (len(text) + 1))) + b"]"


def corners() -> Iterator[Corner]:
    """The corners of what a request may ask."""
    drawings = [png(index) for index in range(2000)]
    own = {"inputs": drawings, "targets": labels(2000, 2000)}
    many = {"inputs": images(5000), "targets": labels(5000, 5)}
    yield Corner(
        "2,000 PNGs, each its own label",
        [posted("/predict", {"model": "omniglot", "support": own, "queries": drawings[:1]})],
    )
    yield Corner(
        "2,000 PNGs and 2,000 queries of 2,000 classes",
        [posted("/predict", {"model": "omniglot", "support": own, "queries": drawings})],
    )
    yield Corner(
        "5,000 images of 5 classes",
        [posted("/predict", {"model": "omniglot", "support": many, "queries": images(1)}, MSGPACK)],
    )
    yield Corner(
        "10,000 images of 5 classes",
        [adapting("omniglot", 10_000)],
    )
    yield Corner(
        "400 images, 3 gradient steps",
        [adapting("omniglot-maml", 400)],
    )
    yield Corner(
        "5,000 images, gradient steps",
        [adapting("omniglot-maml", 5000)],
    )
    one = {"inputs": images(5), "targets": labels(5, 5)}
    yield Corner(
        "10,000 queries of images",
        [posted("/predict", {"model": "omniglot", "support": one, "queries": images(10_000)}, MSGPACK)],
    )
    body = b'{"model": "sinusoid", "queries": ' + numbers("[0.1]") + b"}"
    yield Corner("32 MiB of queries as JSON", [("POST", "/predict", JSON, body)])
    yield Corner(
        "32 MiB of queries as msgpack",
        [posted("/predict", {"model": "sinusoid", "queries": raw(np.ones((2**23 - 100, 1), np.float32))}, MSGPACK)],
    )
    yield Corner(
        "32 MiB of nested arrays",
        [("POST", "/predict", JSON, b'{"model": "sinusoid", "queries": ' + b"[" * (2**25 - 100))],
    )
    some = {"inputs": drawings[:400], "targets": labels(400, 400)}
    line = json.dumps({"model": "omniglot", "support": some, "queries": drawings[:400]})
    yield Corner("30 lines of 400 PNGs and classes", [("POST", "/predict", NDJSON, "\n".join([line] * 30).encode())])
    short = json.dumps({"model": "sinusoid", "queries": [[0.1]]})
    yield Corner("100,000 short lines", [("POST", "/predict", NDJSON, "\n".join([short] * 100_000).encode())])
    yield Corner(
        "assess: 64 images left out one by one",
        [adapting("omniglot", 64, assess="leave_one_out")],
    )
    wave = np.linspace(-5, 5, 10_000, dtype=np.float32)[:, None]
    yield Corner(
        "assess: 10,000 points in 10 folds",
        [
            posted(
                "/adapt",
                {
                    "model": "sinusoid",
                    "support": {"inputs": raw(wave), "targets": raw(np.sin(wave))},
                    "assess": "k_fold",
                },
                MSGPACK,
            )
        ],
    )
    bomb = encoded(Image.new("L", (4096, 4096)))
    yield Corner(
        "a PNG of 4,096 x 4,096 pixels",
        [
            posted(
                "/predict",
                {
                    "model": "omniglot",
                    "support": {"inputs": [bomb, drawings[0]], "targets": ["a", "b"]},
                    "queries": drawings[:1],
                },
            )
        ],
    )
    yield Corner(
        "20 PNGs of 4,096 x 4,096 pixels",
        [
            posted(
                "/predict",
                {
                    "model": "omniglot",
                    "support": {"inputs": [bomb] * 20, "targets": labels(20, 5)},
                    "queries": drawings[:1],
                },
            )
        ],
    )
    episode = {"observations": [[0.0, 0.0]] * 4000, "actions": [[0.1, 0.1]] * 4000, "rewards": [1.0] * 4000}
    step = {"observations": [[0.0, 0.0]], "actions": [[0.1, 0.1]], "rewards": [1.0]}
    yield Corner(
        "an episode of 4,000 steps and 4,000 of one",
        [posted("/adapt", {"model": "navigation", "support": {"episodes": [episode, *[step] * 4000]}})],
    )
    yield Corner(
        "32 bodies of 32 MiB at once",
        [posted("/predict", {"model": "sinusoid", "queries": raw(np.ones((2**23 - 100, 1), np.float32))}, MSGPACK)]
        * 32,
    )


class Watch:
    """Sends a small request every 10 ms, on a thread; latencies in ms."""

    def __init__(self, url: str) -> None:
        self._address = url.removeprefix("http://")
        self._body = json.dumps(SMALL)
        self.latencies: list[float] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch for as long as the block runs."""
        self.latencies, stop = [], threading.Event()
        thread = threading.Thread(target=self._watch, args=(stop,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _watch(self, stop: threading.Event) -> None:
        connection = HTTPConnection(self._address, timeout=300)
        while not stop.is_set():
            started = time.perf_counter()
            connection.request("POST", "/predict", self._body, {"Content-Type": JSON})
            response = connection.getresponse()
            response.read()
            assert response.status == 200, response.status
            self.latencies.append(1000 * (time.perf_counter() - started))
            time.sleep(EVERY_S)


def memory(pid: int, name: str) -> float:
    """A line of the process's status, in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def send(url: str, request: tuple[str, str, str, bytes]) -> tuple[int, str]:
    """The status of a request, and the beginning of what is wrong with it."""
    method, path, media, body = request
    response = httpx.request(method, url + path, content=body, headers={"Content-Type": media}, timeout=600)
    return response.status_code, "" if response.is_success else response.json()["detail"]


def measure(url: str, pid: int, corner: Corner, watch: Watch) -> dict[str, Any]:
    """The row of a corner."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak begins anew
    before = memory(pid, "VmRSS")
    with watch.watching():
        time.sleep(1)
    alone = watch.latencies
    started = time.perf_counter()
    with watch.watching(), ThreadPoolExecutor(len(corner.requests)) as pool:
        answers = list(pool.map(lambda each: send(url, each), corner.requests))
    seconds = time.perf_counter() - started
    return {
        "corner": corner.name,
        "body_kib": sum(len(body) for *_, body in corner.requests) // 1024,
        "statuses": sorted({status for status, _ in answers}),
        "detail": next((detail for _, detail in answers if detail), "")[:160],
        "seconds": round(seconds, 2),
        "memory_mib": round(memory(pid, "VmHWM") - before),
        "resident_mib": round(memory(pid, "VmRSS")),
        "small_alone_p99_ms": round(float(np.percentile(alone, 99)), 1),
        "small": len(watch.latencies),
        "small_p50_ms": round(float(np.percentile(watch.latencies, 50)), 1),
        "small_p99_ms": round(float(np.percentile(watch.latencies, 99)), 1),
        "small_max_ms": round(max(watch.latencies), 1),
    }


def main() -> None:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(description=QUESTION)
    parser.add_argument("--only", default="", help="Only corners with this in their name; nothing is kept.")
    only = parser.parse_args().only
    server_core, *load_cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, load_cores or [server_core])
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        words = ["taskset", "--cpu-list", str(server_core), command("innerloop"), "serve"]
        with starting(words, Path(folder) / "log", state_dir=folder) as (url, process):
            wait_until(lambda: not httpx.get(f"{url}/health/ready").json()["compiling"], "it compiles too long", 500)
            watch = Watch(url)
            for corner in corners():
                if only in corner.name:
                    rows.append(measure(url, process.pid, corner, watch))
                    print(rows[-1], flush=True)
    write("large_work", QUESTION, rows, keep=not only)


if __name__ == "__main__":
    main()
