"""The obvious service: a FastAPI route that copies the module, takes steps of SGD and keeps the copy in a dict.

`python -m service_tests.benchmarks.rivals.obvious PORT [BUNDLE]` serves it. Its route is no `async def` only because
it measures no slower this way; one thread computes at a time either way.
"""

import copy
import sys
from pathlib import Path
from uuid import uuid4

import torch
from fastapi import FastAPI
from pydantic import BaseModel
from torch import nn

from app.bundles.folder import load
from app.learn.networks import NETWORKS
from service_tests.benchmarks.rivals.server import run
from service_tests.processes import ROOT

SINUSOID = ROOT / "service_tests/models/sinusoid"


class Support(BaseModel):
    """Examples."""

    inputs: list[list[float]]
    targets: list[list[float]]


class AdaptBody(BaseModel):
    """The body of POST /adapt."""

    model: str
    support: Support
    steps: int = 5


class Adapted(BaseModel):
    """The answer of POST /adapt."""

    adaptation_id: str
    losses: list[float]


class PredictBody(BaseModel):
    """The body of POST /predict."""

    adaptation_id: str
    queries: list[list[float]]


class Predicted(BaseModel):
    """The answer of POST /predict."""

    predictions: list[list[float]]


class Learner:
    """What the obvious code does, whatever serves it."""

    def __init__(self, folder: Path = SINUSOID) -> None:
        bundle = load(folder)
        torch.set_num_threads(1)
        self.network = NETWORKS[bundle.manifest.network.name](**bundle.manifest.network.options)
        self.network.load_state_dict(bundle.meta)
        self.rate = bundle.manifest.inner_loop.learning_rate
        self.adapted: dict[str, nn.Module] = {}

    def adapt(self, body: AdaptBody) -> Adapted:
        """Take the steps on a copy and keep it."""
        fast, losses = copy.deepcopy(self.network), []
        x, y = torch.tensor(body.support.inputs), torch.tensor(body.support.targets)
        optimizer = torch.optim.SGD(fast.parameters(), lr=self.rate)
        for _ in range(body.steps):
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(fast(x), y)
            losses.append(loss.item())
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            losses.append(nn.functional.mse_loss(fast(x), y).item())
        adaptation_id = uuid4().hex
        self.adapted[adaptation_id] = fast
        return Adapted(adaptation_id=adaptation_id, losses=losses)

    def predict(self, body: PredictBody) -> Predicted:
        """Ask the copy."""
        with torch.no_grad():
            return Predicted(predictions=self.adapted[body.adaptation_id](torch.tensor(body.queries)).tolist())


def create_app(learner: Learner) -> FastAPI:
    """The two routes."""
    application = FastAPI()

    @application.post("/adapt", status_code=201)
    def adapt(body: AdaptBody) -> Adapted:
        return learner.adapt(body)

    @application.post("/predict")
    def predict(body: PredictBody) -> Predicted:
        return learner.predict(body)

    return application


if __name__ == "__main__":
    run(create_app(Learner(*map(Path, sys.argv[2:]))))
