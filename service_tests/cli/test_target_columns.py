"""Which columns are targets and which are inputs, of a model whose inputs have no names."""

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from app.learn.networks import NetworkSpec
from service_tests.bundles import write_bundle
from service_tests.cli.commands import innerloop
from service_tests.cli.test_adapt import adapted, file_of

TWO = "a,b,target_1,target_2\n1,2,3,4\n2,3,4,5\n"
LINES = "".join(
    f"{json.dumps(dict(zip(['a', 'b', 'target_1', 'target_2'], row, strict=True)))}\n"
    for row in ([1, 2, 3, 4], [2, 3, 4, 5])
)


@pytest.fixture
def pairs(tmp_path: Path, serve_live: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL in INNERLOOP_URL, of a server with a model of 2 inputs and 2 targets."""
    network = NetworkSpec("mlp", {"inputs": 2, "outputs": 2, "hidden": [8]})
    write_bundle(tmp_path / "models/pairs", "linear", "maml", network, options={"features": 2, "targets": 2})
    url = serve_live(models_dir=tmp_path / "models")
    monkeypatch.setenv("INNERLOOP_URL", url)
    return url


@pytest.mark.parametrize("content", [TWO, LINES])
def test_the_names_of_the_model_come_in_any_order(pairs: str, tmp_path: Path, content: str) -> None:
    file = file_of(tmp_path, content)
    for names in ("target_1", "target_2"), ("target_2", "target_1"):
        key = adapted("pairs", file, *(word for name in names for word in ("--target", name)))
        assert httpx.get(f"{pairs}/adaptations/{key}/support").json()["targets"] == [[3, 4], [4, 5]]


def test_other_names_are_in_the_order_of_the_model(pairs: str, tmp_path: Path) -> None:
    file = file_of(tmp_path, TWO.replace("target_1", "y").replace("target_2", "z"))
    key = adapted("pairs", file, "--target", "z", "--target", "y")
    assert httpx.get(f"{pairs}/adaptations/{key}/support").json()["targets"] == [[4, 3], [5, 4]]


@pytest.mark.parametrize(
    ("content", "names", "message"),
    [
        (
            TWO.replace("target_2", "z"),
            ["z", "target_1"],
            "--target: expected the column for target_2, got target_1, another target: name the columns in the order",
        ),
        (TWO, ["a", "a"], "--target: a is named twice: name each column once"),
        (TWO, ["target_1", "target_1", "target_2"], "--target: target_1 is named twice: name each column once"),
        ("a;b;y;z\n1;2;3;4\n", ["y", "z"], "line 1: expected columns separated by commas, got semicolons: separate"),
        ("a\ty\n1\t2\n", [], "line 1: expected columns separated by commas, got tabs: separate the cells by commas"),
        ("a,b,y,z\n1,2,3,4\n".encode("utf-16-le"), ["y", "z"], "got the byte 0x00 at 1: save the file as UTF-8"),
        ("a,b,y,z\n1,2,3,4\n1,2,3\n", ["y", "z"], 'line 3: expected 4 cells, got 3: the columns are "a, b, y, z"'),
        (TWO, ["a" * 5000, "b"], f"(a, b, target_1, target_2), got {'a' * 60}..."),
        (TWO, ["a" * 5000] * 2, f"--target: {'a' * 60}... is named twice"),
        (TWO.replace("a,", f"{'a' * 5000},"), ["z", "b"], f"({'a' * 60}..., b, target_1, target_2), got z"),
    ],
)
def test_errors(pairs: str, tmp_path: Path, content: str | bytes, names: list[str], message: str) -> None:
    words = [word for name in names for word in ("--target", name)]
    result = innerloop("adapt", "pairs", file_of(tmp_path, content), *words)
    (line,) = result.stderr.splitlines()
    assert message in line


def test_a_target_is_not_an_input(pairs: str, tmp_path: Path) -> None:
    key = adapted("pairs", file_of(tmp_path, TWO))
    for content in ("a,target_2\n5,6\n", "a,b,target_2\n5,6,7\n", '{"a": 5, "target_2": 6}\n'):
        result = innerloop("predict", key, file_of(tmp_path, content))
        assert (result.returncode, result.stdout) == (1, "")
        assert "expected only inputs of pairs, got a column called target_2, as its target is: remove" in result.stderr
    more = innerloop("predict", key, file_of(tmp_path, "a,b,y\n5,6,7\n"))
    assert "expected 2 columns of numbers, got 3: remove the columns that are not inputs" in more.stderr


def test_json_is_known_by_its_content_and_its_name(pairs: str, tmp_path: Path) -> None:
    lines = '{"a": 1, "b": 2, "target_1": 3, "target_2": 4}\n'
    for name in ("file", "file.csv", "file.jsonl"):
        adapted("pairs", file_of(tmp_path, lines, name))
    for content in ("{'a': 1}\n", "[ 1,\n 2]", "{a:1}\n"):
        result = innerloop("adapt", "pairs", file_of(tmp_path, content, "file.jsonl"))
        assert "expected a JSON object on each line" in result.stderr
    result = innerloop("adapt", "pairs", file_of(tmp_path, "[1," + "[" * 200_000))
    assert result.stderr.endswith("expected a JSON object on each line, got a JSON list\n")


def test_a_name_may_begin_like_json(pairs: str, tmp_path: Path) -> None:
    for first in ("[Ca2+]", "{x}", "[1]"):
        for name in ("file", "file.csv"):
            key = adapted("pairs", file_of(tmp_path, TWO.replace("a,", f"{first},"), name))
            assert len(httpx.get(f"{pairs}/adaptations/{key}/support").json()["targets"]) == 2
    for content, message in {"[1, 2]\n": "got a JSON list", '[\n{"a": 1}]': "got a JSON list", "{\n": "line 1"}.items():
        result = innerloop("adapt", "pairs", file_of(tmp_path, content))
        assert message in result.stderr
