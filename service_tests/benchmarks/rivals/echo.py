"""The limit of a FastAPI service: the body becomes a pydantic model, and the model is the answer.

`python -m service_tests.benchmarks.rivals.echo PORT` serves it.
"""

from fastapi import FastAPI

from service_tests.benchmarks.rivals.obvious import AdaptBody, PredictBody
from service_tests.benchmarks.rivals.server import run

application = FastAPI()


@application.post("/adapt", status_code=201)
async def adapt(body: AdaptBody) -> AdaptBody:
    """The body again."""
    return body


@application.post("/predict")
async def predict(body: PredictBody) -> PredictBody:
    """The body again."""
    return body


if __name__ == "__main__":
    run(application)
