"""The TypeScript client: its types are those of the server, it compiles, and it adapts and predicts.

`python -m service_tests.client.test_typescript` writes its types again.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.main import create_app
from app.settings import Settings
from service_tests.api.requests import body
from service_tests.client.answering import Answering, always
from service_tests.client.misbehaving import ANSWERS, FAILURES, FOREIGN, ROUNDED, misbehaving
from service_tests.processes import ROOT, serving_in_a_thread

FOLDER = ROOT / "app/client/typescript"
TYPES = FOLDER / "src/schema.ts"
PROGRAM = Path(__file__).with_name("uses_client.mts")
STRICT = ("--strict", "--target", "es2022", "--lib", "es2022,dom", "--module", "nodenext")
MADE = ("dist", "node_modules", "package-lock.json", "*.tgz")
"""What npm and tsc make. Git and Docker ignore it, so that it is not packed into the wheel and the image."""


def run(*words: object, folder: Path) -> str:
    """Run a command in a folder. Returns what it prints."""
    process = subprocess.run(
        list(map(str, words)), cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert process.returncode == 0, process.stdout[-3000:] + process.stderr[-3000:]
    return process.stdout


def write_types(tools: Path, file: Path) -> None:
    """Generate the types of this server's OpenAPI document. tools: the folder of the programs of npm packages"""
    app = create_app(Settings(models_dir=ROOT / "models", compile=False, watch=False, store="memory"))
    document = file.with_suffix(".json")
    document.write_text(json.dumps(app.openapi()))
    run(tools / "openapi-typescript", document, "--output", file, folder=file.parent)
    document.unlink()


@pytest.fixture(scope="module")
def tools() -> Path:
    """The folder of the programs that `make test` installs, if there is Node.js with npm."""
    if shutil.which("npm") is None:
        pytest.skip("install Node.js 20.3 or newer, with npm")
    folder = FOLDER / "node_modules/.bin"
    pinned = json.loads((FOLDER / "package.json").read_text())
    for name, version in (pinned["dependencies"] | pinned["devDependencies"]).items():
        package = FOLDER / "node_modules" / name / "package.json"
        if not package.exists() or json.loads(package.read_text())["version"] != version:
            pytest.skip(f"{name} {version} is not installed. To see why, run: make .venv/npm")
    return folder


@pytest.fixture(scope="module")
def project(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's project in which the client is installed, as `npm pack` packs it."""
    folder = tmp_path_factory.mktemp("typescript")
    source, project = folder / "source", folder / "project"
    shutil.copytree(FOLDER, source, ignore=shutil.ignore_patterns(*MADE))
    (source / "node_modules").symlink_to(FOLDER / "node_modules")
    run("npm", "pack", "--offline", folder=source)  # compiles it
    (package,) = source.glob("*.tgz")
    packages = project / "node_modules"
    packages.mkdir(parents=True)
    run("tar", "-xzf", package, "-C", packages, folder=folder)
    (packages / "package").rename(packages / "innerloop-client")
    for name in ("openapi-fetch", "openapi-typescript-helpers"):
        (packages / name).symlink_to(FOLDER / "node_modules" / name)
    return project


def run_program(tools: Path, project: Path, file: Path, *words: str) -> str:
    """Compile a program in a project, and run it."""
    shutil.copy(file, project)
    run(tools / "tsc", *STRICT, file.name, folder=project)
    return run("node", file.with_suffix(".mjs").name, *words, folder=project)


@pytest.fixture(scope="module")
def answer(tools: Path, project: Path, live_server: str) -> dict[str, Any]:
    """What the program prints."""
    answer: dict[str, Any] = json.loads(run_program(tools, project, PROGRAM, live_server))
    return answer


def test_the_types_are_those_of_the_server(tools: Path, tmp_path: Path) -> None:
    write_types(tools, tmp_path / "schema.ts")
    assert (tmp_path / "schema.ts").read_text() == TYPES.read_text(), "run `make types`"


def test_a_program_adapts_and_predicts(answer: dict[str, Any], live_server: str) -> None:
    expected = httpx.post(f"{live_server}/predict", json=body(queries=[[-3], [1], [3]])).json()
    assert answer["answer"]["predictions"] == expected["predictions"]
    assert answer["first"] == expected["losses"][0]
    assert answer["stored"] == answer["adapted"]
    assert answer["adapted"]["adaptation_id"] in answer["listed"]
    assert answer["encoder"] == "numbers"
    proposals = answer["proposed"]["proposals"]
    assert [each["index"] for each in proposals] == [1, 2]
    assert proposals[0]["prediction"] == expected["predictions"][1]


def test_a_program_reads_problems(answer: dict[str, Any], live_server: str) -> None:
    table = {"model": "nothing", "support": {"rows": [{"age": 61, "smoker": True, "target": 1.5}]}}
    expected = httpx.post(f"{live_server}/adapt", json=table).json()
    assert answer["problem"] == {
        "status": 404,
        "type": "urn:problem-type:innerloop:unknown-model",
        "place": "model",
        "models": expected["models"],
        "message": expected["detail"],
    }
    detail = answer["gateway"].pop("detail")
    assert answer["gateway"] == {"status": 502, "type": "about:blank", "title": "Bad Gateway", "name": "InnerloopError"}
    assert detail.startswith(f"{live_server}/predict: expected an answer from Innerloop, got status 502 with ")


def test_every_failure_is_an_error_that_names_the_fix(tools: Path, project: Path) -> None:
    latin = b"HTTP/1.1 200 \xe9\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
    program = PROGRAM.with_name("client_fails.mts")
    with serving_in_a_thread(misbehaving) as url, Answering(always(latin + b'{"adaptation_id": "a"}')) as server:
        printed = json.loads(run_program(tools, project, program, url, server.url))
    for name, message in printed["seen"].items():
        assert FAILURES.get(name.split(":")[0], FOREIGN) in message, name
        assert "\n" not in message, name
    assert len(printed["seen"]) == 3 * len(ANSWERS) + len(FAILURES)
    for name, (status, _, _) in ANSWERS.items():
        assert {printed["statuses"][f"{name}: {call}"] for call in ("adapt", "predict", "adaptation")} == {status}, name
    assert printed["statuses"]["no body"] == 0
    assert printed["others"]["queries"] == [
        {"age": 61}, {"age": 1}, {"at": "1970-01-01T00:00:00.000Z"}, "a", [1, 2], [None],
    ]  # fmt: skip
    assert printed["sent"]["support"] == {"inputs": [[0.5]], "targets": [1.5]}
    assert printed["gaps"]["queries"] == [[None], {"age": None, "seen": None}, [[None]]], "missing values"
    assert printed["numbers"]["exact"]["a"][0] == 2**53
    for name, got in {
        "rounded": "9007199254740993",
        "rounded-later": "-9007199254740993",
        "rounded-long": f"1{'0' * 199}...",
    }.items():
        status, message = printed["numbers"][name]
        assert status == 200
        assert message.endswith(ROUNDED.format(got)), name
    assert printed["latin"] == {"adaptation_id": "a"}
    assert '"ttl_s":9007199254740992}' in printed["raw"], "only numbers in lists may be labels"
    support = json.loads(printed["raw"])["support"]
    assert support == {"inputs": [[2**53 - 1], [-(2**53)], [1e300], [0.1 + 0.2]], "targets": [1e17, 2]}
    assert [type(each) for (each,) in support["inputs"]] == [int, float, float, float]
    assert [type(each) for each in support["targets"]] == [float, int]
    assert json.loads(printed["raw"])["label"] == '", 9007199254740993, "\\\\", 9007199254740993]'
    reasons = {"a string": "mine", "null": None, "a timeout": "TimeoutError", "no reason": "AbortError"}
    assert printed["aborted"] == dict.fromkeys(printed["aborted"], "the same") | reasons


READERS = {
    "weights": ("application/octet-stream", "arrayBuffer"),
    "events": ("text/event-stream", "stream"),
    "events of adapt": ("text/event-stream", "stream"),
    "csv": ("text/csv", "text"),
    "msgpack": ("application/msgpack", "arrayBuffer"),
    "lines": ("application/x-ndjson", "stream"),
}
LABELS = {
    "a target": "support.targets[0]",
    "a declared label": "support.labels[1]",
    "an added target": "targets[0]",
}


def test_answers_that_are_no_json_and_long_labels(tools: Path, project: Path, live_server: str) -> None:
    image = httpx.get(f"{live_server}/models/omniglot").json()["inputs"]["example"]
    numbers = [2**53 + 1, 2**53]
    adapted = []
    for targets in (numbers, list(map(str, numbers))):
        support = {"inputs": [image, image], "targets": targets}
        adapted.append(httpx.post(f"{live_server}/adapt", json={"model": "omniglot", "support": support}).json())
    ids = [each["adaptation_id"] for each in adapted]
    program = PROGRAM.with_name("client_answers.mts")
    printed = json.loads(run_program(tools, project, program, live_server, *ids))
    seen, read = printed["seen"], printed["read"]
    for name, (media, reader) in READERS.items():
        status, message = seen.pop(name)
        assert status == 200
        fix = f'to read it, set `parseAs: "{reader}"` in the call of `http`'
        assert message.endswith(f": expected JSON, got {media}: {fix}"), name
    status, message = seen.pop("a rounded label")
    assert status == 200
    assert message == f"{live_server}/adaptations/{ids[0]}: {ROUNDED.format(2**53 + 1)}"
    for name, place in LABELS.items():
        status, message = seen.pop(name)
        assert status == 422
        assert message.startswith(f"{place}: expected a label: a string, a whole number or true or false, got "), name
        assert message.endswith(": send it as a string"), name
    assert not seen
    assert read["weights"] > 1000
    assert read["events"].count("event: step") == 6
    assert read["table"].startswith("target,unlike\r\n")
    assert json.loads(read["text"])["labels"] == numbers
    assert read["labels"] == list(map(str, numbers))
    assert len(read["predictions"]) == 2


def test_the_example_of_its_page_runs(tools: Path, project: Path, live_server: str, tmp_path: Path) -> None:
    page = (FOLDER / "README.md").read_text()
    example, more = re.findall(r"```ts\n(.*?)```", page, re.DOTALL)
    assert len([line for line in example.splitlines() if line]) <= 10
    (tmp_path / "example.mts").write_text((example + more).replace("http://127.0.0.1:8000", live_server))
    answers, events = run_program(tools, project, tmp_path / "example.mts").split("event: step", 1)
    assert events.count("event: step") == 5
    printed = answers.splitlines()
    numbers = [float(number) for number in re.findall(r"-?[0-9.]+", "".join(printed[:-1]))]
    (promised,) = re.findall(r"// (\[\[.*\]\]), in more digits", example)
    assert [[round(number, 2)] for number in numbers] == json.loads(promised)
    assert printed[-1].startswith("404 adaptation_id: expected the id of a stored adaptation, got ")


def test_the_file_to_install_has_the_version_of_the_page(project: Path) -> None:
    version = json.loads((FOLDER / "package.json").read_text())["version"]
    assert f"innerloop-client-{version}.tgz" in (FOLDER / "README.md").read_text()
    assert (project.parent / f"source/innerloop-client-{version}.tgz").exists()


def test_git_and_docker_ignore_what_npm_and_tsc_make() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for name in MADE:
        path = FOLDER / name.replace("*", "client")
        run("git", "check-ignore", "--quiet", path if path.suffix else path / "file", folder=ROOT)
        assert f"**/{name}" in ignored


if __name__ == "__main__":
    write_types(FOLDER / "node_modules/.bin", TYPES)
    sys.stdout.write(f"wrote {TYPES.relative_to(ROOT)}\n")
