import subprocess
import sys
from pathlib import Path

import pytest

import app
from service_tests.cli.commands import innerloop, installed
from service_tests.processes import ROOT, SHIPPED


@pytest.mark.parametrize("arguments", [["--help"], ["evaluate", "nothing"]])
def test_the_module_is_the_command(arguments: list[str]) -> None:
    command = installed(*arguments)
    module = subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    expected = (
        command.returncode,
        command.stdout.replace("Usage: innerloop", "Usage: python -m app.cli"),
        command.stderr,
    )
    assert (module.returncode, " ".join(module.stdout.split()), module.stderr) == (
        expected[0], " ".join(expected[1].split()), expected[2],
    )  # fmt: skip


def test_the_version_is_printed() -> None:
    assert innerloop("--version").stdout == f"innerloop {app.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("evaluate", "nothing"), "models/nothing/bundle.json: the file is missing"),
        (("try", "nothing"), f"there is no model 'nothing'; choose one of {', '.join(SHIPPED)}"),
        (("try", "--server", "http://127.0.0.1:9"), "no server answers at http://127.0.0.1:9"),
        (
            ("bundle", "new", "--network", "mlp", "--weights", "none", "--kind", "magic"),
            "--kind: expected one of classification, decision, regression, got 'magic'",
        ),
        (("compare", "linear", "--device", "abacus"), "there is no device 'abacus'"),
        (("serve", "--port", "70000"), "INNERLOOP_PORT: Input should be less than or equal to 65535, got 70000"),
    ],
)
def test_an_error_is_one_line_on_stderr(arguments: tuple[str, ...], message: str) -> None:
    result = innerloop(*arguments)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert message in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "cosinusoid"), "there is no family 'cosinusoid'; choose one of "),
        (
            ("train", "linear", "--option", "colour=3"),
            "the family 'linear' has no option colour; its options: features",
        ),
        (("train", "linear", "--algorithm", "magic"), "there is no algorithm 'magic'"),
        (("train", "linear", "--set", "decay=sudden"), "decay: expected one of constant, cosine, got 'sudden'"),
        (("train", "linear", "--set", "colour=3"), "the recipe has no setting colour; its settings: family, "),
    ],
)
def test_an_error_of_training_is_printed(arguments: tuple[str, ...], message: str) -> None:
    result = innerloop(*arguments)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert message in line
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("absent", "arguments", "extra"),
    [
        ("tensorboard", ("train", "linear", "--eager"), "'innerloop-server[train]'"),
        ("highway_env", ("collect",), "'innerloop-server[driving]'"),
        ("highway_env", ("drive",), "'innerloop-server[driving]'"),
    ],
)
def test_a_missing_extra_is_named_with_its_brackets(
    tmp_path: Path, absent: str, arguments: tuple[str, ...], extra: str
) -> None:
    code = f"import sys; sys.modules[{absent!r}] = None; from app.cli.main import main; main()"
    environment = {"INNERLOOP_MODELS_DIR": str(ROOT / "models"), "PATH": ""}
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert result.returncode == 1
    assert f"pip install {extra}" in " ".join((result.stdout + result.stderr).split()), result.stderr
