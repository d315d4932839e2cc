"""Every test checks the shapes in jaxtyping's annotations at run time, by beartype.

torch.compile cannot trace these checks, so the tests that compile run separately, without them:
`pytest` leaves out the tests marked `compiled`, `pytest -m compiled` runs only them, and `make test` does both.
"""

import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from fastapi.testclient import TestClient
from hypothesis import settings as hypothesis_settings

from service_tests import shape_checks
from service_tests.device import DEVICE  # noqa: F401 (before any settings are read)
from service_tests.processes import MAML, ROOT, command, serving_in_a_thread, starting_fork, wait_until

if TYPE_CHECKING:
    from service_tests.reuse import Reused


def pytest_configure(config: pytest.Config) -> None:
    if config.option.markexpr != "compiled":
        shape_checks.install("app.learn", "app.families")
    hypothesis_settings.register_profile("innerloop", deadline=None, max_examples=25, derandomize=True)
    hypothesis_settings.load_profile("innerloop")
    torch.set_num_threads(1)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With `-m compiled`, files without such a test are not imported, which takes longer than all of these tests."""
    if config.option.markexpr != "compiled" or collection_path.suffix != ".py":
        return None
    return True if "mark.compiled" not in collection_path.read_text() else None


LONG = (
    "test_crash.py",
    "test_memory.py",
    "test_compiler.py",
    "test_openapi.py",
    "test_stopping.py",
    "test_checkpoints.py",
    "test_data_parallel.py",
    "test_parity.py",
)
"""Files with the longest tests. They run first, so that at the end no worker has one that the others wait for."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in LONG)  # the others keep their order
    if config.option.markexpr != "compiled":
        compiled = [item for item in items if item.get_closest_marker("compiled")]
        config.hook.pytest_deselected(items=compiled)
        items[:] = [item for item in items if item not in compiled]


class Clock:
    """A clock that a test can set."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Work:
    """What engines have done: the tasks that they ran, and the steps that they walked one by one (fixture `work`).

    submitted: the jobs that batchers were asked to accept, those that they refused included

    Between `hold` and `release` each run and each step of a walk waits until `let_through` lets it through.
    """

    def __init__(self) -> None:
        self.tasks: list[Any] = []
        self.steps = 0
        self.submitted = 0
        self.waiting = 0
        self._held = False
        self._gate = threading.Semaphore(0)

    def hold(self) -> None:
        self._held, self._gate = True, threading.Semaphore(0)

    def let_through(self, count: int = 1) -> None:
        self._gate.release(count)

    def release(self) -> None:
        self._held = False
        self._gate.release(1000)

    def until_waiting(self, count: int = 1) -> None:
        """Wait until this many runs and steps in total have come to the gate."""
        wait_until(lambda: self.waiting >= count, "no work comes to the engine", 10)

    def until_submitted(self, count: int) -> None:
        """Wait until batchers were asked to accept this many jobs in total: those that do not run are queued then."""
        wait_until(lambda: self.submitted >= count, f"{self.submitted} jobs are submitted, not {count}", 10)

    def wait(self) -> None:
        if self._held:
            self.waiting += 1
            assert self._gate.acquire(timeout=20)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the shipped bundles, but for `sinusoid`, which is MAML's."""
    folder = tmp_path_factory.mktemp("models")
    for bundle in (ROOT / "models").iterdir():
        (folder / bundle.name).symlink_to(MAML if bundle.name == MAML.name else bundle)
    return folder


@pytest.fixture
def own_models(models_dir: Path, tmp_path: Path) -> Path:
    """A copy of the shipped bundles, which a test may change."""
    return Path(shutil.copytree(models_dir, tmp_path / "models"))


@pytest.fixture(scope="session")
def classifiers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained bundles: `blobs` takes any number of classes, `fixed` at most 5, `calibrated_blobs` is calibrated."""
    from app.learn.calibration_table import Calibration
    from app.learn.networks import NetworkSpec  # after the shape checks are installed
    from service_tests.bundles import write_bundle

    folder = tmp_path_factory.mktemp("models")
    embedding = NetworkSpec("mlp", {"inputs": 2, "outputs": 16, "hidden": [32]})
    write_bundle(folder / "blobs", "blobs", "protonet", embedding)
    write_bundle(folder / "fixed", "blobs", "maml", NetworkSpec("mlp", {"inputs": 2, "outputs": 5, "hidden": [32]}))
    calibration = Calibration(tasks=1, shots=(1, 4), temperature=2.0, familiarity=(-9.0, -1.0))
    write_bundle(folder / "calibrated_blobs", "blobs", "protonet", embedding, calibration=calibration)
    return folder


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    """Untrained policies: `names` and `paced` (learned rates) choose between 3 actions, `box` chooses 2 numbers."""
    from service_tests.bundles import write_policies  # after the shape checks are installed

    write_policies(tmp_path / "policies")
    return tmp_path / "policies"


@pytest.fixture
def retrain(own_models: Path) -> Callable[..., str]:
    """A function that scales the weights of a bundle in `own_models` and returns the new digest."""
    from app.bundles.folder import load, write  # after the shape checks are installed

    def scale_weights(scale: float, name: str = "sinusoid") -> str:
        old = load(own_models / name)
        write(own_models / name, old.manifest, {part: value * scale for part, value in old.meta.items()})
        return load(own_models / name).manifest.digest

    return scale_weights


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Iterator["Work"]:
    """Record what the engines of this process do from now on, and hold them up at a gate on request."""
    from app.service.engine import Engine
    from app.service.job import Job, Result
    from app.service.model import Model
    from app.service.work_queue import WorkQueue

    work = Work()
    accept, run, step = WorkQueue.accept, Engine.run, Model.walk

    def watched_accept(queue: WorkQueue, count: int, size: int) -> None:
        work.submitted += count
        accept(queue, count, size)

    def watched_run(engine: Engine, jobs: Sequence[Job]) -> list[Result]:
        work.wait()
        work.tasks += [job.task for job in jobs if job.task is not None]
        return run(engine, jobs)

    def watched_walk(model: Model, task: object) -> Any:
        walk = step(model, task)  # type: ignore[arg-type]
        while True:
            work.wait()
            try:
                loss = next(walk)
            except StopIteration as end:
                return end.value
            work.steps += 1
            yield loss

    monkeypatch.setattr(WorkQueue, "accept", watched_accept)
    monkeypatch.setattr(Engine, "run", watched_run)
    monkeypatch.setattr(Engine, "seconds", lambda *_: float("inf"))
    monkeypatch.setattr(Model, "walk", watched_walk)
    yield work
    work.release()


@pytest.fixture(scope="session")
def reused() -> "Reused":
    """The bundles and models that the servers of this process share and borrow."""
    from service_tests.reuse import Reused  # after the shape checks are installed

    return Reused()


@pytest.fixture
def reused_models(reused: "Reused", monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Servers of this process start with bundles and models that earlier ones had."""
    with reused.lending() as borrow:
        monkeypatch.setattr("app.bundles.folder.load", reused.load)
        monkeypatch.setattr("app.main.Model", borrow)
        yield


@pytest.fixture
def serve(models_dir: Path, clock: Clock, reused_models: None) -> Iterator[Callable[..., TestClient]]:
    """A function that starts a server in this process with the given settings; by default it is eager."""
    from app.main import create_app  # after the shape checks are installed
    from app.settings import Settings

    clients = []

    def start(*, raise_server_exceptions: bool = True, **settings: object) -> TestClient:
        resolved = Settings.model_validate(
            {"models_dir": models_dir, "compile": False, "watch": False, "store": "memory"} | settings
        )
        client = TestClient(create_app(resolved, clock), raise_server_exceptions=raise_server_exceptions)
        client.__enter__()
        clients.append(client)
        return client

    yield start
    for client in clients:
        if client.portal is not None:  # otherwise the test has stopped the server
            client.__exit__(None, None, None)


@pytest.fixture
def serve_live(models_dir: Path, clock: Clock, reused_models: None) -> Iterator[Callable[..., str]]:
    """A function that starts a server as `serve` does, on a thread and a port of loopback, and returns its URL."""
    from app.main import create_app
    from app.settings import Settings

    with ExitStack() as servers:

        def start(**settings: object) -> str:
            resolved = Settings.model_validate(
                {"models_dir": models_dir, "compile": False, "watch": False, "store": "memory"} | settings
            )
            return servers.enter_context(serving_in_a_thread(create_app(resolved, clock)))

        yield start


@pytest.fixture(scope="session")
def live_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an eager `innerloop serve` in a process of its own."""
    state = tmp_path_factory.mktemp("state")
    with starting_fork([command("innerloop"), "serve"], state / "log", compile=False, state_dir=state) as (url, _):
        yield url


@pytest.fixture
def client(serve: Callable[..., TestClient]) -> TestClient:
    """A client of a server with the shipped bundles."""
    return serve()
