"""The obvious service for policies: a module an adaptation in a dict, with the adapted weights; each request asks one.

`python -m service_tests.benchmarks.rivals.policies PORT FOLDER [WAY]` serves `FOLDER/<adaptation id>.safetensors`, of
the network of models/navigation, at POST /predict. WAY is how: `fastapi`, a FastAPI route as in `obvious`; `async`, the
same as `async def`, so that no request has a thread; `raw`, the same modules on bare ASGI with orjson; `numpy`, that
with three products of matrices in the modules' place.
"""

import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import torch
from fastapi import FastAPI
from pydantic import BaseModel
from safetensors.torch import load_file
from torch import nn

from app.bundles.folder import load
from app.families.navigation import REACH
from app.learn.networks import NETWORKS
from service_tests.benchmarks.rivals.server import run
from service_tests.processes import ROOT

Act = Callable[[list[list[float]]], list[list[float]]]
"""Observations [query, feature] -> the most probable actions [query, number]."""


class PredictBody(BaseModel):
    """The body of POST /predict."""

    adaptation_id: str
    queries: list[list[float]]


class Predicted(BaseModel):
    """The answer of POST /predict."""

    predictions: list[list[float]]


def modules(folder: Path) -> dict[str, nn.Module]:
    """The networks of the mean of the actions, by adaptation."""
    network, policies = load(ROOT / "models/navigation").manifest.network, {}
    for file in folder.glob("*.safetensors"):
        policy = NETWORKS[network.name](**network.options)
        policy.load_state_dict(load_file(file))
        policies[file.stem] = policy.get_submodule("mean").eval()
    return policies


def by_module(policy: nn.Module) -> Act:
    """Act by a module."""

    @torch.inference_mode()
    def act(queries: list[list[float]]) -> list[list[float]]:
        actions: list[list[float]] = policy(torch.tensor(queries)).clamp(-REACH, REACH).tolist()
        return actions

    return act


def by_numpy(policy: nn.Module) -> Act:
    """Act without torch: with so small a network most of the time goes into calling it."""
    layers = [
        (each.weight.detach().numpy().T.copy(), each.bias.detach().numpy())
        for each in policy.modules()
        if isinstance(each, nn.Linear)
    ]

    def act(queries: list[list[float]]) -> list[list[float]]:
        outputs = np.array(queries, np.float32)
        for weight, bias in layers[:-1]:
            outputs = np.tanh(outputs @ weight + bias)
        weight, bias = layers[-1]
        actions: list[list[float]] = (outputs @ weight + bias).clip(-REACH, REACH).tolist()
        return actions

    return act


def by_fastapi(policies: Mapping[str, Act], *, threads: bool) -> FastAPI:
    """An application with the route. threads: whether each request runs in a thread of its own."""
    application = FastAPI()

    def predict(body: PredictBody) -> Predicted:
        return Predicted(predictions=policies[body.adaptation_id](body.queries))

    async def at_once(body: PredictBody) -> Predicted:
        return predict(body)

    application.post("/predict")(predict if threads else at_once)
    return application


def bare(policies: Mapping[str, Act]) -> Callable[..., Awaitable[None]]:
    """The same responses without a framework."""

    async def application(scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Any) -> None:
        if scope["type"] != "http":
            return
        content, more = b"", True
        while more:
            part = await receive()
            content, more = content + part.get("body", b""), part.get("more_body", False)
        if scope["path"] != "/predict":  # such as /health/ready
            await _answer(send, 404, b"")
            return
        body = orjson.loads(content)
        predictions = policies[body["adaptation_id"]](body["queries"])
        await _answer(send, 200, orjson.dumps({"predictions": predictions}))

    return application


async def _answer(send: Any, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    way = sys.argv[3] if len(sys.argv) > 3 else "fastapi"
    forward = by_numpy if way == "numpy" else by_module
    acting = {name: forward(policy) for name, policy in modules(Path(sys.argv[2])).items()}
    torch.set_num_threads(1)
    run(bare(acting) if way in ("raw", "numpy") else by_fastapi(acting, threads=way == "fastapi"))
