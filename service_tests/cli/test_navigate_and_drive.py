"""`innerloop navigate` and `innerloop collect`."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.bundles.folder import load, write
from app.cli.main import cli
from app.errors import InnerloopError
from app.training.publish import publish_policy
from app.training.returns import Trial, evaluate_policy
from service_tests.cli.point import write_point


@pytest.fixture
def point_models(tmp_path: Path) -> Path:
    """One untrained bundle, `point`, of navigation."""
    return write_point(tmp_path / "models")


def test_navigate_prints_the_returns(point_models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INNERLOOP_MODELS_DIR", str(point_models))
    result = run_navigate()
    assert result.exit_code == 0, result.output
    assert "| | 0 stages | 1 stage |" in result.output
    assert "over 2 worlds" in result.output


def run_navigate(*words: str) -> Result:
    return CliRunner().invoke(cli, ["navigate", "point", "--worlds", "2", "--episodes", "2", "--stages", "1", *words])


def test_navigate_writes_the_returns_beside_those_of_this_process(
    point_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INNERLOOP_MODELS_DIR", str(point_models))
    bundle = load(point_models / "point")
    offline = evaluate_policy(bundle, Trial(2, 2, 1)).as_json()
    publish_policy(replace(bundle, manifest=replace(bundle.manifest, evaluation=offline)), point_models / "point")
    card = (point_models / "point/CARD.md").read_text()
    for _ in range(2):  # a second time in the place of the first
        assert run_navigate("--write").exit_code == 0
    evaluation, digest = load(point_models / "point").manifest.evaluation, bundle.manifest.digest
    assert {name: value for name, value in evaluation.items() if name in offline} == offline
    assert evaluation["over_http"]["trial"] == offline["trial"]
    assert evaluation["over_http"]["mean"][0] == pytest.approx(offline["mean"][0], abs=0.5), (
        "the same worlds, other draws"
    )
    before, _, after = card.partition("## Limits of a request")
    server = "Returns in the same worlds over HTTP. The policy draws its actions, so the returns vary within their "
    server += "intervals:"
    assert (point_models / "point/CARD.md").read_text().startswith(f"{before}{server}")
    assert (point_models / "point/CARD.md").read_text().endswith(after)
    assert load(point_models / "point").manifest.digest == digest


def test_navigate_writes_the_returns_of_a_bundle_that_has_none(
    point_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INNERLOOP_MODELS_DIR", str(point_models))
    assert run_navigate("--write").exit_code == 0
    assert load(point_models / "point").manifest.evaluation["way"] == "over HTTP"
    assert "-0.5 to 0.5" in (point_models / "point/CARD.md").read_text()


def test_navigate_refuses_a_server_with_another_bundle(
    point_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(point_models, tmp_path / "others")
    bundle = load(tmp_path / "others/point")
    write(tmp_path / "others/point", replace(bundle.manifest, initial_loss=2.0), bundle.meta)
    monkeypatch.setenv("INNERLOOP_MODELS_DIR", str(point_models))
    result = run_navigate("--models-dir", str(tmp_path / "others"))
    assert isinstance(result.exception, InnerloopError)
    assert "point: expected the digest " in str(result.exception)


def test_collect_says_what_it_does_from_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("highway_env")
    written = []

    def write_log(split: str, folder: Path, on_world: object) -> Path:
        written.append(split)
        return folder / f"driving-{split}.npz"

    monkeypatch.setattr("app.families.highway.episodes.write_log", write_log)
    result = CliRunner().invoke(cli, ["collect", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert written == ["training", "validation", "test"]
    assert result.output.splitlines() == [
        "driving 10 episodes in each of 210 worlds, which takes some minutes",
        f"wrote 160 training worlds to {tmp_path}/driving-training.npz",
        f"wrote 10 validation worlds to {tmp_path}/driving-validation.npz",
        f"wrote 40 test worlds to {tmp_path}/driving-test.npz",
    ]
