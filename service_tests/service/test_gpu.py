"""A GPU computes what the CPU computes, within 1e-4: every bundle that ships, eager and compiled, and over HTTP.

`pytest -m gpu` runs the eager half, `pytest -m compiled service_tests/service/test_gpu.py` the compiled one.
"""

import base64
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from PIL import Image

from app.bundles import Named, load
from app.device import choose_device
from app.learn.adapted import Adapted
from app.service.engine import UNTOUCHED, Engine, Job, Result
from app.service.model import Model
from app.service.task import Task
from service_tests.bundles import write_bundle
from service_tests.processes import SHIPPED

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]
every_bundle = pytest.mark.parametrize("name", SHIPPED)
TOLERANCE = 1e-4
Pair = tuple[Model, Model]
"""The same bundle on the CPU and on the GPU."""


def pair_of(folder: Path) -> Pair:
    bundle = load(folder)
    return Model(bundle, choose_device("cpu")), Model(bundle, choose_device("cuda"))


@pytest.fixture(scope="module")
def pairs(models_dir: Path) -> dict[str, Pair]:
    return {name: pair_of(models_dir / name) for name in SHIPPED}


def task_for(model: Model, size: int, seed: int, steps: int | None = None) -> Task:
    """Of so many examples, of three classes or in three episodes of different lengths."""
    manifest, drawn = model.bundle.manifest, np.random.default_rng(seed)
    schema, bounds = manifest.schema, manifest.inner_loop
    inputs = drawn.uniform(-1, 1, (size, schema.features)).astype(np.float32)
    settings = (bounds.steps if steps is None else steps, bounds.learning_rate)
    if manifest.kind == "classification":
        return Task(np.abs(inputs), np.array([f"class {row % 3}" for row in range(size)], object), *settings)
    if manifest.kind == "regression":
        return Task(inputs, np.sin(5 * inputs[:, : schema.targets] + seed).astype(np.float32), *settings)
    assert schema.actions is not None
    actions = drawn.normal(0, 0.05, (size, schema.targets)).astype(np.float32)
    if not schema.actions.is_box:
        actions = drawn.integers(0, schema.targets, (size, 1)).astype(np.float32)
    rewards = drawn.normal(size=(size, 1)).astype(np.float32)
    targets = np.concatenate([actions, rewards, np.full_like(rewards, np.nan)], axis=1)
    return Task(inputs, targets, *settings, episodes=np.sort(np.arange(size, dtype=np.int32) % 3))


def queries_for(model: Model, count: int, seed: int = 0) -> np.ndarray:
    drawn = np.random.default_rng(1000 + seed)
    return drawn.uniform(0, 1, (count, model.bundle.manifest.schema.features)).astype(np.float32)


def close(one: Any, two: Any) -> None:
    np.testing.assert_allclose(np.asarray(one), np.asarray(two), rtol=TOLERANCE, atol=TOLERANCE)


def same_outcomes(one: Sequence[Adapted], two: Sequence[Adapted]) -> None:
    for mine, theirs in zip(one, two, strict=True):
        assert mine.status is theirs.status
        close(mine.losses, theirs.losses)


def same_results(one: Sequence[Result], two: Sequence[Result]) -> None:
    for mine, theirs in zip(one, two, strict=True):
        assert (mine.adapted is None) == (theirs.adapted is None)
        if mine.adapted is not None and theirs.adapted is not None:
            same_outcomes([mine.adapted], [theirs.adapted])
        assert (mine.predictions is None) == (theirs.predictions is None)
        if mine.predictions is not None:
            close(mine.predictions, theirs.predictions)
        for name, value in (mine.weights or {}).items():
            assert theirs.weights is not None
            close(value, theirs.weights[name])


@every_bundle
@pytest.mark.parametrize("sizes", [[6], [3, 7, 12, 5, 9]], ids=["alone", "together"])
def test_adapting_and_predicting(pairs: dict[str, Pair], name: str, sizes: list[int]) -> None:
    found = []
    for model in pairs[name]:
        tasks = [task_for(model, size, seed) for seed, size in enumerate(sizes)]
        view = model.of(tasks[0])
        states, outcomes = view.adapt(tasks)
        assert states.device.type == model.device.type
        answers = view.predict(states, [queries_for(model, 1 + seed, seed) for seed in range(len(sizes))])
        found.append((states[: len(sizes)].cpu(), outcomes, answers))
    (states, outcomes, answers), (their_states, their_outcomes, their_answers) = found
    same_outcomes(their_outcomes, outcomes)
    close(their_states, states)
    for mine, theirs in zip(answers, their_answers, strict=True):
        close(theirs, mine)


@every_bundle
def test_walking(pairs: dict[str, Pair], name: str) -> None:
    found = []
    for model in pairs[name]:
        task = task_for(model, 9, seed=1)
        walk, losses = model.of(task).walk(task), []
        while True:
            try:
                losses.append(next(walk))
            except StopIteration as end:
                found.append((losses, end.value[0].cpu(), end.value[1]))
                break
    (losses, states, outcome), (their_losses, their_states, their_outcome) = found
    assert len(losses) > 1
    close(their_losses, losses)
    close(their_states, states)
    same_outcomes([their_outcome], [outcome])


@every_bundle
def test_any_mix_of_jobs(pairs: dict[str, Pair], name: str) -> None:
    """Adapting, predicting from the cache, the initialization, exported weights and a second stage."""
    found = []
    for model in pairs[name]:
        engine = Engine(cache_bytes=2**20)
        tasks = [task_for(model, 4 + 3 * seed, seed) for seed in range(6)]
        jobs = [
            Job(model, f"id {seed}", task, queries_for(model, 1 + seed % 3), weights=seed < 2)
            for seed, task in enumerate(tasks)
        ]
        asked = [Job(model, f"id {seed}", tasks[seed], queries_for(model, 1, seed)) for seed in (3, 0, 5)]
        if model.ways is None:
            asked.append(Job(model, UNTOUCHED, None, queries_for(model, 2)))
        if tasks[0].episodes is not None:
            later = task_for(model, 8, seed=50)
            second = Task(later.inputs, later.targets, later.steps, later.learning_rate, later.episodes, tasks[2])
            asked.append(Job(model, "second stage", second, queries_for(model, 3)))
        found.append([*engine.run(jobs), *engine.run(asked)])
    same_results(found[1], found[0])


@pytest.mark.parametrize("steps", [0, 1, 20])
def test_other_numbers_of_steps(pairs: dict[str, Pair], steps: int) -> None:
    found = [model.adapt([task_for(model, 5 + seed, seed, steps) for seed in range(4)]) for model in pairs["sinusoid"]]
    same_outcomes(found[1][1], found[0][1])
    close(found[1][0].cpu(), found[0][0])


def test_the_standard_deviation_of_predictions(tmp_path: Path) -> None:
    write_bundle(tmp_path / "spread", "linear", "alpaca", Named("mlp", {"inputs": 1, "hidden": [16, 8]}))
    found = []
    for model in pair_of(tmp_path / "spread"):
        assert model.knows_spread
        states, _ = model.adapt([task_for(model, 5 + seed, seed) for seed in range(3)])
        asked = [queries_for(model, 4, seed) for seed in range(3)]
        found.append((model.predict(states, asked), model.spread(states, asked)))
    for mine, theirs in zip(*found, strict=True):
        close(theirs, mine)


@pytest.mark.compiled
@every_bundle
def test_compiled(models_dir: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiled step, loss and prediction, the unrolled steps and the look-ups, served however fast they are."""
    monkeypatch.setattr("app.service.model.compare", lambda *_: 2.0)
    cpu, gpu = pair_of(models_dir / name)
    if not gpu.compilable:
        pytest.skip(f"{name} stays eager")
    gpu.compile()
    gpu.compile_look_up()
    gpu.unroll()
    gpu.compile_single()  # does nothing on a GPU
    assert gpu.compiled
    assert gpu._single is None
    for tasks in (1, 2, 5, 64):
        some = [task_for(cpu, 4 + seed % 9, seed) for seed in range(tasks)]
        found = [model.adapt(some) for model in (cpu, gpu)]
        same_outcomes(found[1][1], found[0][1])
        close(found[1][0][:tasks].cpu(), found[0][0][:tasks])
        asked = [queries_for(cpu, 1 + seed % 4, seed) for seed in range(tasks)]
        for mine, theirs in zip(cpu.predict(found[0][0], asked), gpu.predict(found[1][0], asked), strict=True):
            close(theirs, mine)
    engines = Engine(cache_bytes=2**20), Engine(cache_bytes=2**20)
    for rows in ([0], [3, 1], list(range(40))):
        results = []
        for engine, model in zip(engines, (cpu, gpu), strict=True):
            jobs = [Job(model, row, task_for(cpu, 6, row), queries_for(cpu, 1, row)) for row in rows]
            assert model is cpu or model.looks_up([jobs[0].queries])  # type: ignore[list-item]
            results.append(engine.run(jobs))
        same_results(results[1], results[0])


@pytest.mark.parametrize("name", ["sinusoid", "omniglot", "navigation"])
def test_memory_stays_bounded(pairs: dict[str, Pair], name: str) -> None:
    """The most that is allocated does not grow with what has been adapted."""
    _, gpu = pairs[name]
    engine, most = Engine(cache_bytes=2**20), []
    for turn in range(12):
        torch.cuda.reset_peak_memory_stats()
        tasks = [task_for(gpu, 10, 100 * turn + seed) for seed in range(64)]
        engine.run([Job(gpu, (turn, seed), task, queries_for(gpu, 2)) for seed, task in enumerate(tasks)])
        most.append(torch.cuda.max_memory_allocated())
    # not to the byte: the allocator splits a block of memory or does not
    assert max(most[4:]) <= 1.05 * max(most[:4])


def png(seed: int) -> str:
    """A drawing, dark on light."""
    pixels = np.where(np.random.default_rng(seed).random((28, 28)) < 0.2, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def body_for(name: str) -> tuple[dict[str, Any], list[Any]]:
    """A support set and queries, as they are posted."""
    drawn = np.random.default_rng(0)
    if name == "sinusoid":
        x = drawn.uniform(-5, 5, (10, 1)).round(3)
        return {"inputs": x.tolist(), "targets": np.sin(x[:, 0]).tolist()}, [[-1.0], [2.0]]
    if name == "omniglot":
        images = [png(seed) for seed in range(6)]
        return {"inputs": images, "targets": list("abcabc")}, [png(10), png(11)]
    places, moves = (drawn.normal(0, 0.1, (20, 15, 2)).round(3).tolist() for _ in range(2))
    rewards = drawn.normal(size=(20, 15)).round(3).tolist()
    episodes = [
        {"observations": at, "actions": by, "rewards": of} for at, by, of in zip(places, moves, rewards, strict=True)
    ]
    return {"episodes": episodes}, [[0.0, 0.0], [0.3, 0.1]]


@pytest.mark.parametrize("name", ["sinusoid", "omniglot", "navigation"])
def test_over_http(serve: Callable[..., TestClient], name: str) -> None:
    support, queries = body_for(name)
    found = []
    for device in ("cpu", "cuda"):
        client = serve(device=device)
        assert client.get("/health/ready").json()["device"] == device
        made = client.post("/adapt", json={"model": name, "support": support})
        assert made.status_code == 201, made.text
        asked = {"adaptation_id": made.json()["adaptation_id"], "queries": queries}
        answer = client.post("/predict", json=asked)
        assert answer.status_code == 200, answer.text
        found.append((made.json(), answer.json()))
    (made_by_cpu, by_cpu), (made_by_gpu, by_gpu) = found
    assert made_by_gpu["status"] == made_by_cpu["status"]
    close(made_by_gpu["losses"], made_by_cpu["losses"])
    if name == "omniglot":
        assert by_gpu["predictions"] == by_cpu["predictions"]
        close(by_gpu["probabilities"], by_cpu["probabilities"])
    else:
        close(by_gpu["predictions"], by_cpu["predictions"])
