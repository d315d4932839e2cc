"""Examples that a CSV would change are not exported as one; in JSON lines they stay as they are."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.errors import printable
from innerloop_client import Client
from service_tests.api.test_support_rows import LABELLED
from service_tests.cli.commands import innerloop
from service_tests.client.answering import ADAPTED, Answering, answer

QUOTED = ["a\rb", "a\nb", "a\r\nb", 'a "b", c', "'a", "{a}", "\xe9"]
"""Texts that a CSV has in quotes, or that only look as if it could not have them."""
LOST: dict[str, list[Any]] = {
    'label 1, which a CSV makes "1"': ["1", 1],
    'label true, which a CSV makes "true"': [True, 1],
    'label " a", which a CSV makes "a"': [" a", "a"],
    'label "", which a CSV makes null': ["", "a"],
    'label "\u2028", which a CSV makes null': ["\u2028", "a"],
    "texts that a CSV cannot have, such as one with a NUL character": ["a\0b", "a"],
}
INPUTS: dict[str, Any] = {"encoder": "table", "columns": [], "example": {}}
MODEL: dict[str, Any] = {
    "name": "sinusoid", "kind": "regression", "target_columns": [{"name": "target", "type": "number"}], "digest": "",
    "algorithm": "maml", "features": 1, "targets": 1, "inner_loop": {}, "compiled": False,
}  # fmt: skip


@pytest.fixture
def client(asked: str) -> Iterator[Client]:
    with Client(asked) as client:
        yield client


def adapt(client: Client, labels: list[Any]) -> str:
    """The id of a new adaptation with these labels."""
    inputs = [{name: value for name, value in LABELLED[0].items() if name != "label"}] * len(labels)
    return client.adapt("risks", inputs, labels).id


def support(client: Client, key: str) -> str:
    """The examples, in JSON: 1 == True in Python."""
    examples = client.adaptation(key).support()
    return json.dumps([examples["inputs"], examples["targets"]])


def again(client: Client, key: str, file: Path) -> str:
    """The examples of an adaptation after a way through a file."""
    exported = innerloop("adaptations", "export", key, str(file))
    assert exported.returncode == 0, exported.stderr
    adapted = innerloop("adapt", "risks", str(file))
    assert adapted.returncode == 0, adapted.stderr
    return support(client, adapted.stdout.strip())


@pytest.mark.parametrize("text", QUOTED)
def test_a_csv_keeps_texts(client: Client, tmp_path: Path, text: str) -> None:
    key = adapt(client, [text, "b"])
    assert again(client, key, tmp_path / "x.csv") == support(client, key)


@pytest.mark.parametrize("what", LOST)
def test_what_a_csv_would_change_needs_json_lines(client: Client, tmp_path: Path, what: str) -> None:
    key, file = adapt(client, LOST[what]), tmp_path / "x.csv"
    result = innerloop("adaptations", "export", key, str(file))
    assert result.stderr == f"FILE: expected a name that ends in .jsonl for {printable(what)}, got .csv\n"
    assert not file.exists()
    assert again(client, key, tmp_path / "x.jsonl") == support(client, key)


def exported(columns: list[dict[str, Any]], rows: list[Any], name: str, targets: list[dict[str, Any]]) -> str:
    """What the command says for the examples of a server with another table. name: of the file"""
    model = MODEL | {"inputs": INPUTS | {"columns": columns}, "target_columns": targets}
    examples = ADAPTED | {"inputs": rows, "targets": [1.5] * len(rows)}

    def respond(number: int) -> list[bytes]:
        line = server.requests[-1].partition(b"\r\n")[0]
        return [answer(model if b" /models/" in line else examples)]

    with Answering(respond) as server:
        result = innerloop("adaptations", "export", "a" * 32, name, "--url", server.url)
    return result.stderr


@pytest.mark.parametrize(
    ("name", "categories", "values", "message"),
    [
        ("ward", ["3", "a"], ["3", "a", " a"], 'ward " a", which a CSV makes "a"'),
        ("ward", [3, "a"], [3, "3"], 'ward "3", which a CSV makes 3'),
        ("ward", [3, "a"], [3, None, "b\rc"], ""),
        ("ward", [True, "a"], ["true"], 'ward "true", which a CSV makes true'),
        ("ward", ["a"], [""], 'ward "", which a CSV makes null'),
        ("ward", [2**62], [2**62 + 1], f"ward {2**62 + 1}, which a CSV makes {float(2**62)}"),
        ("ward", ["a"], ["a" * 200_000], "texts that a CSV cannot have, such as one with a NUL character"),
        (" ward", ["a"], ["a"], "texts that a CSV cannot have, such as one with a NUL character"),
        ("[ward", ["a"], ["a", "a"], ""),
    ],
)
def test_inputs_in_a_csv(tmp_path: Path, name: str, categories: list[Any], values: list[Any], message: str) -> None:
    columns = [{"name": name, "type": "category", "categories": categories}]
    rows, file = [{name: value} for value in values], str(tmp_path / "x.csv")
    said = exported(columns, rows, file, MODEL["target_columns"])
    expected = f"FILE: expected a name that ends in .jsonl for {message}, got .csv\n"
    assert said == (expected if message else f"wrote {len(rows)} examples to {file}\n")


def test_inputs_without_names_do_not_replace_a_target(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    exported([{"name": ""}], [[0.5]], str(file), [{"name": "x", "type": "number"}])
    assert json.loads(file.read_text()) == {"input_x": 0.5, "x": 1.5}


def test_numbers_with_names_keep_them(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    exported([{"name": "time", "type": "number"}], [[0.5]], str(file), MODEL["target_columns"])
    assert file.read_text() == "time,target\n0.5,1.5\n"


def test_an_input_with_the_name_of_the_target_has_no_column(tmp_path: Path) -> None:
    columns = [{"name": "target", "type": "number"}]
    for name in ("x.csv", "x.jsonl"):
        said = exported(columns, [{"target": 1}], str(tmp_path / name), MODEL["target_columns"])
        assert said == (
            "FILE: an input and the target of sinusoid are both called target, so no file can have the examples\n"
        )
