"""`innerloop try`."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import save_file
from typer.testing import CliRunner, Result

from app.bundles.folder import load, write
from app.bundles.manifest import FamilySpec
from app.cli.losses_text import number_text
from app.cli.main import cli
from app.learn.networks import initialize
from service_tests.cli.commands import innerloop, installed
from service_tests.processes import DATA


@pytest.mark.parametrize("where", ["in this process", "a server"])
def test_try_adapts_predicts_and_draws(live_server: str, where: str) -> None:
    result = installed("try", "sinusoid", *(["--server", live_server] if where == "a server" else []))
    assert result.returncode == 0, result.stderr
    before, after = (float(line.rsplit(" ", 1)[1]) for line in result.stdout.splitlines()[:2])
    assert after < before
    for name in ("truth", "before", "after", "support"):
        assert name in result.stdout


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.28571, "0.286"),
        (12.091, "12.1"),
        (0.0000123456, "0.0000123"),
        (12345.6, "12,346"),
        (3e-12, "3e-12"),
    ],
)
def test_losses_have_three_digits(value: float, text: str) -> None:
    assert number_text(value) == text


def run_try(*words: str) -> Result:
    return CliRunner().invoke(cli, ["try", *words])


def test_try_names_classes(classifiers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INNERLOOP_MODELS_DIR", str(classifiers))
    result = run_try("blobs", "--shots", "3")
    assert result.exit_code == 0, result.output
    correct, _, queries, *_ = result.output.split()
    assert int(queries) / 2 < int(correct) <= int(queries), result.output
    assert "5 classes with 3 examples each" in " ".join(result.output.split())


def test_try_names_characters() -> None:
    if not (folder := DATA / "omniglot").is_dir():
        pytest.skip(f"no {folder.name} here: https://github.com/brendenlake/omniglot/tree/master/python")
    result = run_try("omniglot", "--data", str(folder))
    assert result.exit_code == 0, result.output
    assert int(result.output.split()[0]) > 40, result.output


POLICY = "is a policy, so `try` has no random task for it. To score it,"
FROM_DATA = "The tasks of omniglot come from a data set, and `--data` is not given."


def tried_example(result: Result, bundle: str) -> bool:
    lines = result.output.splitlines()
    assert result.exit_code == 0, result.output
    assert [line.split(":")[0] for line in lines[1:4]] == ["support", "queries", "predictions"], result.output
    return lines[0].endswith(f". Here is the example request of {bundle} instead:")


@pytest.mark.parametrize(
    ("bundle", "reason"),
    [
        ("omniglot", f"{FROM_DATA} To adapt to a random task, run `innerloop try omniglot --data FOLDER`."),
        ("navigation", f"navigation {POLICY} run `innerloop navigate navigation`."),
        ("driving", f"driving {POLICY} run `innerloop drive driving`."),
        ("choices", f"choices {POLICY} run `innerloop evaluate choices --no-write --data FOLDER`."),
    ],
)
def test_try_sends_the_example_where_there_is_no_random_task(bundle: str, reason: str) -> None:
    result = run_try(bundle)
    assert result.output.startswith(reason)
    if bundle == "omniglot":
        first, *_, last = result.output.partition("support loss by step: ")[2].splitlines()[0].split(", ")
        assert float(last) < float(first), "the two drawings differ"
    assert tried_example(result, bundle)


def test_try_refuses_a_folder_without_the_data(tmp_path: Path) -> None:
    assert "images_background.zip" in str(run_try("omniglot", "--data", str(tmp_path)).exception)


def test_try_sends_the_example_of_imported_weights(
    models_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = load(models_dir / "sinusoid")
    write(tmp_path / "imported", replace(bundle.manifest, family=None), bundle.meta)
    write(tmp_path / "elsewhere", replace(bundle.manifest, family=FamilySpec("pendulum")), bundle.meta)
    monkeypatch.setenv("INNERLOOP_MODELS_DIR", str(tmp_path))
    for name, reason in (("imported", "The bundle imported names no family of tasks"), ("elsewhere", "got 'pendulum'")):
        result = run_try(name)
        assert reason in result.output
        assert tried_example(result, name)


def test_try_adapts_imported_weights_unless_they_have_an_encoder(tmp_path: Path) -> None:
    """The network predicts standardised targets of the family, whose tasks are features and not what people post."""
    params = initialize("mlp", {"inputs": 1, "outputs": 1, "hidden": [8]}, seed=0)
    save_file(params, tmp_path / "weights.safetensors")
    rows = [[-5], [0], [5]]
    encoders = {
        "scaled": {"name": "numbers", "options": {"scale": True}, "rows": rows},
        "named": {"name": "numbers", "options": {"names": ["x"]}, "rows": rows},
        "table": {"name": "table", "options": {"columns": {"smoker": "boolean"}}, "rows": [{"smoker": True}]},
    }
    words = "--network mlp --option inputs=1 --option outputs=1 --option hidden=[8] --weights weights.safetensors"
    targets = "--target-unit K --target-mean 1 --target-std 3"
    for name in ("plain", *encoders):
        if name in encoders:
            (tmp_path / "encoder.json").write_text(json.dumps(encoders[name]))
        encoder = ["--encoder", "encoder.json"] if name in encoders else []
        made = innerloop("bundle", name, *f"{words} {targets} --family sinusoid".split(), *encoder, folder=tmp_path)
        assert made.returncode == 0, made.stderr
        tried = innerloop("try", name, folder=tmp_path)
        if name in ("plain", "named"):
            assert tried.returncode == 0, tried.stderr
            assert "mean squared error after adapting to 5 examples" in tried.stdout
            assert "K²" in tried.stdout
        else:
            came = "numbers, which standardises numbers" if name == "scaled" else "table"
            assert tried.stdout.splitlines()[0] == (
                f"{name} has an encoder ({came}), but its family draws features, so `try` has no random task for it. "
                f"Here is the example request of {name} instead:"
            )
