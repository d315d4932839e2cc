"""The obvious code in LitServe, which has one process for HTTP and one for the model.

`python -m service_tests.benchmarks.rivals.litserve_service PORT PATH` serves it at one path: a second path would be a
second process, which does not have the modules of the first. So a body with `queries` predicts, and any other adapts.
"""

import sys
from typing import Any

import litserve

from service_tests.benchmarks.rivals.obvious import AdaptBody, Learner, PredictBody


class Service(litserve.LitAPI):  # type: ignore[misc]  # mypy runs without its types
    """The obvious code, as LitServe calls it."""

    def setup(self, device: str) -> None:
        """Load the model, in its process."""
        self.learner = Learner()

    def decode_request(self, request: dict[str, Any]) -> AdaptBody | PredictBody:
        """Check the body."""
        return PredictBody(**request) if "queries" in request else AdaptBody(**request)

    def predict(self, x: AdaptBody | PredictBody) -> Any:
        """Adapt or predict."""
        return self.learner.predict(x) if isinstance(x, PredictBody) else self.learner.adapt(x)

    def encode_response(self, output: Any) -> dict[str, Any]:
        """The answer's fields."""
        return dict(output.model_dump())


if __name__ == "__main__":
    server = litserve.LitServer(Service(api_path=sys.argv[2]), accelerator="cpu", workers_per_device=1, timeout=60)
    server.run(
        host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False, generate_client_file=False
    )
