"""openapi-python-client understands the OpenAPI document: its client adapts, predicts and reads the rest.

service_tests/client/test_typescript.py tests what openapi-typescript generates.
"""

import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from service_tests.api.requests import QUERIES, WAVE, body

PYTHON_GENERATOR = ("openapi-python-client==0.29.1", "typer==0.27.3")
"""It takes typer below 0.28, and the server a newer one: so it gets an environment of its own."""
PACKAGE = "generated_client"
UNKNOWN_TO_IT = {"application/msgpack", "application/x-ndjson", "text/csv"}
"""Media types that openapi-python-client has no code for. It says so, and generates what sends and reads JSON."""


def install(words: list[str], packages: tuple[str, ...]) -> None:
    """Run a command that installs packages. Skip the test if it cannot."""
    try:
        subprocess.run(words, capture_output=True, text=True, timeout=300, check=True)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        pytest.skip(f"{' and '.join(packages)} cannot be installed. To see why, run: {' '.join(words)}")


class PythonClient:
    """The client that openapi-python-client has generated.

    folder: the package; output: what the generator printed; client: the connection of the package
    """

    def __init__(self, folder: Path, output: str, client: object) -> None:
        self.folder, self.output, self._client = folder, output, client
        self.models: Any = importlib.import_module(f"{PACKAGE}.models")

    def call(self, operation: str, answer: str, *path: object, **fields: object) -> Any:
        """Call an operation; its answer is a model with the given name."""
        (module,) = self.folder.glob(f"api/*/{operation}.py")
        route = importlib.import_module(f"{PACKAGE}.api.{module.parent.name}.{operation}")
        parsed = route.sync(*path, client=self._client, **fields)
        assert type(parsed) is getattr(self.models, answer), parsed
        return parsed

    def adapt(self, **fields: object) -> Any:
        return self.call("adapt", "AdaptResponse", body=self.models.AdaptRequest.from_dict(fields))


@pytest.fixture(scope="module")
def python_client(tmp_path_factory: pytest.TempPathFactory, live_server: str) -> Iterator[PythonClient]:
    folder = tmp_path_factory.mktemp("python_client")
    environment, settings = folder / "environment", folder / "settings.yaml"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True, timeout=120)
    python = str(environment / "bin/python")
    install(
        [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", *PYTHON_GENERATOR], PYTHON_GENERATOR
    )
    settings.write_text("post_hooks: []\n")  # by default it formats the client
    generate = [python, "-m", "openapi_python_client", "generate", "--url", f"{live_server}/openapi.json"]
    generate += ["--meta", "none", "--output-path", str(folder / PACKAGE), "--config", str(settings)]
    process = subprocess.run(generate, capture_output=True, text=True, timeout=120, check=False)
    assert process.returncode == 0, process.stdout[-3000:] + process.stderr[-3000:]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        package = importlib.import_module(PACKAGE)
        with package.Client(base_url=live_server, raise_on_unexpected_status=True) as client:
            yield PythonClient(folder / PACKAGE, process.stdout + process.stderr, client)
    for module in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[module]


def test_the_python_generator_leaves_out_only_media_types(python_client: PythonClient, live_server: str) -> None:
    document = httpx.get(f"{live_server}/openapi.json").json()
    assert {name for name in document["components"]["schemas"] if not hasattr(python_client.models, name)} == set()
    modules = {module.stem for module in python_client.folder.glob("api/*/*.py")}
    for methods in document["paths"].values():
        for operation in methods.values():
            assert re.sub("[A-Z]", lambda capital: f"_{capital[0].lower()}", operation["operationId"]) in modules
    reports = re.split("^(?:WARNING|ERROR) ", python_client.output, flags=re.MULTILINE)[1:]
    media = [re.search(r"Unsupported content.type ([\w/.+-]+)", report) for report in reports]
    assert [report for report, found in zip(reports, media, strict=True) if not found] == []
    assert {found[1] for found in media if found} <= UNKNOWN_TO_IT


def test_the_python_client_adapts_and_predicts(python_client: PythonClient) -> None:
    request = python_client.models.PredictRequest
    adaptation = python_client.adapt(**body(label="python client"))
    assert (adaptation.model, adaptation.support_size, adaptation.status) == ("sinusoid", 5, "improved")
    by_id = request.from_dict({"adaptation_id": adaptation.adaptation_id, "queries": QUERIES})
    by_support = request.from_dict(body(queries=QUERIES))
    one, two = (python_client.call("predict", "PredictResponse", body=each) for each in (by_id, by_support))
    assert one.predictions == two.predictions
    assert [len(prediction) for prediction in one.predictions] == [1] * len(QUERIES)
    assert one.revision == 1
    assert len(two.losses) == adaptation.steps + 1


def test_the_python_client_reads_adaptations(python_client: PythonClient) -> None:
    adaptation_id = python_client.adapt(**body(label="read")).adaptation_id
    more = python_client.models.Support.from_dict({"inputs": [[3]], "targets": [0.56]})
    assert python_client.call("add_examples", "AdaptResponse", adaptation_id, body=more).revision == 2
    support = python_client.call("get_support", "SupportView", adaptation_id)
    assert support.inputs == [*WAVE["inputs"], [3]]
    assert support.examples == [0, 1, 2, 3, 4, 5]
    page = python_client.call("list_adaptations", "AdaptationList", label="read")
    assert [each.adaptation_id for each in page.adaptations] == [adaptation_id]
    history = python_client.call("get_history", "History", adaptation_id)
    assert [revision.change for revision in history.revisions] == ["adapted", "extended"]


def test_the_python_client_reads_models_and_episodes(python_client: PythonClient) -> None:
    listed = python_client.call("list_models", "ModelList").models
    assert "navigation" in [model.name for model in listed]
    detail = python_client.call("get_model", "ModelDetail", "navigation")
    assert (detail.kind, detail.actions.form) == ("decision", "box")
    assert detail.inputs["encoder"] == "numbers"
    posted = detail.example["support"]
    adaptation = python_client.adapt(model="navigation", support=posted)
    (episode,) = python_client.call("get_support", "SupportView", adaptation.adaptation_id).episodes
    assert type(episode) is python_client.models.EpisodeView
    assert episode.stage == 1
    assert (episode.observations, episode.actions) == tuple(
        posted["episodes"][0][name] for name in ("observations", "actions")
    )


def test_the_python_client_sends_columns(python_client: PythonClient) -> None:
    columns = python_client.models.Columns.from_dict({"age": 61, "smoker": None})
    request = python_client.models.PredictRequest(queries=[columns], model="sinusoid")
    assert request.to_dict() == {"queries": [{"age": 61, "smoker": None}], "model": "sinusoid"}
    problem = python_client.call("predict", "Problem", body=request)
    assert (problem.status, problem.place) == (422, "queries[0]")


def test_the_python_client_reads_problems(python_client: PythonClient) -> None:
    problem = python_client.call("get_model", "Problem", "cosinusoid")
    assert (problem.status, problem.type_) == (404, "urn:problem-type:innerloop:unknown-model")
    assert "sinusoid" in problem.models
