"""The obvious service of texts: a FastAPI route that fits scikit-learn's logistic regression on the same embeddings.

`python -m service_tests.benchmarks.rivals.text_service PORT` serves it. It caches nothing.
"""

from uuid import uuid4

import torch
from fastapi import FastAPI
from pydantic import BaseModel
from sklearn.linear_model import LogisticRegression

from app.encoders.text import TextEncoder
from service_tests.benchmarks.rivals.server import run

STRENGTH = 10.0
"""Inverse of the regularisation, which suits embeddings of length 1."""


class Support(BaseModel):
    """Examples."""

    inputs: list[str]
    targets: list[str]


class AdaptBody(BaseModel):
    """The body of POST /adapt."""

    model: str
    support: Support


class Adapted(BaseModel):
    """The answer of POST /adapt."""

    adaptation_id: str


class PredictBody(BaseModel):
    """The body of POST /predict."""

    adaptation_id: str
    queries: list[str]


class Predicted(BaseModel):
    """The answer of POST /predict."""

    predictions: list[str]
    probabilities: list[list[float]]


def create_app() -> FastAPI:
    """The two routes."""
    torch.set_num_threads(1)
    application, encoder = FastAPI(), TextEncoder.of_model()
    encoder.encode(["It is loaded before the first request."])
    fitted: dict[str, LogisticRegression] = {}

    @application.post("/adapt", status_code=201)
    def adapt(body: AdaptBody) -> Adapted:
        adaptation_id = uuid4().hex
        features = encoder.encode(body.support.inputs)
        fitted[adaptation_id] = LogisticRegression(C=STRENGTH, max_iter=1000).fit(features, body.support.targets)
        return Adapted(adaptation_id=adaptation_id)

    @application.post("/predict")
    def predict(body: PredictBody) -> Predicted:
        likely = fitted[body.adaptation_id].predict_proba(encoder.encode(body.queries))
        classes = fitted[body.adaptation_id].classes_
        return Predicted(predictions=classes[likely.argmax(1)].tolist(), probabilities=likely.tolist())

    return application


if __name__ == "__main__":
    run(create_app())
