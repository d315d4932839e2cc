"""The obvious code in Ray Serve: one replica, all of Ray on this machine and without its dashboard.

`python -m service_tests.benchmarks.rivals.ray_service PORT` serves it.
"""

import sys

import ray
from fastapi import FastAPI
from ray import serve
from ray.serve.config import HTTPOptions

from service_tests.benchmarks.rivals.obvious import AdaptBody, Adapted, Learner, PredictBody, Predicted

application = FastAPI()


@serve.deployment(
    max_ongoing_requests=1000,
    logging_config={"enable_access_log": False},
    health_check_period_s=3600,
    health_check_timeout_s=3600,
)
@serve.ingress(application)
class Service:
    """The two routes."""

    def __init__(self) -> None:
        self.learner = Learner()

    @application.post("/adapt", status_code=201)
    def adapt(self, body: AdaptBody) -> Adapted:
        """Adapt."""
        return self.learner.adapt(body)

    @application.post("/predict")
    def predict(self, body: PredictBody) -> Predicted:
        """Predict."""
        return self.learner.predict(body)


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, _node_ip_address="127.0.0.1", object_store_memory=100 * 2**20)
    serve.start(http_options=HTTPOptions(host="127.0.0.1", port=int(sys.argv[1]), access_log=False))
    serve.run(Service.bind(), blocking=True)  # type: ignore[attr-defined]  # the decorator has no types here
