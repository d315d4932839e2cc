"""The server runs without `app.families` and `app.training`: each bundle is verified by its own schema."""

import json
import os
import sys
from pathlib import Path

from service_tests import forked
from service_tests.processes import ROOT, SHIPPED

SERVE = """
import json, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[:2] in (["app", "families"], ["app", "training"]):
            raise ModuleNotFoundError(f"{name} is not installed", name=name)

sys.meta_path.insert(0, Absent())

from fastapi.testclient import TestClient
from app.main import create_app
from app.settings import Settings

def row_of(model, number):
    columns = model["inputs"].get("columns")
    return model["inputs"]["example"] if columns else [number] * model["features"]

def support(model):
    if "actions" in model:
        action = 0 if model["actions"]["form"] == "discrete" else [0.0] * model["targets"]
        episode = {"observations": [[0.1] * model["features"]] * 2, "actions": [action] * 2, "rewards": [-0.2, -0.1]}
        return {"episodes": [episode, episode]}
    inputs = [row_of(model, 0.1 * number) for number in range(1, 5)]
    targets = list("abab") if model["kind"] == "classification" else [[0.5] * model["targets"]] * 4
    return {"inputs": inputs, "targets": targets}

answers = {}
with TestClient(create_app(Settings(compile=False, watch=False, store="memory"))) as client:
    for listed in client.get("/models").json()["models"]:
        model = client.get(f"/models/{listed['name']}").json()
        body = {"model": model["name"], "support": support(model)}
        adapted = client.post("/adapt", json=body)
        assert adapted.status_code == 201, (model["name"], adapted.text)
        queries = [row_of(model, 0.2)]
        predicted = client.post("/predict", json={"adaptation_id": adapted.json()["adaptation_id"], "queries": queries})
        answers[model["name"]] = [adapted.status_code, predicted.status_code, len(predicted.json()["predictions"])]
assert not [name for name in sys.modules if name.startswith(("app.families", "app.training"))]
print(json.dumps(answers))
"""


def test_every_shipped_bundle_answers_without_families_and_training(tmp_path: Path) -> None:
    script = tmp_path / "serve.py"
    script.write_text(SERVE)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = forked.run([sys.executable, str(script)], env=environment)
    assert process.returncode == 0, process.stderr
    assert json.loads(process.stdout) == {name: [201, 200, 1] for name in SHIPPED}
