"""`innerloop adaptations`: list, show, delete and export; and completion."""

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from safetensors.numpy import load_file
from typer.testing import CliRunner

from app.cli.main import cli
from innerloop_client import Client
from service_tests.api.requests import WAVE
from service_tests.api.test_support_rows import LABELLED, ROWS
from service_tests.cli.commands import innerloop
from service_tests.client.answering import ADAPTED, Answering, answer
from service_tests.processes import ROOT


@pytest.fixture
def client(asked: str) -> Iterator[Client]:
    with Client(asked) as client:
        yield client


def adapt(client: Client, label: str | None = None) -> str:
    """The id of a new adaptation of sinusoid."""
    return client.adapt("sinusoid", WAVE["inputs"], WAVE["targets"], label=label).id


SHOWN = answer(ADAPTED | {"revisions": []})
SINUSOID = {
    "name": "sinusoid", "kind": "regression", "inputs": {"encoder": "numbers", "columns": [{"name": ""}]},
    "target_columns": [{"name": "target"}], "digest": "", "algorithm": "maml", "features": 1, "targets": 1,
    "inner_loop": {}, "compiled": False,
}  # fmt: skip


@pytest.mark.parametrize(
    ("command", "response"),
    [
        (["adaptations", "show", "b"], SHOWN),
        (["adaptations", "show", "a" * 32], answer(ADAPTED | {"adaptation_id": []})),
        (["adaptations", "ls"], answer({"adaptations": [], "next": "x"})),
        (["adaptations", "export", "a" * 32, "x.csv"], answer(ADAPTED | {"inputs": ["\ud800"], "targets": [1]})),
        (["adapt", "sinusoid", "examples.csv"], answer(ADAPTED | {"model": "linear"})),
        (["adapt", "sinusoid", "examples.csv"], answer(ADAPTED | {"adaptation_id": {}})),
        (["predict", "a", "queries.csv"], answer(b"<html>", "text/csv")),
        (["predict", "a", "queries.csv"], answer(b"target\n1\n2,3\n", "text/csv")),
        (["predict", "a", "queries.csv", "--json"], answer({"model": "m", "model_digest": "", "predictions": "ab"})),
        (["predict", "a" * 32, "queries.jsonl", "--json"], answer({"predictions": [[1]]} | ADAPTED)),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else "",
)
def test_the_answer_of_another_server(command: list[str], response: bytes, tmp_path: Path) -> None:
    def respond(number: int) -> list[bytes]:
        is_model = b" /models/" in server.requests[-1]
        is_stored = command[0] == "predict" and b" /adaptations/" in server.requests[-1]
        return [answer(SINUSOID) if is_model else SHOWN if is_stored else response]

    (tmp_path / "examples.csv").write_text("x,target\n1,2\n")
    (tmp_path / "queries.csv").write_text("x\n1\n2\n")
    (tmp_path / "queries.jsonl").write_text('{"x": 1}\n{"x": 2}\n')
    with Answering(respond) as server, contextlib.chdir(tmp_path):
        result = CliRunner().invoke(cli, [*command, "--url", server.url])
    assert (result.exit_code, result.stdout) == (1, "")
    assert re.search(r": expected .* from Innerloop, got another answer .*: check the URL", str(result.exception))


def test_ls_has_a_line_for_each(client: Client) -> None:
    first, second = adapt(client, "pump 17"), adapt(client)
    result = innerloop("adaptations", "ls")
    head, *lines = result.stdout.splitlines()
    assert head.split() == ["id", "model", "label", "examples", "revision", "status", "expires"]
    assert [line.split()[0] for line in lines] == [second, first], "the newest first"
    assert "  pump 17  5         1         improved  " in lines[1]
    assert result.stderr == ""


def test_ls_filters_and_says_that_there_are_more(client: Client) -> None:
    first, *others = [adapt(client, label) for label in ("a", "b", "b")]
    for words, count in ((["--label", "b"], 2), (["--model", "sinusoid"], 3), (["--label", "c"], 0)):
        listed = json.loads(innerloop("adaptations", "ls", "--json", *words).stdout)["adaptations"]
        assert len(listed) == count
    assert listed == []
    short = innerloop("adaptations", "ls", "--limit", "2")
    assert [line.split()[0] for line in short.stdout.splitlines()[1:]] == others[::-1]
    assert short.stderr == "there are more: list them with --limit 20\n"
    assert innerloop("adaptations", "ls", "--label", "c").stderr == "there are no such adaptations\n"
    wrong = innerloop("adaptations", "ls", "--model", "nothing")
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("--model: expected one of ")
    assert first in innerloop("adaptations", "ls").stdout


def test_show_has_the_fields_and_the_history(client: Client) -> None:
    adaptation = client.adapt("sinusoid", WAVE["inputs"], WAVE["targets"], label="pump 17")
    adaptation.extend([[3]], [0.56]).forget(0)
    fields, _, history = innerloop("adaptations", "show", adaptation.id).stdout.partition("\n\n")
    lines = dict(line.split(maxsplit=1) for line in fields.splitlines())
    assert (lines["id"], lines["label"], lines["examples"]) == (adaptation.id, "pump 17", "5: 1, 2, 3, 4, 5")
    assert [line.split("  ")[-1].strip() for line in history.splitlines()] == ["examples", "5", "6", "5"]
    assert "extended 5" in history
    assert "forgot 0" in history
    shown = json.loads(innerloop("adaptations", "show", adaptation.id, "--json").stdout)
    assert (shown["adaptation_id"], len(shown["revisions"])) == (adaptation.id, 3)


def test_rm_reports_each(client: Client, asked: str) -> None:
    ids = [adapt(client), adapt(client)]
    result = innerloop("adaptations", "rm", ids[0], "f" * 32, ids[1])
    assert result.returncode == 1
    assert result.stdout.splitlines() == [f"deleted {key}" for key in ids]
    assert result.stderr.startswith("ID: expected the id of a stored adaptation, got ")
    assert httpx.get(f"{asked}/adaptations").json()["adaptations"] == []
    assert innerloop("adaptations", "rm", adapt(client)).returncode == 0


def test_weights_are_exported(client: Client, tmp_path: Path) -> None:
    key, file = adapt(client), tmp_path / "pump.safetensors"
    result = innerloop("adaptations", "export", key, str(file))
    assert result.stderr == f"wrote the adapted weights to {file}\n"
    client.adaptation(key).weights(tmp_path / "other.safetensors")
    weights, others = load_file(file), load_file(tmp_path / "other.safetensors")
    assert weights.keys() == others.keys()


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_exported_examples_adapt_again(client: Client, tmp_path: Path, suffix: str) -> None:
    supports = {"sinusoid": adapt(client)}
    for model, rows, target in (("wards", ROWS, "target"), ("risks", LABELLED[:1], "label")):
        inputs = [{name: value for name, value in row.items() if name != target} for row in rows]
        supports[model] = client.adapt(model, inputs, [row[target] for row in rows]).id
    for model, key in supports.items():
        file = tmp_path / f"{model}.{suffix}"
        result = innerloop("adaptations", "export", key, str(file))
        assert result.returncode == 0, result.stderr
        again = innerloop("adapt", model, str(file))
        assert again.returncode == 0, again.stderr
        old, new = (client.adaptation(each).support() for each in (key, again.stdout.strip()))
        assert (old["inputs"], old["targets"]) == (new["inputs"], new["targets"])


def test_exported_episodes_adapt_again(client: Client, tmp_path: Path) -> None:
    example = client.model("names").example["support"]["episodes"]
    key, file = client.adapt("names", episodes=example).id, tmp_path / "episodes.jsonl"
    assert innerloop("adaptations", "export", key, str(file)).stderr == f"wrote 1 episode to {file}\n"
    again = innerloop("adapt", "names", str(file)).stdout.strip()
    old, new = (client.adaptation(each).support()["episodes"] for each in (key, again))
    assert old == new
    as_csv = innerloop("adaptations", "export", key, str(tmp_path / "episodes.csv"))
    assert as_csv.stderr == "FILE: expected a name that ends in .jsonl for episodes, got .csv\n"


def test_lost_stages_are_said(client: Client, tmp_path: Path) -> None:
    example = client.model("names").example["support"]["episodes"]
    key, file = client.adapt("names", episodes=example).extend(episodes=example).id, tmp_path / "episodes.jsonl"
    said, wrote = innerloop("adaptations", "export", key, str(file)).stderr.splitlines()
    assert said == "the 2 stages of the episodes are not in the file: `innerloop adapt` makes one stage of them"
    assert wrote == f"wrote 2 episodes to {file}"


def test_what_a_file_of_examples_does_not_have_is_said(client: Client, tmp_path: Path) -> None:
    key = client.adapt("sinusoid", WAVE["inputs"], WAVE["targets"], weights=[1, 1, 0.5, 1, 1]).id
    result = innerloop("adaptations", "export", key, str(tmp_path / "a.csv"))
    assert result.stderr.splitlines()[0] == "the weights of the examples are not in the file"
    wrong = innerloop("adaptations", "export", key, str(tmp_path / "a.txt"))
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("FILE: expected a name that ends in .safetensors (weights), .csv or .jsonl")


def completed(words: str) -> list[str]:
    """What the shell gets for the words of a command, of which the last is not complete."""
    shell = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    result = CliRunner().invoke(cli, env={"_INNERLOOP_COMPLETE": "complete_bash"} | shell, prog_name="innerloop")
    assert result.stderr == ""
    return result.stdout.split()


def test_models_and_ids_are_completed(client: Client) -> None:
    key = adapt(client)
    assert completed("innerloop adapt sin") == ["sinusoid", "sinusoid-bayes"]
    assert completed("innerloop adaptations ls --model war") == ["wards"]
    for command in ("predict", "adaptations show", "adaptations rm", "adaptations export"):
        assert completed(f"innerloop {command} {key[:4]}") == [key]


def test_bundles_are_completed(client: Client, asked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for command in ("try", "evaluate", "value", "calibrate", "navigate", "drive"):
        assert completed(f"innerloop {command} sinusoid-") == ["sinusoid-bayes"], command
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("INNERLOOP_MODELS_DIR", str(tmp_path / "models"))
    assert completed("innerloop try war") == ["wards"]
    assert completed("innerloop evaluate war") == ["wards"]
    monkeypatch.setenv("INNERLOOP_MODELS_DIR", str(tmp_path))
    assert completed(f"innerloop try --server {asked} war") == ["wards"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "nonsense"])
def test_completion_is_silent_without_a_server(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INNERLOOP_URL", url)
    assert completed("innerloop adapt sin") == []
