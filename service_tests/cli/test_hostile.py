"""Answers of a server that is not Innerloop, and arguments that no server should get: one line, and exit code 1."""

import gzip
import json
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from app.cli import completion
from service_tests.cli.commands import innerloop
from service_tests.cli.test_adaptations import completed
from service_tests.client.answering import ADAPTED
from service_tests.processes import serving_in_a_thread

LISTED = {
    "adaptation_id": "a" * 32, "model": "sinusoid", "label": "red\x1b[31m\nnext", "support_size": 1, "revision": 1,
    "status": "improved", "expires_at": "2030-01-01",
}  # fmt: skip
ANSWERS = {
    "empty object": (200, "application/json", b"{}"),
    "list": (200, "application/json", b"[]"),
    "null": (200, "application/json", b"null"),
    "nested": (200, "application/json", b"[" * 100_000),
    "cut off": (200, "application/json", b'{"models": ['),
    "other fields": (200, "application/json", b'{"models": [1], "adaptations": [{}], "name": 1, "revisions": []}'),
    "bad gzip": (200, "application/json", b"xx"),
    "web page": (200, "text/html", b"<html>"),
    "no content": (204, "application/json", b""),
    "empty": (200, "text/csv", b""),
    "redirect": (302, "text/html", b""),
    "problem without fields": (422, "application/problem+json", b"{}"),
}
COMMANDS = [
    "adapt sinusoid FILE",
    "predict a FILE",
    "predict a FILE --json",
    "adaptations ls",
    "adaptations show a",
    "adaptations rm a",
    "adaptations export a weights.safetensors",
    "adaptations export a examples.csv",
]


@contextmanager
def answering(status: int, media: str, body: bytes, encoding: str = "") -> Iterator[str]:
    """A server with one answer to every request. Yields its URL."""
    headers = [(b"content-type", media.encode())] + ([(b"content-encoding", encoding.encode())] if encoding else [])

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    with serving_in_a_thread(app) as url:
        yield url


@pytest.mark.parametrize("name", ANSWERS)
def test_another_servers_answer_is_an_error(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "FILE").write_text("x,target\n1,2\n")
    with answering(*ANSWERS[name], encoding="gzip" if name == "bad gzip" else "") as url:
        monkeypatch.setenv("INNERLOOP_URL", url)
        for words in COMMANDS:
            result = innerloop(*words.split(), folder=tmp_path)
            if name == "no content" and "rm" in words:
                assert (result.returncode, result.stdout) == (0, "deleted a\n")
                continue
            assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1), (words, result)
            assert url in result.stderr
        assert completed("innerloop adapt ") == []
        assert completed("innerloop predict ") == []
    assert [file.name for file in tmp_path.iterdir()] == ["FILE"]


def test_completion_does_not_wait_for_an_answer_that_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        stop = threading.Event()

        def trickle() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                while not stop.wait(0.2):
                    connection.sendall(b" ")

        thread = threading.Thread(target=trickle)
        thread.start()
        monkeypatch.setenv("INNERLOOP_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        try:
            assert completed("innerloop adapt ") == []  # would wait for the end otherwise
        finally:
            stop.set()
            thread.join()


def test_words_that_a_shell_would_change_are_not_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = [ADAPTED | {"adaptation_id": each} for each in ("a$(b)", "a b", "a-1")]
    with answering(200, "application/json", json.dumps({"adaptations": listed}).encode()) as url:
        monkeypatch.setattr(completion, "TIMEOUT_S", 60.0)
        context: Any = SimpleNamespace(params={"url": url})
        assert completion.complete_id(context, "a") == [("a-1", "sinusoid")]


def test_control_characters_are_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    body = gzip.compress(json.dumps({"adaptations": [LISTED]}).encode())
    with answering(200, "application/json", body, "gzip") as url:
        monkeypatch.setenv("INNERLOOP_URL", url)
        _, line = innerloop("adaptations", "ls").stdout.splitlines()
        assert "red\\x1b[31m\\nnext" in line
        assert innerloop("adaptations", "ls", "--json").returncode == 0


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/models", "a\nb", "\udcff", "a" * 100_000])
def test_a_text_that_cannot_be_a_name_is_refused_before_asking(name: str, tmp_path: Path) -> None:
    (tmp_path / "FILE").write_text("x,target\n1,2\n")
    for words in ("predict NAME FILE", "adaptations show NAME", "adaptations rm NAME", "adaptations export NAME a.csv"):
        result = innerloop(*(word.replace("NAME", name) for word in words.split()), folder=tmp_path)
        assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1)
        assert result.stderr.startswith("ID: expected the id of an adaptation, got ")
    result = innerloop("adapt", name, "FILE", folder=tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith("MODEL: expected the name of a model, got ")
    assert "\\\\" not in result.stderr, "each character is escaped once"
    assert ('got "a\\nb"' in result.stderr) == (name == "a\nb")


@pytest.mark.parametrize("words", ["adapt a FILE --label", "adaptations ls --label", "adaptations ls --model"])
def test_options_are_utf_8(words: str) -> None:
    result = innerloop(*words.split(), "\udcff")
    assert result.returncode == 2
    assert "expected a text in UTF-8" in result.stderr


def test_standard_streams_that_cannot_be_used(asked: str, tmp_path: Path) -> None:
    """In a shell: only there they are closed or full."""
    import subprocess

    (tmp_path / "FILE").write_text("x,target\n1,2\n2,3\n")
    command = f'"{sys.executable}" -m app.cli'
    cases = {
        "adapt sinusoid - <&-": "FILE: cannot read stdin: it is closed",
        "adapt sinusoid FILE >&-": "stdout: cannot write, because it is closed",
        "adapt sinusoid FILE >/dev/full": 'stdout: cannot write "',
        "adaptations ls >/dev/full": 'stdout: cannot write "id ',
        "adapt --help >/dev/full": "stdout: cannot write: No space left on device",
        "--version >/dev/full": "stdout: cannot write: No space left on device",
    }
    for words, message in cases.items():
        result = subprocess.run(
            ["/bin/sh", "-c", f"{command} {words}"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (result.returncode, result.stderr.count("\n")) == (1, 1), result.stderr
        assert result.stderr.startswith(message), result.stderr
