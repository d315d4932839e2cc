"""Features of what records keep: encoded once and together, cached by owner and content, counted before it begins."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from app.encoders.image import ImageEncoder
from app.encoders.numbers import NumbersEncoder
from app.errors import Outgrown
from app.learn.support_ood import OODReference
from app.service.engine import Engine
from app.service.feature_cache import ENTRY_BYTES, FeatureCache, encode_tasks
from app.service.job import Job
from app.service.large_work import LargeJob, LargeWork
from app.service.model import Model
from app.service.stored_examples import object_rows
from app.service.task import Task
from app.service.work_cost import LARGE, PRICE_A_SECOND
from service_tests.bundles import write_encoder_bundle
from service_tests.encoders.cases import drawing, picture

FILES = [picture(drawing(28, seed)) for seed in range(4)]


@pytest.fixture
def model(tmp_path: Any) -> Model:
    return model_of(tmp_path / "letters", ImageEncoder((28, 28)))


def model_of(folder: Any, encoder: Any) -> Model:
    import torch

    from app.bundles.folder import load

    write_encoder_bundle(folder, encoder)
    return Model(load(folder), torch.device("cpu"))


def task(rows: Sequence[Any], owner: str | None = "ann", previous: Task | None = None) -> Task:
    inputs = np.stack(rows) if isinstance(rows[0], np.ndarray) else object_rows(rows)
    return Task(inputs, np.ones((len(rows), 1), np.float32), 5, 0.1, previous=previous, kept_by=owner)


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of rows of each call of the encoder of images."""
    calls: list[int] = []
    encode = ImageEncoder.encode

    def watched(encoder: ImageEncoder, rows: Any) -> np.ndarray:
        calls.append(len(rows))
        return encode(encoder, rows)

    monkeypatch.setattr(ImageEncoder, "encode", watched)
    return calls


def test_rows_of_a_batch_are_encoded_together_and_once(model: Model, encoded: list[int]) -> None:
    cache, encoder = FeatureCache(), model.bundle.encoder
    both = encode_tasks(model, [task(FILES[:2]), task(FILES[2:])], cache)
    assert encoded == [4]
    again = encode_tasks(model, [task(FILES)], cache)
    assert encoded == [4]
    np.testing.assert_array_equal(np.concatenate([each.inputs for each in both]), encoder.encode(FILES))
    np.testing.assert_array_equal(again[0].inputs, encoder.encode(FILES))
    assert [each.kept_by for each in (*both, *again)] == [None] * 3


def test_stages_keep_their_order(model: Model) -> None:
    (last,) = encode_tasks(model, [task(FILES[2:], previous=task(FILES[:2]))], FeatureCache())
    assert last.previous is not None
    np.testing.assert_array_equal(last.previous.inputs, model.bundle.encoder.encode(FILES[:2]))
    np.testing.assert_array_equal(last.inputs, model.bundle.encoder.encode(FILES[2:]))


def test_owners_do_not_share_features_and_each_bundle_has_its_own(
    model: Model, encoded: list[int], tmp_path: Any
) -> None:
    cache = FeatureCache()
    encode_tasks(model, [task(FILES, "ann"), task(FILES, "bob")], cache)
    assert encoded == [4, 4]
    smaller = model_of(tmp_path / "small", ImageEncoder((14, 14)))
    encoded.clear()
    (other,) = encode_tasks(smaller, [task(FILES, "ann")], cache)
    assert (encoded, other.inputs.shape) == ([4], (4, 196))


def test_features_are_dropped_and_evicted(model: Model, encoded: list[int]) -> None:
    cache = FeatureCache(3 * (784 * 2 + ENTRY_BYTES))  # black and white are exact in half precision
    encode_tasks(model, [task(FILES)], cache)
    assert len(cache) == 3
    cache.drop("ann", FILES)
    cache.drop("ann", [np.zeros(3), ["never", "there"]])
    assert len(cache) == 0
    encoded.clear()
    encode_tasks(model, [task(FILES[:2])], cache)
    assert encoded == [2]


def test_arrays_of_images_are_features(model: Model, encoded: list[int]) -> None:
    rows = [np.full(784, value, np.float32) for value in (0, 255)]  # as an older server took them
    (same,) = encode_tasks(model, [task(rows)], FeatureCache())
    np.testing.assert_array_equal(same.inputs, np.stack(rows))
    assert encoded == []


def test_a_refused_row_has_outgrown_the_bundle(model: Model) -> None:
    with pytest.raises(Outgrown, match="letters"):
        encode_tasks(model, [task([FILES[0], FILES[1][:60]])], FeatureCache())


def test_only_what_is_missing_is_encoded(model: Model, encoded: list[int]) -> None:
    engine, queries = Engine(2**20), np.zeros((1, 784), np.float32)
    engine.run([Job(model, "one", task(FILES[:2]), queries)])
    engine.run([Job(model, "one", task(FILES[:2]), queries)])
    engine.run([Job(model, "one", task(FILES[:2]), queries), *(Job(model, "two", task(FILES[1:]), queries),) * 2])
    assert encoded == [2, 2]
    engine.forget("ann", FILES)
    assert len(engine.features) == 0


def test_rows_that_are_repeated_are_encoded_once(model: Model, encoded: list[int]) -> None:
    rows = object_rows([FILES[0], FILES[1], FILES[0], FILES[0]])
    features = FeatureCache().encode(model, "ann", rows)
    assert encoded == [2]
    np.testing.assert_array_equal(features, model.bundle.encoder.encode(rows.tolist()))


def test_queries_are_compared_with_the_features_of_what_is_kept(model: Model, encoded: list[int]) -> None:
    """Also where the fast weights are cached; the features come from the cache then."""
    reference = OODReference(1, 0, (0.0,) * 784, (2.0,) * 784, input_low=(0.0,) * 784, input_high=(1.0,) * 784)
    queries = model.bundle.encoder.encode(FILES[1:])
    encoded.clear()
    engine, job = Engine(2**20), Job(model, "one", task(FILES[:2]), queries, reference=reference)
    for _ in range(2):
        distances = engine.run([job])[0].distances
        assert distances is not None
        assert distances[0] == 0
        assert distances[1] == pytest.approx(
            min(np.linalg.norm(queries[1] - each) / 2 for each in model.bundle.encoder.encode(FILES[:2])), rel=1e-6
        )
    assert engine.seconds([job]) < 1, "the features are cached"
    engine.features.drop("ann", FILES[:2])
    assert engine.seconds([job]) == float("inf"), "not on the event loop"
    assert encoded[0] == 2
    assert engine.run([Job(model, "one", job.task, reference=reference)])[0].distances is None
    assert engine.run([Job(model, "one", job.task, queries)])[0].distances is None


def near(features: int) -> OODReference:
    return OODReference(1, 0, (0.0,) * features, (2.0,) * features)


def compared(model: Model) -> Model:
    """The model of a bundle whose calibration has distances."""
    calibration = replace(model.bundle.manifest.calibration, distances=(), stretch=())
    manifest = replace(model.bundle.manifest, calibration=calibration)
    return Model(replace(model.bundle, manifest=manifest), model.device)


def test_a_task_keeps_features_that_are_compared_and_no_larger_than_its_inputs(model: Model, tmp_path: Any) -> None:
    rows = np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32)
    scaled = model_of(tmp_path / "scaled", NumbersEncoder.fit(rows, scale=True))
    for each, inputs, kept in ((scaled, rows, False), (compared(scaled), rows, True), (compared(model), FILES, False)):
        posted = task(list(inputs), "ann")
        first, second = (encode_tasks(each, [posted], FeatureCache())[0] for _ in range(2))
        assert (first is second) == kept == (posted.encoded_for(each.digest) is first)
        assert posted.encoded_for("another") is None
        np.testing.assert_array_equal(first.inputs, second.inputs)
        np.testing.assert_array_equal(first.inputs, each.bundle.encoder.encode(inputs))


def test_comparing_costs_the_encoding_until_the_features_are_kept(tmp_path: Any) -> None:
    rows = np.random.default_rng(0).normal(size=(900, 2)).astype(np.float32)
    scaled = compared(model_of(tmp_path / "scaled", NumbersEncoder.fit(rows, scale=True)))
    posted, queries = task(list(rows), "ann"), np.zeros((1, 2), np.float32)
    new = Job(scaled, "one", posted, queries, reference=near(2))
    Engine(2**20).run([new])
    kept = Job(scaled, "one", posted, queries, reference=near(2))
    encoding = int(scaled.bundle.encoder.seconds(rows) * PRICE_A_SECOND)
    assert encoding > 0
    assert new.answer_price - kept.answer_price == new.price - kept.price == encoding
    assert kept.answer_price == kept.query_price


def test_the_parts_of_large_work_share_their_features(
    model: Model, encoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.service.job.LARGE", 1)
    queries = np.zeros((5, 784), np.float32)
    job = Job(model, "one", task(FILES[:2]), queries, reference=near(784))
    ((result, _),) = LargeWork(2**40, FeatureCache(0)).run([LargeJob(job, None, job.price)], lambda: False)
    assert encoded == [2]
    assert result.distances is not None
    assert len(result.distances) == 5


def test_image_files_are_never_encoded_on_the_event_loop(model: Model) -> None:
    engine, job = Engine(2**20), Job(model, "one", task(FILES), np.zeros((1, 784), np.float32))
    for _ in range(2):  # the second time with cached fast weights
        engine.run([job])
    assert engine.seconds([job]) < 1
    evicted = Job(model, "another", job.task, job.queries)
    assert engine.seconds([evicted]) < 1, "the features are cached"
    engine.features.drop("ann", FILES)
    assert engine.seconds([evicted]) == float("inf")


def test_encoding_is_part_of_the_price_and_of_the_time(model: Model, tmp_path: Any) -> None:
    plain, kept = (Job(model, "one", task(FILES, owner)) for owner in (None, "ann"))
    seconds = model.bundle.encoder.seconds(FILES)
    assert seconds > 1e-3
    assert kept.price - plain.price == pytest.approx(seconds * PRICE_A_SECOND, rel=1e-6)
    rows = np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32)
    scaled = model_of(tmp_path / "scaled", NumbersEncoder.fit(rows, scale=True))
    engine = Engine(2**20)
    plain, kept = (Job(scaled, owner, task(list(rows), owner)) for owner in (None, "ann"))
    for _ in range(2):
        engine.run([Job(scaled, object(), plain.task)])
    assert engine.seconds([kept]) - engine.seconds([plain]) == pytest.approx(scaled.bundle.encoder.seconds(rows))


def test_numbers_as_they_are_need_no_encoding(tmp_path: Any) -> None:
    model = model_of(tmp_path / "plain", NumbersEncoder((2,)))
    assert not model.encodes
    assert model.encoding_seconds(task([np.ones(2, np.float32)])) == 0


def test_features_that_are_exact_in_half_precision_are_kept_in_it(model: Model) -> None:
    gray = [picture(np.full((28, 28), shade, np.uint8)) for shade in (100, 101)]
    cache, (fresh,) = FeatureCache(), encode_tasks(model, [task([FILES[0], *gray])], FeatureCache())
    for _ in range(2):
        (cached,) = encode_tasks(model, [task([FILES[0], *gray])], cache)
        np.testing.assert_array_equal(cached.inputs, fresh.inputs)
        assert cached.inputs.dtype == np.float32


@pytest.fixture
def texts(tmp_path: Any) -> Model:
    import torch

    from app.bundles.folder import load
    from app.encoders.text import TextEncoder
    from service_tests.sentence_models import write_sentence_model, write_text_bundle

    encoder = TextEncoder.of_model(str(write_sentence_model(tmp_path / "sentences")))
    write_text_bundle(tmp_path / "texts", encoder)
    return Model(load(tmp_path / "texts"), torch.device("cpu"))


def text_task(owner: str = "ann") -> Task:
    targets = np.array(["card", "card", "pin change"], object)
    rows = object_rows(["my card", "the card lost", "change the pin"])
    return Task(rows, targets, 5, 0.1, kept_by=owner, label_names=True)


def test_a_forgotten_text_leaves_the_cache_with_the_words_of_its_label(texts: Model) -> None:
    engine, queries = Engine(1 << 20), object_rows(["my card", "please"])
    first = engine.run([Job(texts, "a", text_task(), queries, similar=True)])
    assert len(engine.features) == 3 + 2 + 1  # "my card" is an example and a query
    engine.forget("ann", ["my card", "the card lost", "change the pin", "card", "pin change"])
    assert len(engine.features) == 1
    again = engine.run([Job(texts, "a", text_task(), queries, similar=True)])
    assert first[0].similarity is not None
    assert again[0].similarity is not None
    np.testing.assert_allclose(first[0].similarity, again[0].similarity, atol=1e-6)


def test_owners_do_not_share_embeddings(texts: Model) -> None:
    engine, queries = Engine(1 << 20), object_rows(["please"])
    engine.run([Job(texts, owner, text_task(owner), queries) for owner in ("ann", "bob")])
    assert len(engine.features) == 2 * (3 + 2 + 1)
    engine.forget("ann", [*text_task().inputs, *text_task().names.values()])
    assert len(engine.features) == 6 + 1


def test_queries_that_the_worker_encodes_count_in_the_price(texts: Model) -> None:
    rows = [f"please {index}" for index in range(10)]
    posted = Job(texts, "a", text_task(), object_rows(rows))
    known = Job(texts, "a", text_task(), np.zeros((10, 16), np.float32))
    seconds = texts.bundle.encoder.seconds(rows)
    assert posted.answer_price - known.answer_price == pytest.approx(seconds * PRICE_A_SECOND, rel=0.01)
    assert posted.queries_at_once == known.queries_at_once, "queries are encoded before they are divided"


def test_a_text_that_is_repeated_costs_once(texts: Model) -> None:
    once, often = (Job(texts, "a", text_task(), object_rows(rows)) for rows in (["please"], ["please"] * 10))
    assert once.query_seconds == often.query_seconds > 0


def test_what_the_cache_has_costs_nothing_again(texts: Model) -> None:
    engine = Engine(1 << 20)
    job = Job(texts, "a", text_task(), object_rows(["my card", "please"]), similar=True)
    assert (engine.price(job), engine.answer_price(job)) == (job.price, job.answer_price)
    assert engine.seconds([job]) == float("inf")
    for _ in range(2):  # the second time with cached fast weights
        engine.run([job])
    bare = Job(texts, "a", replace(text_task(), kept_by=None), np.zeros((2, 16), np.float32), similar=True)
    cheap = engine.price(job)
    assert cheap == pytest.approx(bare.price, abs=2)
    assert engine.answer_price(job) == pytest.approx(bare.answer_price, abs=2)
    assert engine.seconds([job]) < 1
    other = Job(texts, "a", text_task("bob"), job.queries, similar=True)
    assert engine.price(other) == job.price, "owners share nothing"
    engine.features.drop("ann", ["pin change"])  # the words of a label
    seconds = texts.bundle.encoder.seconds(["pin change"])
    assert engine.price(job) - cheap == pytest.approx(seconds * PRICE_A_SECOND, rel=0.01)


def test_large_work_encodes_many_texts_at_once(texts: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    encode = type(texts.bundle.encoder).encode

    def counted(encoder: Any, rows: Any) -> np.ndarray:
        sizes.append(len(rows))
        return encode(encoder, rows)

    monkeypatch.setattr(type(texts.bundle.encoder), "encode", counted)
    job = Job(texts, "a", text_task(), object_rows([f"text {number}" for number in range(64)]))
    assert job.price > LARGE
    LargeWork(2**30).run([LargeJob(job, None, job.price)], lambda: False)
    assert sizes == [64, 5], "the queries, and the examples with the words of labels"
    sizes.clear()
    job = replace(job, task=text_task())  # the first one keeps its features
    monkeypatch.setattr("app.service.large_work.ENCODING_S", job.query_seconds / 4)
    LargeWork(2**30).run([LargeJob(job, None, job.price)], lambda: False)
    assert sorted(sizes) == [5, 16, 16, 16, 16]


def test_large_work_on_texts_gives_the_same(texts: Model) -> None:
    job = Job(texts, "a", text_task(), object_rows(["my card", "please", "the pin"] * 8), similar=True)
    (small,) = Engine(1 << 20).run([job])
    ((large, _),) = LargeWork(2**30).run([LargeJob(job, None, job.price)], lambda: False)
    for name in ("predictions", "similarity", "nearest"):
        np.testing.assert_allclose(getattr(large, name), getattr(small, name), atol=1e-5)
