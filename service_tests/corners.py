"""The corners of what a request may ask of a server: for the benchmark of their cost and the test of their memory."""

import base64
import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec
import numpy as np
from PIL import Image

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


def own_of(drawings: list[str]) -> dict[str, Any]:
    """A support set in which each drawing has its own label."""
    return {"inputs": drawings, "targets": labels(len(drawings), len(drawings))}


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


def predicting(support: object, queries: object, media: str = JSON) -> tuple[str, str, str, bytes]:
    """A request that adapts `omniglot` and answers queries."""
    return posted("/predict", {"model": "omniglot", "support": support, "queries": queries}, media)


def queries_json(size: int) -> tuple[str, str, str, bytes]:
    """A request of so many bytes, with one number in each query."""
    rows = b",".join([b"[0.1]"] * (size // 6))
    return "POST", "/predict", JSON, b'{"model": "sinusoid", "queries": [' + rows + b"]}"


def queries_msgpack(size: int) -> tuple[str, str, str, bytes]:
    """A request of so many bytes, with one number in each query."""
    queries = raw(np.ones((size // 4, 1), np.float32))
    return posted("/predict", {"model": "sinusoid", "queries": queries}, MSGPACK)


def corners(share: float = 1.0) -> Iterator[Corner]:
    """The corners of what a request may ask; `share` makes all of them smaller, but for the largest images."""

    def part(count: int) -> int:
        return max(1, round(count * share))

    many, few, body = part(2000), part(400), part(2**25 - 1000)
    drawings = [png(index) for index in range(many)]
    own = own_of(drawings)
    yield Corner(f"{many} PNGs, each its own label", [predicting(own, drawings[:1])])
    yield Corner(f"{many} PNGs and {many} queries of {many} classes", [predicting(own, drawings)])
    dot, count = encoded(Image.new("L", (1, 1))), part(20_000)
    yield Corner(f"{count} queries that are PNGs of 1 pixel", [predicting(own_of(drawings[:5]), [dot] * count)])
    five = {"inputs": images(part(5000)), "targets": labels(part(5000), 5)}
    yield Corner(f"{part(5000)} images of 5 classes", [predicting(five, images(1), MSGPACK)])
    yield Corner(f"{part(10_000)} images of 5 classes", [adapting("omniglot", part(10_000))])
    yield Corner(f"{few} images, 3 gradient steps", [adapting("omniglot-maml", few)])
    yield Corner(f"{part(5000)} images, gradient steps", [adapting("omniglot-maml", part(5000))])
    one = {"inputs": images(5), "targets": labels(5, 5)}
    yield Corner(f"{part(10_000)} queries of images", [predicting(one, images(part(10_000)), MSGPACK)])
    yield Corner(f"{body:,} bytes of queries as JSON", [queries_json(body)])
    yield Corner(f"{body:,} bytes of queries as msgpack", [queries_msgpack(body)])
    nested = b'{"model": "sinusoid", "queries": ' + b"[" * body
    yield Corner(f"{body:,} bytes of nested arrays", [("POST", "/predict", JSON, nested)])
    line = json.dumps(
        {
            "model": "omniglot",
            "support": {"inputs": drawings[:few], "targets": labels(few, few)},
            "queries": drawings[:few],
        }
    )
    yield Corner(f"30 lines of {few} PNGs and classes", [("POST", "/predict", NDJSON, "\n".join([line] * 30).encode())])
    short = json.dumps({"model": "sinusoid", "queries": [[0.1]]})
    lines = "\n".join([short] * part(100_000)).encode()
    yield Corner(f"{part(100_000)} short lines", [("POST", "/predict", NDJSON, lines)])
    yield Corner("assess: 64 images left out one by one", [adapting("omniglot", 64, assess="leave_one_out")])
    wave = np.linspace(-5, 5, part(10_000), dtype=np.float32)[:, None]
    points = {"inputs": raw(wave), "targets": raw(np.sin(wave))}
    assessed = posted("/adapt", {"model": "sinusoid", "support": points, "assess": "k_fold"}, MSGPACK)
    yield Corner(f"assess: {part(10_000)} points in 10 folds", [assessed])
    apart = np.linspace(-5, 5, part(1_000_000), dtype=np.float32)[:, None]
    compared = posted("/predict", {"model": "sinusoid", "support": points, "queries": raw(apart)}, MSGPACK)
    yield Corner(f"{len(apart)} queries compared with {len(wave)} points", [compared])
    bomb = encoded(Image.new("L", (4096, 4096)))
    for count in (1, 20):
        support = {"inputs": [bomb] * count + [drawings[0]], "targets": labels(count + 1, 2)}
        name = f"{count} PNG{'s' * (count > 1)} of 4,096 x 4,096 pixels and 1 of 28 x 28"
        yield Corner(name, [predicting(support, drawings[:1])])
    steps = part(4000)
    episode = {"observations": [[0.0, 0.0]] * steps, "actions": [[0.1, 0.1]] * steps, "rewards": [1.0] * steps}
    step = {"observations": [[0.0, 0.0]], "actions": [[0.1, 0.1]], "rewards": [1.0]}
    episodes = {"episodes": [episode, *[step] * steps]}
    yield Corner(
        f"an episode of {steps} steps and {steps} of one",
        [posted("/adapt", {"model": "navigation", "support": episodes})],
    )
    yield Corner(f"20 bodies of {body:,} bytes at once", [queries_msgpack(body)] * 20)


def send_all(url: str, corner: Corner) -> list[tuple[int, str]]:
    """Send the requests of a corner at once: the status of each, and what is wrong with it."""
    with ThreadPoolExecutor(len(corner.requests)) as pool:
        return list(pool.map(lambda each: _send(url, *each), corner.requests))


def _send(url: str, method: str, path: str, media: str, body: bytes) -> tuple[int, str]:
    response = httpx.request(method, url + path, content=body, headers={"Content-Type": media}, timeout=600)
    return response.status_code, "" if response.is_success else response.json()["detail"]
