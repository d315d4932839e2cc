"""Tasks of texts that keep their features: the same answers, within a bound, and none of a forgotten text."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from weakref import ref

import numpy as np
import pytest
import torch

from app.bundles.folder import load
from app.encoders.text import TextEncoder
from app.service.encoded_tasks import ENTRY_BYTES, EncodedTasks
from app.service.engine import Engine
from app.service.feature_cache import FeatureCache, encode_tasks
from app.service.job import Job, Result
from app.service.model import Model
from app.service.similar_examples import compare
from app.service.stored_examples import object_rows
from app.service.task import Task
from service_tests.sentence_models import write_sentence_model, write_text_bundle

TEXTS = ["my card", "the card lost", "change the pin", "is the sun"]
LABELS = np.array(["card", "card", "pin change", "A7"], object)
QUERIES = object_rows(["my card", "please change", "where is the rain"])
WEIGHTS = np.array([1, 0.5, 3, 2], np.float32)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("texts")
    encoder = TextEncoder.of_model(str(write_sentence_model(folder / "sentences")))
    write_text_bundle(folder / "texts", encoder)
    return Model(load(Path(folder / "texts")), torch.device("cpu"))


def plain(owner: str = "ann") -> Task:
    return Task(object_rows(TEXTS), LABELS, 5, 0.1, kept_by=owner)


def numbers(result: Result) -> list[np.ndarray]:
    found = [result.predictions, result.similarity, result.nearest]
    return [each for each in found if each is not None]


@pytest.mark.parametrize(
    "make",
    [
        plain,
        lambda: replace(plain(), label_names=True),
        lambda: replace(plain(), weights=WEIGHTS),
        lambda: replace(plain(), weights=WEIGHTS, label_names=True, labels=("card", "pin change", "A7", "the rain")),
        lambda: replace(plain(), labels=("the rain", "A7", "pin change", "card")),
    ],
    ids=["plain", "named", "weighted", "weighted and declared", "declared"],
)
def test_answers_are_the_same_bit_for_bit(model: Model, make: Callable[[], Task]) -> None:
    """Of a task that keeps its features, as of one that is encoded and compared for each request."""
    task, engine, forgetful = make(), Engine(1 << 20), Engine(1 << 20, FeatureCache(0))
    for _ in range(3):
        (kept,) = engine.run([Job(model, "a", task, QUERIES, similar=True)])
        (anew,) = forgetful.run([Job(model, "a", make(), QUERIES, similar=True)])
        assert len(numbers(kept)) == 3
        for one, other in zip(numbers(kept), numbers(anew), strict=True):
            np.testing.assert_array_equal(one, other)
    assert task.encoded_for(model.digest) is not None


def test_a_task_is_encoded_once(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, task = FeatureCache(), plain()
    (first,) = encode_tasks(model, [task], cache)
    monkeypatch.delattr(FeatureCache, "encode")
    first_again, both = encode_tasks(model, [task], cache), encode_tasks(model, [task, task], cache)
    assert [*first_again, *both] == [first] * 3
    assert Job(model, "a", task, similar=True).price < Job(model, "a", plain(), similar=True).price


def test_a_forgotten_text_leaves_all_tasks_of_its_owner(model: Model) -> None:
    engine, first, other, of_bob = Engine(1 << 20), plain(), plain(), plain("bob")
    jobs = [Job(model, index, task, QUERIES, similar=True) for index, task in enumerate((first, other, of_bob))]
    engine.run(jobs)
    engine.forget("ann", [TEXTS[0]])
    assert [task.encoded is None for task in (first, other, of_bob)] == [True, True, False]
    assert len(engine.features) == 2 * (len(TEXTS) + 2) - 1
    assert engine.price(Job(model, 0, first, similar=True)) > engine.price(Job(model, 2, of_bob, similar=True))


def test_a_task_that_is_gone_takes_its_features_with_it(model: Model) -> None:
    cache, task = FeatureCache(), plain()
    features = ref(encode_tasks(model, [task], cache)[0])
    assert features() is not None
    del task
    assert features() is None
    cache.drop("ann", TEXTS)
    assert cache.tasks.bytes == len(cache) == 0


def encoded(rows: int) -> Task:
    return Task(np.ones((rows, 4), np.float32), np.array(["card"] * rows, object), 5, 0.1)


def test_the_least_recently_used_lose_their_features() -> None:
    size = encoded(3).bytes + encoded(3).compared_bytes + ENTRY_BYTES
    tasks, kept = [plain() for _ in range(3)], EncodedTasks(2 * size)
    for task in tasks[:2]:
        kept.keep(task, "digest", encoded(3))
    kept.touch(tasks[0])
    kept.keep(tasks[2], "digest", encoded(3))
    assert [task.encoded is None for task in tasks] == [False, True, False]
    assert kept.bytes == 2 * size
    kept.keep(tasks[2], "another", encoded(2))
    assert tasks[2].encoded_for("digest") is None
    assert kept.bytes < 2 * size
    kept.keep(tasks[1], "digest", encoded(1000))
    assert [task.encoded is None for task in tasks] == [False, True, False], "it is larger than all that may be kept"


def test_what_queries_are_compared_with_counts() -> None:
    task = encoded(3)
    compare(np.ones((1, 4), np.float32), task)
    assert task.compared is not None
    assert task.compared_bytes == sum(each.numel() * each.element_size() for each in task.compared)
