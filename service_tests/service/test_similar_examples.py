"""How alike queries and support sets are, and which example is nearest."""

import numpy as np
import pytest
import torch

from app.learn.query_ood import largest_cosines
from app.service.similar_examples import compare
from app.service.stored_examples import object_rows
from app.service.task import Task


def task(rows: int = 6, **fields: object) -> Task:
    inputs = np.random.default_rng(0).normal(size=(rows, 4)).astype(np.float32)
    targets = np.array(["card", "pin", "card", "sun", "sun", "pin"][:rows], object)
    return Task(inputs, targets, 5, 0.1, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("weights", [None, np.array([1, 2, 0.5, 1, 1, 3], np.float32)])
def test_it_is_what_calibration_measures(weights: np.ndarray | None) -> None:
    examples, queries = task(weights=weights), np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)
    similar = compare(queries, examples)
    mask = torch.ones(6, dtype=torch.bool) if weights is None else torch.from_numpy(weights)
    asked, support, targets = map(torch.from_numpy, (queries, examples.inputs, examples.one_hot(3)))
    expected = largest_cosines(asked, support, targets, mask)
    np.testing.assert_allclose(similar.similarity, expected, atol=1e-6)
    lengths = np.linalg.norm(examples.inputs, axis=1)
    np.testing.assert_array_equal(similar.nearest, (queries @ examples.inputs.T / lengths).argmax(1))


def test_a_name_is_no_example_that_could_be_named() -> None:
    named = task(label_names=True).with_names(task().inputs, -task().inputs[:3])
    assert (named.named, named.label_names, named.kept_by) == (3, False, None)
    assert named.targets[-3:].tolist() == ["card", "pin", "sun"]
    similar = compare(-task().inputs[:3], named)
    np.testing.assert_allclose(similar.similarity, 1, atol=1e-6)
    assert similar.nearest is not None
    assert (similar.nearest < 6).all()


def test_names_alone_have_no_nearest_example() -> None:
    empty = Task(np.empty((0, 4), np.float32), np.empty(0, object), 5, 0.1, labels=("card", "pin"), label_names=True)
    similar = compare(task().inputs, empty.with_names(empty.inputs, task().inputs[:2]))
    assert similar.nearest is None
    assert similar.similarity[0] == pytest.approx(1.0)


def test_shots_count_names() -> None:
    assert task(label_names=True).shots == 3
    assert task().shots == 2
    assert Task(object_rows(["a", "b"]), np.array(["A7", "A7"], object), 5, 0.1, label_names=True).shots == 2
    declared = Task(np.empty((0, 4), np.float32), np.empty(0, object), 5, 0.1, labels=("card", "A7"), label_names=True)
    assert declared.shots == 1


def test_arrays_may_be_read_only() -> None:
    """As those of records are."""
    examples = task(weights=np.ones(6, np.float32))
    assert examples.weights is not None
    queries = examples.inputs.copy()
    expected = compare(queries, examples)
    for array in (queries, examples.inputs, examples.weights):
        array.setflags(write=False)
    np.testing.assert_array_equal(compare(queries, examples).similarity, expected.similarity)
