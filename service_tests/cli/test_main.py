import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import app
from app.cli.console import print_error
from app.errors import InnerloopError
from service_tests import forked
from service_tests.cli.commands import innerloop
from service_tests.processes import ROOT, SHIPPED, command

PYTHONPATH = os.pathsep.join([str(ROOT), str(ROOT / "app/client")])


@pytest.mark.parametrize("arguments", [["--help"], ["evaluate", "nothing"]])
def test_the_module_is_the_command(arguments: list[str]) -> None:
    words = [command("innerloop"), *arguments]
    installed = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    module = forked.run([sys.executable, "-m", "app.cli", *arguments])
    expected = (
        installed.returncode,
        installed.stdout.replace("Usage: innerloop", "Usage: python -m app.cli"),
        installed.stderr,
    )
    assert (module.returncode, " ".join(module.stdout.split()), module.stderr) == (
        expected[0], " ".join(expected[1].split()), expected[2],
    )  # fmt: skip


def test_the_version_is_printed() -> None:
    assert innerloop("--version").stdout == f"innerloop {app.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("evaluate", "nothing"), "bundle: expected one of choices, "),
        (("try", "nothing"), f'bundle: expected one of {", ".join(SHIPPED)}, got "nothing"'),
        (("try", "--server", "http://127.0.0.1:9"), "--server: expected an answer from http://127.0.0.1:9"),
        (
            ("bundle", "new", "--network", "mlp", "--weights", "none", "--kind", "magic"),
            "--kind: expected one of classification, decision, regression, got 'magic'",
        ),
        (("compare", "linear", "--device", "abacus"), "--device: expected auto, cpu or cuda, got 'abacus'"),
        (("evaluate", "linear", "--server", "nonsense"), "--server: expected a URL such as http://127.0.0.1:8000"),
        (
            ("bundle", "../new", "--network", "mlp", "--weights", "none"),
            'the name of a bundle: expected letters, digits, -, _ and ., such as pump-2, got "../new"',
        ),
        (
            ("bundle", "linear", "--network", "mlp", "--weights", "none"),
            "name: the bundle 'linear' exists in models: choose another name, or replace it with --force",
        ),
        (
            ("bundle", "new", "--network", "mlp", "--weights", "none", "--rate", "-1"),
            "--rate: expected a number above 0",
        ),
        (("try", "a" * 5000), "bundle: expected a name or an id of at most 255 characters, got 5000"),
        (("evaluate", "a" * 5000), f'bundle: expected one of {", ".join(SHIPPED)} in models, got "{"a" * 60}..."'),
        (
            ("evaluate", "linear", "--steps", "100000", "--no-write"),
            "--steps: expected 0 to 100 for linear, got 100000",
        ),
        (
            ("bundle", "new", "--network", "a:b", "--weights", "w", "--option", "hidden"),
            "--option: expected KEY=VALUE, such as hidden=64, got 'hidden'",
        ),
        (
            ("bundle", "new", "--network", "a:b", "--weights", "w", "--family", "linear", "--family-option", "=3"),
            "--family-option: expected KEY=VALUE, such as features=3, got '=3'",
        ),
    ],
)
def test_an_error_is_one_line_on_stderr(arguments: tuple[str, ...], message: str) -> None:
    result = innerloop(*arguments)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert message in line


@pytest.mark.parametrize(
    "words",
    [
        "train --table PATH --task a --target b",
        "train --texts PATH --text a --label b",
        "try omniglot --data PATH",
        "train omniglot --data PATH",
        "value navigation PATH",
        "navigate --models-dir PATH",
    ],
)
def test_a_path_of_thousands_of_characters_is_cut(words: str) -> None:
    result = innerloop(*words.replace("PATH", "p" * 5000).split())
    (line,) = result.stderr.splitlines()
    assert result.returncode == 1
    assert "File name too long" in line
    assert "p" * 61 not in line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("drive --film /PATH", f"--film: cannot write /{'p' * 59}...: File name too long"),
        ("drive --film none/film", "--film: cannot write none/film.png: No such file or directory"),
        ("drive --film FILE/film", "--film: cannot write FILE/film.png: Not a directory"),
        ("drive --film /", "--film: expected the name of a file, got the folder /"),
        ("drive --write", "bundle: expected the name of a bundle in models, which has none, got "),
        ("collect --out FILE", "--out: cannot write into the folder FILE: Not a directory"),
        ("collect --out PATH", f"--out: cannot write into the folder {'p' * 60}...: File name too long"),
        ("train linear --models-dir FILE/models", "--models-dir: cannot write into the folder FILE/models: Not a dir"),
        ("train linear --runs-dir FILE", "--runs-dir: cannot write into the folder FILE: Not a directory"),
        ("bundle a --network mlp --weights w --models-dir FILE/x", "--models-dir: cannot write into the folder FILE/x"),
        ("predict a FILE --output none/out.csv", "--output: cannot write none/out.csv: No such file or directory"),
        ("adaptations export a none/a.csv", "FILE: cannot write none/a.csv: No such file or directory"),
    ],
)
def test_where_a_command_writes_is_checked_before_its_work(words: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "FILE").write_text("x\n1\n")
    server = ["--server", "http://127.0.0.1:9"] if words.startswith("drive") else []
    result = innerloop(*words.replace("PATH", "p" * 5000).split(), *server, folder=tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(message), result.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["FILE"]


def test_an_error_has_no_pictures(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(InnerloopError("the network a:b:c cannot be imported"))
    assert capsys.readouterr().err == "the network a:b:c cannot be imported\n"


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("PORT", "70000", "INNERLOOP_PORT: expected at most 65535, got '70000'"),
        ("PORT", "http", "INNERLOOP_PORT: expected a whole number, got 'http'"),
        ("SHUTDOWN_S", "inf", "INNERLOOP_SHUTDOWN_S: expected a number, got 'inf'"),
        (
            "PORT",
            "tcp://10.0.0.1:80",
            "INNERLOOP_PORT: expected a port, got 'tcp://10.0.0.1:80': Kubernetes sets this variable for a service "
            "called innerloop, so set enableServiceLinks: false for the pod, or give the service another name",
        ),
        ("SHUTDOWN_S", "soon", "INNERLOOP_SHUTDOWN_S: expected a number, got 'soon'"),
        ("SHUTDOWN_S", "3601", "INNERLOOP_SHUTDOWN_S: expected at most 3600, got '3601'"),
        ("SHUTDOWN_S", "-1", "INNERLOOP_SHUTDOWN_S: expected at least 0, got '-1'"),
        ("WATCH", "perhaps", "INNERLOOP_WATCH: expected true or false, got 'perhaps'"),
        ("STORE", "tape", "INNERLOOP_STORE: expected 'sqlite', 'redis' or 'memory', got 'tape'"),
    ],
)
def test_a_wrong_setting_is_one_line_on_stderr(
    monkeypatch: pytest.MonkeyPatch, setting: str, value: str, message: str
) -> None:
    monkeypatch.setenv(f"INNERLOOP_{setting}", value)
    result = innerloop("serve")
    assert (result.returncode, result.stderr) == (1, f"{message}\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "cosinusoid"), "family: expected one of bandit, "),
        (
            ("train", "linear", "--option", "colour=3"),
            "--option: expected one of features, targets for the family 'linear', got colour",
        ),
        (("train", "linear", "--option", "features=abc"), "--option features: expected a whole number, got 'abc'"),
        (("train", "linear", "--name", "a b"), "the name of a bundle: expected letters, digits, "),
        (("train", "linear", "--algorithm", "magic"), "--algorithm: expected one of alpaca, "),
        (("train", "linear", "--algorithm", "protonet"), "--algorithm: expected an algorithm for regression, got "),
        (("compare", "linear", "--algorithms", "magic"), "--algorithms: expected one of alpaca, "),
        (("compare", "linear", "--algorithms", "cavia"), "--algorithms: expected an algorithm that can adapt "),
        (("compare", "linear", "--set", "algorithm=maml"), "choose it with --algorithm (train) or --algorithms (comp"),
        (("train", "linear", "--set", "decay=sudden"), "--set decay: expected one of constant, cosine, got 'sudden'"),
        (("train", "linear", "--set", "colour=3"), "--set: expected one of network, "),
        (("train", "linear", "--set", "shots"), "--set: expected KEY=VALUE, such as outer_steps=1000, got 'shots'"),
        (("train", "linear", "--set", "family=blobs"), "--set family: name the family as the first argument instead"),
        (("train", "linear", "--set", "adapt_steps=-1"), "--set adapt_steps: expected at least 0, got -1"),
        (
            ("train", "linear", "--set", "outer_rate=0.5"),
            "--set outer_rate: expected 1.0 for the algorithm averaging, got 0.5: leave outer_rate out",
        ),
        (("train", "linear", "--set", "network=foo"), "--set network: expected one of context_mlp, "),
        (
            ("train", "linear", "--algorithm", "maml", "--set", "network=foo"),
            "--set network: expected one of context_",
        ),
        (("train", "linear", "--set", "network=mlp"), "got none: inputs is missing"),
        (("train", "linear", "--set", 'network_options={"foo":1}'), "--set network_options: expected `network` to be "),
        (
            ("train", "environments", "--env", "no_corridors:make"),
            "--env: expected a module that can be imported, got no_corridors (\"No module named 'no_corridors'\"): run "
            "the command in the folder of no_corridors.py, or install it",
        ),
    ],
)
def test_an_error_of_training_is_printed(arguments: tuple[str, ...], message: str) -> None:
    result = innerloop(*arguments)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert message in line
    assert result.stdout == ""


@pytest.mark.parametrize("module", ["fcntl", "pwd", "resource"])
@pytest.mark.parametrize("arguments", [("serve", "--port", "0"), ("try", "linear"), ("navigate",)])
def test_commands_that_serve_say_which_systems_they_run_on(arguments: tuple[str, ...], module: str) -> None:
    """Windows lacks these modules."""
    code = f"import sys; sys.modules[{module!r}] = None; from app.cli.main import main; main()"
    environment = {"INNERLOOP_MODELS_DIR": str(ROOT / "models"), "PYTHONPATH": PYTHONPATH}
    result = forked.run([sys.executable, "-c", code, *arguments], env=environment)
    message = "the server runs on Linux and macOS: on Windows, use WSL or Docker\n"
    assert (result.returncode, result.stdout, result.stderr) == (1, "", message)


@pytest.mark.parametrize(
    ("absent", "arguments", "extra"),
    [
        ("tensorboard", ("train", "linear", "--eager"), "'innerloop-server[train]'"),
        ("matplotlib", ("train", "linear", "--eager"), "'innerloop-server[train]'"),
        ("matplotlib", ("evaluate", "linear"), "'innerloop-server[train]'"),
        ("matplotlib", ("navigate", "--write", "--server", "http://127.0.0.1:9"), "'innerloop-server[train]'"),
        ("highway_env", ("collect",), "'innerloop-server[driving]'"),
        ("highway_env", ("drive",), "'innerloop-server[driving]'"),
    ],
)
def test_a_missing_extra_is_named_with_its_brackets(
    tmp_path: Path, absent: str, arguments: tuple[str, ...], extra: str
) -> None:
    code = f"import sys; sys.modules[{absent!r}] = None; from app.cli.main import main; main()"
    for bundle in ("driving", "linear", "navigation"):  # copies, as the commands write into them
        shutil.copytree(ROOT / "models" / bundle, tmp_path / "models" / bundle)
    environment = {"INNERLOOP_MODELS_DIR": str(tmp_path / "models"), "PATH": "", "PYTHONPATH": PYTHONPATH}
    result = forked.run([sys.executable, "-c", code, *arguments], cwd=tmp_path, env=environment)
    assert (result.returncode, result.stdout) == (1, ""), "the command fails before its work"
    assert f"pip install {extra}" in " ".join(result.stderr.split())
