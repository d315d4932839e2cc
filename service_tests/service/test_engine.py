"""Any mix of jobs gives what each gives alone (promise 2), and fast weights are only a cache (promise 3)."""

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.bundles.folder import load, load_all
from app.learn.adaptation_outcome import Adapted
from app.service.compiled.compile_models import compile_look_up, compile_steps
from app.service.engine import Engine
from app.service.job import INITIAL, Job, Result
from app.service.model import Model
from app.service.task import Task
from service_tests.device import DEVICE


@pytest.fixture(scope="module")
def models(models_dir: Path) -> dict[str, Model]:
    bundles, _ = load_all(models_dir)
    return {name: Model(bundle, DEVICE) for name, bundle in bundles.items()}


def task(shots: int, steps: int, seed: int = 0, rate: float = 0.01) -> Task:
    rng = np.random.default_rng(seed)
    x = rng.uniform(-5, 5, (shots, 1)).astype(np.float32)
    return Task(x, np.sin(x).astype(np.float32), steps, rate)


def queries(count: int) -> np.ndarray:
    return np.linspace(-5, 5, count, dtype=np.float32)[:, None]


@st.composite
def jobs(draw: st.DrawFn, models: dict[str, Model]) -> list[Job]:
    some = []
    for index in range(draw(st.integers(1, 12))):
        model = models[draw(st.sampled_from(["sinusoid", "linear"]))]
        inputs = draw(st.one_of(st.none(), st.integers(1, 9).map(queries)))
        if draw(st.booleans()):
            some.append(Job(model, INITIAL, None, queries(3)))
        else:
            shots, steps, rate = draw(st.integers(1, 12)), draw(st.integers(0, 10)), draw(st.floats(0.001, 0.02))
            job = Job(model, f"id {index}", task(shots, steps, index, rate), inputs, keep=draw(st.booleans()))
            job.weights = draw(st.booleans())
            some.append(job)
    return some


def assert_same(one: Result, two: Result) -> None:
    assert (one.predictions is None) == (two.predictions is None)
    if one.predictions is not None and two.predictions is not None:
        np.testing.assert_allclose(one.predictions, two.predictions, rtol=1e-5, atol=1e-5)
    if one.adapted is not None and two.adapted is not None:
        assert one.adapted.status is two.adapted.status
        np.testing.assert_allclose(one.adapted.losses, two.adapted.losses, rtol=1e-4, atol=1e-5)
    assert (one.weights is None) == (two.weights is None)
    if one.weights is not None and two.weights is not None:
        assert one.weights.keys() == two.weights.keys()
        for name in one.weights:
            np.testing.assert_allclose(one.weights[name], two.weights[name], rtol=1e-5, atol=1e-5)


@given(data=st.data())
def test_a_job_among_others_gives_what_it_gives_alone(models: dict[str, Model], data: st.DataObject) -> None:
    some = data.draw(jobs(models))
    together = Engine(cache_bytes=0).run(some)
    for job, result in zip(some, together, strict=True):
        assert_same(result, Engine(cache_bytes=0).run([job])[0])


def test_what_is_cached_is_not_derived_again(models: dict[str, Model]) -> None:
    engine = Engine(cache_bytes=0)
    (first,) = engine.run([Job(models["sinusoid"], "id", task(5, 5), None)])
    (second,) = engine.run([Job(models["sinusoid"], "id", task(5, 5), queries(4))])
    assert first.adapted is not None
    assert second.adapted is None
    assert second.predictions is not None


def test_what_was_given_up_is_derived_again_with_the_same_answers(models: dict[str, Model]) -> None:
    engine = Engine(cache_bytes=0)
    (before,) = engine.run([Job(models["sinusoid"], "id", task(5, 5), queries(4))])
    engine.run([Job(models["sinusoid"], f"other {index}", task(3, 1, index), None) for index in range(600)])
    (after,) = engine.run([Job(models["sinusoid"], "id", task(5, 5), queries(4))])
    assert after.adapted is not None, "it was evicted"
    assert_same(before, after)


def test_more_adaptations_in_one_run_than_the_cache_holds(models: dict[str, Model]) -> None:
    some = [Job(models["sinusoid"], f"id {index}", task(5, 2, index), queries(2)) for index in range(1500)]
    results = Engine(cache_bytes=0).run(some)
    for index in (0, 700, 1499):
        assert_same(results[index], Engine(cache_bytes=0).run([some[index]])[0])


def test_one_that_diverges_does_not_touch_the_others(models: dict[str, Model]) -> None:
    bad = Task(np.full((2, 1), 1e4, np.float32), np.full((2, 1), 1e4, np.float32), 5, 0.01)
    good = Job(models["sinusoid"], "good", task(5, 5), queries(3))
    diverged, fine = Engine(cache_bytes=0).run([Job(models["sinusoid"], "bad", bad, queries(3)), good])
    assert diverged.predictions is None
    assert diverged.adapted is not None
    assert not diverged.adapted.status.usable
    assert_same(fine, Engine(cache_bytes=0).run([good])[0])


def test_the_initialization_answers_as_zero_steps_do(models: dict[str, Model]) -> None:
    engine = Engine(cache_bytes=0)
    model = models["sinusoid"]
    initial, zero = engine.run([Job(model, INITIAL, None, queries(5)), Job(model, "id", task(5, 0), queries(5))])
    assert initial.predictions is not None
    assert zero.predictions is not None
    np.testing.assert_allclose(initial.predictions, zero.predictions, rtol=1e-6, atol=1e-6)


def test_a_walk_ends_where_running_does(models: dict[str, Model]) -> None:
    engine = Engine(cache_bytes=0)
    walked = list(engine.walk(Job(models["sinusoid"], "walked", task(5, 4))))
    at_once, walked_before = engine.run(
        [
            Job(models["sinusoid"], "at once", task(5, 4), queries(3)),
            Job(models["sinusoid"], "walked", task(5, 4), queries(3)),
        ]
    )
    assert at_once.adapted is not None
    assert walked_before.adapted is None, "the fast weights of the walk are cached"
    assert_same(at_once, walked_before._replace(adapted=at_once.adapted))
    *losses, outcome = walked
    assert losses == pytest.approx(list(at_once.adapted.losses), rel=1e-5)
    assert isinstance(outcome, Adapted)
    assert outcome.status is at_once.adapted.status


def test_what_is_dropped_is_derived_again(models: dict[str, Model]) -> None:
    engine = Engine(cache_bytes=0)
    engine.run([Job(models["sinusoid"], "id", task(5, 5))])
    engine.drop(models["sinusoid"], "id")
    engine.drop(models["sinusoid"], "never there")
    (after,) = engine.run([Job(models["sinusoid"], "id", task(5, 5), queries(4))])
    assert after.adapted is not None


def test_what_is_not_kept_is_not_cached(models: dict[str, Model]) -> None:
    engine = Engine(cache_bytes=0)
    for _ in range(2):
        (result,) = engine.run([Job(models["sinusoid"], "id", task(5, 5), queries(4), keep=False)])
        assert result.adapted is not None


def test_how_long_work_takes_is_known_from_work_of_that_size(models: dict[str, Model]) -> None:
    engine = Engine(cache_bytes=0)
    small = [Job(models["sinusoid"], "id", task(5, 5), queries(4))]
    assert engine.seconds(small) == float("inf")
    engine.run(small)
    assert engine.seconds(small) == float("inf"), "it is adapted to now: that is another work"
    engine.drop(models["sinusoid"], "id")
    assert 0 < engine.seconds(small) < 60
    assert engine.seconds([Job(models["linear"], "id", task(5, 5))]) == float("inf")


@pytest.mark.compiled
def test_one_query_each_is_answered_from_the_cache_itself(models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Alone, among others, and where fast weights have to be put there first: as when they are gathered."""
    monkeypatch.setattr("app.service.compiled.choose_faster.speedup", lambda *_: 2.0)  # it serves, fast or not
    looks, gathers = (Model(load(models_dir / "sinusoid"), DEVICE) for _ in range(2))
    looks.functions = compile_steps(looks)
    looks.functions = compile_look_up(looks)
    assert looks.functions.look_up is not None
    answers = []
    for model in (looks, gathers):
        engine = Engine(cache_bytes=0)
        many = [Job(model, f"id {index}", task(5, 3, index), queries(1)) for index in range(40)]
        some = engine.run(many[:9])
        (again,) = engine.run(many[4:5])
        answers.append([*some, again, *engine.run([*many, Job(model, INITIAL, None, queries(1))])])
    for one, two in zip(*answers, strict=True):
        assert_same(one, two)


def test_what_is_held_of_a_model_goes_with_it(models_dir: Path) -> None:
    engine = Engine(cache_bytes=0)
    model = Model(load_all(models_dir)[0]["linear"], DEVICE)
    engine.run([Job(model, "id", task(2, 1))])
    held = weakref.ref(engine._state(model, Job(model, INITIAL, None)).fast)
    del model
    gc.collect()
    assert held() is None


def labelled(ways: int, shots: int, seed: int = 0) -> Task:
    """Points around one of each class, class by class."""
    rng = np.random.default_rng(seed)
    points = np.repeat(rng.normal(size=(ways, 2)) * 5, shots, axis=0) + rng.normal(size=(ways * shots, 2)) * 0.1
    return Task(
        points.astype(np.float32), np.repeat([f"class {way}" for way in range(ways)], shots).astype(object), 1, 0.1
    )


def test_tasks_of_about_as_many_classes_share_a_batch(classifiers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model(load(classifiers / "blobs"), DEVICE)
    batches = []
    adapt = Model.adapt

    def watched(model: Model, tasks: list[Task]) -> object:
        batches.append((model.ways, sorted(len(task.classes) for task in tasks)))
        return adapt(model, tasks)

    monkeypatch.setattr(Model, "adapt", watched)
    jobs = [Job(model, index, labelled(ways, 2), queries=np.zeros((3, 2), np.float32)) for index, ways in WAYS]
    results = Engine(2**20).run(jobs)
    shapes = [result.predictions.shape for result in results if result.predictions is not None]
    assert shapes == [(3, ways) for _, ways in WAYS]
    assert sorted({ways for ways, _ in batches if ways is not None}) == [2, 4, 8]
    assert sum(len(tasks) for _, tasks in batches) == len(jobs)
    assert sorted(variant.ways or 0 for variant in model.variants) == [2, 4, 8]


WAYS = list(enumerate([5, 1, 2, 3, 4, 5, 7, 8]))


def test_fast_weights_of_a_classifier_are_kept_and_dropped(classifiers: Path) -> None:
    model, engine = Model(load(classifiers / "blobs"), DEVICE), Engine(2**20)
    job = Job(model, "kept", labelled(5, 2), np.zeros((3, 2), np.float32))
    assert [engine.run([job])[0].adapted is None for _ in range(2)] == [False, True]
    engine.drop(model, "kept")
    engine.drop(model, "never there")
    assert engine.run([job])[0].adapted is not None
    adapted = list(engine.walk(Job(model, "walked", labelled(3, 2))))
    assert len(adapted) == 3
    assert engine.run([Job(model, "walked", labelled(3, 2), np.zeros((1, 2), np.float32))])[0].adapted is None


def test_a_classifier_goes_with_all_its_views(classifiers: Path) -> None:
    engine, model = Engine(2**20), Model(load(classifiers / "blobs"), DEVICE)
    engine.run([Job(model, "id", labelled(5, 1))])
    views = [weakref.ref(view) for view in model.variants]
    del model
    gc.collect()
    assert [view() for view in views] == [None, None]


def test_a_network_with_an_output_for_each_class_has_one_view(classifiers: Path) -> None:
    model = Model(load(classifiers / "fixed"), DEVICE)
    assert (model.ways, model.max_classes) == (5, 5)
    assert model.for_task(labelled(3, 1)) is model
    (result,) = Engine(2**20).run([Job(model, 1, labelled(3, 1), np.zeros((2, 2), np.float32))])
    assert result.predictions is not None
    assert result.predictions.shape == (2, 3)
