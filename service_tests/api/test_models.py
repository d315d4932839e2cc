import json
import shutil
from collections.abc import Callable
from pathlib import Path

from fastapi.testclient import TestClient

from service_tests.bundles import write_tables
from service_tests.processes import SHIPPED


def test_the_list_has_a_summary_of_each_model(client: TestClient) -> None:
    answer = client.get("/models").json()
    assert [model["name"] for model in answer["models"]] == SHIPPED
    assert answer["refused"] == []
    sinusoid = answer["models"][SHIPPED.index("sinusoid")]
    assert sinusoid["algorithm"] == "maml"
    assert sinusoid["inner_loop"]["steps"] == 5
    assert sinusoid["compiled"] is False
    assert "evaluation" not in sinusoid


def test_a_model_shows_only_the_settings_that_a_request_can_choose(client: TestClient) -> None:
    bounds = {model["name"]: model["inner_loop"] for model in client.get("/models").json()["models"]}
    assert bounds["linear"].keys() == {"steps", "max_steps", "learning_rate", "max_learning_rate"}
    for learned_or_closed in ("sinusoid-bayes", "omniglot"):
        assert bounds[learned_or_closed] == {"steps": 1, "max_steps": 1}


def test_a_model_is_shown_as_in_its_manifest(client: TestClient, models_dir: Path) -> None:
    manifest = json.loads((models_dir / "sinusoid/bundle.json").read_text())
    answer = client.get("/models/sinusoid").json()
    assert answer["evaluation"] == manifest["evaluation"]
    assert answer["training"] == manifest["training"]
    assert answer["inner_loop"] == manifest["inner_loop"]


def test_a_bad_bundle_is_listed_with_its_reason_and_the_others_serve(
    serve: Callable[..., TestClient], models_dir: Path, tmp_path: Path, caplog: object
) -> None:
    shutil.copytree(models_dir, tmp_path / "models")
    (tmp_path / "models/linear/weights.safetensors").unlink()
    client = serve(models_dir=tmp_path / "models")
    answer = client.get("/models").json()
    assert [model["name"] for model in answer["models"]] == [name for name in SHIPPED if name != "linear"]
    expected = {
        "name": "linear",
        "file": "linear/weights.safetensors",
        "reason": "expected a file, got none: copy the whole bundle again",
    }
    assert answer["refused"] == [expected]
    assert "linear/weights.safetensors: expected a file, got none" in caplog.text  # type: ignore[attr-defined]
    assert client.get("/health/ready").status_code == 200
    assert client.post("/predict", json={"model": "sinusoid", "queries": [[1]]}).status_code == 200


def test_a_model_describes_its_inputs_with_an_example_that_it_takes(client: TestClient) -> None:
    for name in [model["name"] for model in client.get("/models").json()["models"]]:
        inputs = client.get(f"/models/{name}").json()["inputs"]
        if client.get(f"/models/{name}").json()["kind"] == "regression":
            answer = client.post("/predict", json={"model": name, "queries": [inputs["example"]]})
            assert answer.status_code == 200, (name, answer.text)
        assert inputs["encoder"] in ("numbers", "image", "table", "text")


def test_the_example_of_each_model_works(
    serve: Callable[..., TestClient], models_dir: Path, policies: Path, classifiers: Path, tmp_path: Path
) -> None:
    write_tables(tmp_path / "all")
    for folder in (models_dir, policies, classifiers):
        for bundle in folder.iterdir():
            (tmp_path / "all" / bundle.name).symlink_to(bundle)
    client = serve(models_dir=tmp_path / "all")
    names = [model["name"] for model in client.get("/models").json()["models"]]
    assert {*SHIPPED, "wards", "risks", "box", "names", "blobs"} <= set(names)
    for name in names:
        example = client.get(f"/models/{name}").json()["example"]
        assert client.post("/predict", json=example).status_code == 200, name
        del example["queries"]
        assert client.post("/adapt", json=example).status_code == 201, name


def test_a_model_of_a_table_describes_columns_and_targets(serve: Callable[..., TestClient], tmp_path: Path) -> None:
    write_tables(tmp_path / "models")
    client = serve(models_dir=tmp_path / "models")
    wards, risks = (client.get(f"/models/{name}").json() for name in ("wards", "risks"))
    assert wards["target_columns"] == [{"name": "target", "type": "number", "unit": None}]
    assert risks["target_columns"] == [{"name": "label", "type": "label", "unit": None}]
    assert wards["inputs"]["ignore_extra"] is False
    first, second = wards["example"]["support"]["rows"]
    assert first == {**wards["inputs"]["example"], "target": 0.0}
    assert second == {
        "age": 70.0, "sex": "m", "smoker": False, "seen": "2026-03-01", "dose": 2.0, "ward": 4, "target": 1.0,
    }  # fmt: skip


def test_policies_say_what_observations_and_actions_mean(client: TestClient) -> None:
    models = {name: client.get(f"/models/{name}").json() for name in ("navigation", "driving", "choices")}
    for name, model in models.items():
        described = [column["name"] for column in model["inputs"]["columns"]]
        assert len(set(described)) == model["features"], name
        assert None not in described
        assert len(model["actions"]["names"]) == model["targets"]
    speed = models["driving"]["inputs"]["columns"][0]
    assert speed == {
        "name": "speed", "type": "number", "unit": "30 m/s", "min": -1.5, "max": 1.5, "may_be_missing": False,
    }  # fmt: skip
    assert models["driving"]["actions"]["names"] == ["left", "keep", "right", "faster", "slower"]
    assert models["navigation"]["actions"]["units"] == [None, None]
    assert models["choices"]["inputs"]["columns"][1] == {
        "name": "loss", "type": "number", "unit": "10 dollars", "max": 0.0, "may_be_missing": False,
    }  # fmt: skip
