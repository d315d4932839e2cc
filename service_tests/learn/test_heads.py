"""Heads against their formulas written out."""

import torch
from torch.func import functional_call

from app.learn.inner import adapt
from service_tests.learn.problem import examples, schedule, small, tasks


def test_protonet_by_hand() -> None:
    problem = small("protonet")
    data = tasks(kind="classification")
    state, losses = adapt(problem.inner, problem.meta, data.support, *schedule(steps=1))
    logits = problem.inner.apply(problem.meta, state, data.query.inputs)
    for task in range(4):
        supports, queries = (
            functional_call(problem.network, problem.meta, (part.inputs[task],)) for part in (data.support, data.query)
        )
        classes = data.support.targets[task].argmax(-1)
        for way in range(3):
            prototype = supports[classes == way].mean(0)
            for query in range(6):
                expected = -(queries[query] - prototype).square().sum()
                torch.testing.assert_close(logits[task, query, way], expected)
        torch.testing.assert_close(losses[task, 0], torch.tensor(3.0).double().log())


def test_tasks_of_unlike_ways_share_a_batch() -> None:
    """A column more, without examples, changes nothing but that it is there."""
    wide, narrow = small("protonet", ways=5), small("protonet", ways=3)
    few, many = (examples(2, 6, seed=1, kind="classification", ways=ways) for ways in (3, 5))
    states, losses = adapt(wide.inner, wide.meta, many, *schedule(2))
    same, again = adapt(narrow.inner, narrow.meta, few, *schedule(2))
    torch.testing.assert_close(losses, again, rtol=0, atol=1e-12)
    queries = examples(2, 4, seed=2).inputs
    logits, expected = wide.inner.apply(wide.meta, states, queries), narrow.inner.apply(narrow.meta, same, queries)
    torch.testing.assert_close(logits[..., :3], expected, rtol=0, atol=1e-12)
    assert (logits.softmax(-1)[..., 3:] == 0).all()
