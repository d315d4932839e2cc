"""How many adaptations of a convolutional network a second does POST /adapt make, beside the obvious service?

Four 3 x 3 convolutions of 64 filters and stride 2 on images of 28 x 28, 5 examples, 5 steps, JSON: 64 different support
sets in turn. Innerloop compiles or stays eager, whichever it measures to be faster. All else is as in `adapt_http`.
"""

import tempfile
from dataclasses import replace
from pathlib import Path

from service_tests.benchmarks.bodies import STEPS, supports
from service_tests.benchmarks.comparison import ECHO, OBVIOUS, Effort, compare, effort, publish
from service_tests.benchmarks.images import Images, install, write_bundle
from service_tests.benchmarks.servers import rival, stores

SHOTS = 5
QUESTION = f"POST /adapt: {SHOTS} images of 28 x 28, {STEPS} steps, Conv4 of 64 filters, requests a second on one core"
USUAL = Effort(connections=(1, 64), rounds=6, seconds=3)


def main() -> None:
    """Measure and write."""
    chosen = effort(QUESTION, USUAL)
    bodies = supports(64, Images(), SHOTS, "images")
    with tempfile.TemporaryDirectory() as folder:
        models, environment = Path(folder) / "models", install(Path(folder) / "site")
        write_bundle(models / "images")
        ours = stores(Path(folder), models_dir=models, log_level="info")[0]
        plans = [
            replace(ours, ready_fields={}, ready_log="eager"),
            *rival(OBVIOUS, "obvious", str(models / "images")),
            *rival(ECHO, "echo"),
        ]
        plans = [replace(plan, environment={**plan.environment, **environment}) for plan in plans]
        publish("conv_http", QUESTION, compare(plans, "/adapt", lambda _: bodies, chosen), chosen, USUAL)


if __name__ == "__main__":
    main()
