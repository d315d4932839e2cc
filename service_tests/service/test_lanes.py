"""Small jobs share fused calls; large work runs beside them, in pieces, and gives the same answers."""

import asyncio
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from app.bundles.folder import load
from app.errors import Invalid, Overloaded
from app.learn.adaptation_outcome import Adapted
from app.service import lanes, large_work
from app.service.cross_validation import CrossValidation, Method
from app.service.deadlines import ClientDisconnected
from app.service.engine import Engine
from app.service.job import Job
from app.service.lanes import Lanes
from app.service.large_work import LargeJob, LargeWork
from app.service.model import Model
from app.service.task import Task
from app.service.work_cost import KERNELS, NUMBER_BYTES, distance_price, multiply_adds, peak_bytes
from app.service.work_queue import WorkQueue
from service_tests.device import DEVICE

ROOM = 1 << 30


@pytest.fixture(scope="module")
def model(models_dir: Path) -> Model:
    return Model(load(models_dir / "sinusoid"), DEVICE)


@pytest.fixture(scope="module")
def classifier(models_dir: Path) -> Model:
    return Model(load(models_dir / "omniglot"), DEVICE)


def lanes_of(engine: Engine, max_price: int = 10**12, max_bytes: int = ROOM) -> Lanes:
    small, large = (WorkQueue(engine, 100, ROOM) for _ in range(2))
    return Lanes(engine, small, large, max_price, max_bytes)


def job(model: Model, shots: int, queries: int = 3, key: object = "id") -> Job:
    x = np.linspace(-5, 5, shots, dtype=np.float32)[:, None]
    return Job(model, key, Task(x, np.sin(x), 2, 0.01), np.linspace(-5, 5, queries, dtype=np.float32)[:, None])


def images(classes: int, shots: int = 1) -> Task:
    inputs = np.random.default_rng(0).random((classes * shots, 784), np.float32)
    return Task(inputs, np.array([f"c{index % classes}" for index in range(classes * shots)], object), 1, 0.1)


def test_a_matrix_product_costs_its_multiply_adds_and_its_memory() -> None:
    left, right = torch.empty(3, 5, device="meta"), torch.empty(5, 7, device="meta")
    assert multiply_adds(torch.matmul, left, right) == 3 * 5 * 7
    assert peak_bytes(torch.matmul, left, right) == 4 * 3 * 7
    # what is freed on the way counts as long as it is there; the transposed matrix is the one that was given
    assert peak_bytes(lambda: ((left @ right) @ right.T) @ right) == 4 * (3 * 7 + 3 * 5 + 5 * 7)


def test_a_price_counts_rows_steps_and_queries(model: Model) -> None:
    small, twice = job(model, 10, 4), job(model, 20, 8)
    assert small.price == model.row_price * 10 * (3 * 2 + 1) + 4 * model.answer_price
    assert twice.price == 2 * small.price
    assert Job(model, None, None, small.queries).price == small.answer_price


def test_memory_is_foreseen_without_using_it(classifier: Model) -> None:
    many = classifier.for_task(images(600))
    foreseen = many.peak_bytes(images(600), 0)
    assert foreseen > 600 * 1024 * 4, "the logits alone"
    meter = peak_bytes(lambda: many.adapt([images(600)]))
    assert foreseen == pytest.approx(meter, rel=0.5)


@pytest.mark.parametrize("shots", [5, 300])
def test_large_work_answers_as_small_work_does(model: Model, monkeypatch: pytest.MonkeyPatch, shots: int) -> None:
    compared = replace(job(model, shots, 500), reference=model.bundle.manifest.ood_reference)
    assert compared.price - job(model, shots, 500).price == 500 * shots * distance_price(1)
    expected = Engine(0).run([compared])[0]
    for module in (lanes, large_work):
        monkeypatch.setattr(module, "LARGE", 1000)
    monkeypatch.setattr("app.service.job.LARGE", 100_000)

    async def scenario() -> None:
        engine = Engine(0)
        async with lanes_of(engine) as worker:
            first = await worker.submit(compared)
            again = await worker.submit(compared)
            walked = [event async for event in worker.walk(job(model, shots, key="walked"))]
        assert first.adapted is not None
        assert again.adapted is None, "the fast weights were kept"
        assert engine.fast_weights(job(model, shots, key="walked")) is not None
        for result in (first, again):
            np.testing.assert_allclose(result.predictions, expected.predictions, rtol=1e-4, atol=1e-4)  # type: ignore[arg-type]
            np.testing.assert_allclose(result.distances, expected.distances, rtol=1e-9)  # type: ignore[arg-type]
        assert expected.adapted is not None
        np.testing.assert_allclose(np.array(first.adapted.losses), np.array(expected.adapted.losses), rtol=1e-4)
        assert isinstance(walked[-1], Adapted)
        losses = [event for event in walked if isinstance(event, float)]
        np.testing.assert_allclose(losses, np.array(expected.adapted.losses), rtol=1e-4)

    asyncio.run(scenario())


def test_a_large_cross_validation_is_the_same_in_pieces(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    validation = CrossValidation(model, job(model, 12).task, Method.leave_one_out)  # type: ignore[arg-type]
    expected = validation.quality(Engine(0).run(validation.jobs))
    for module in (lanes, large_work):
        monkeypatch.setattr(module, "LARGE", 3 * validation.jobs[-1].price)

    async def scenario() -> None:
        async with lanes_of(Engine(0)) as worker:
            quality = validation.quality(await worker.submit_all(validation.jobs))
        np.testing.assert_allclose(quality.pop("errors"), expected.pop("errors"), rtol=1e-3, atol=1e-4)
        assert quality["message"] == expected["message"]

    asyncio.run(scenario())


def test_work_over_a_limit_is_refused_by_the_name_of_the_limit(model: Model) -> None:
    async def refused(worker: Lanes, work: Job) -> Invalid:
        async with worker:
            with pytest.raises(Invalid) as error:
                await worker.submit(work)
            return error.value

    big = job(model, 200_000)
    cheap = asyncio.run(refused(lanes_of(Engine(0), max_price=10**6), big))
    assert cheap.place == "support"
    assert "INNERLOOP_MAX_MULTIPLY_ADDS" in str(cheap)
    tight = asyncio.run(refused(lanes_of(Engine(0), max_bytes=10**6), big))
    assert tight.place == "support"
    assert "INNERLOOP_MAX_WORK_BYTES" in str(tight)
    many = asyncio.run(refused(lanes_of(Engine(0), max_price=10**6), job(model, 2, 500_000)))
    assert many.place == "queries"
    close = asyncio.run(refused(lanes_of(Engine(0), max_price=big.price - 1), big))
    assert f"got about {big.price / 1e9:,.12g} billion" in str(close), "not rounded to what is allowed"


@pytest.mark.parametrize(("length", "fits"), [(1, True), (200, False)])
def test_the_labels_of_an_answer_count_in_its_memory(classifier: Model, length: int, fits: bool) -> None:
    task = replace(images(2), targets=np.array(["a" * length, "b" * length], object))
    big = Job(classifier, "id", task, np.zeros((200, 784), np.float32))
    queries = 200 * (NUMBER_BYTES * big.variant.outputs + 10)
    limit = KERNELS * big.variant.peak_bytes(task, big.queries_at_once) + queries
    known = LargeJob(big, classifier.for_task(task).adapt([task])[0], big.answer_price)
    if fits:
        assert LargeWork(limit).run([known], lambda: False)
    else:
        with pytest.raises(Invalid, match="INNERLOOP_MAX_WORK_BYTES"):
            LargeWork(limit).run([known], lambda: False)


def test_small_requests_are_answered_while_large_work_runs(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, running = threading.Event(), threading.Event()
    run = LargeWork.run

    def held(work: LargeWork, *arguments: object) -> object:
        running.set()
        assert gate.wait(10)
        return run(work, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(LargeWork, "run", held)

    async def scenario() -> None:
        async with lanes_of(Engine(0)) as worker:
            large = asyncio.create_task(worker.submit(job(model, 200_000)))
            assert await asyncio.to_thread(running.wait, 10)
            small = await worker.submit(job(model, 3, key="small"))
            assert small.predictions is not None
            assert not large.done()
            gate.set()
            assert (await large).predictions is not None

    asyncio.run(scenario())


def test_too_much_large_work_is_refused_at_once(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    monkeypatch.setattr(LargeWork, "run", lambda *_: gate.wait(10) and [])
    big = job(model, 200_000)

    async def scenario() -> None:
        async with lanes_of(Engine(0), max_price=big.price) as worker:
            waiting = [asyncio.create_task(worker.submit(big)) for _ in range(lanes.MAX_WAITING)]
            await asyncio.sleep(0.2)
            with pytest.raises(
                Overloaded, match=r"The queue of large work is full \(at most 4 times INNERLOOP_MAX_MULTIPLY_ADDS\)"
            ):
                await worker.submit(big)
            for each in waiting:
                each.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            gate.set()

    asyncio.run(scenario())


def test_abandoned_work_ends_between_two_pieces(model: Model) -> None:
    work, looks = LargeWork(ROOM), iter([False, True])
    big = job(model, 5, 2 * (10**9 // model.answer_price))
    with pytest.raises(ClientDisconnected):
        work.run([LargeJob(big, None, big.price)], lambda: next(looks))


def test_logits_of_prototypes_are_the_squared_distances(classifier: Model) -> None:
    task = images(5, 2)
    own = classifier.for_task(task)
    states, _ = own.adapt([task])
    logits = own.predict(states, [task.inputs])[0]
    assert logits[:, :5].max() <= 0
    assert (logits[:, :5].argmax(1) == task.indices).all()
