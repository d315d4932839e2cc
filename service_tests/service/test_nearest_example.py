"""Distances of queries from the nearest support example are the same however many numbers there are."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from app.learn import query_ood
from app.service.nearest_example import NUMPY_UP_TO, quick_nearest_distances

SCALE = (0.5, 2.0)
ROWS = st.lists(st.tuples(st.floats(-30, 30, width=32), st.floats(-30, 30, width=32)), min_size=1, max_size=6)


@given(ROWS, ROWS)
def test_few_and_many_are_the_same(queries: list[tuple[float, float]], support: list[tuple[float, float]]) -> None:
    few, examples = np.array(queries, np.float32), np.array(support, np.float32)
    expected = [min(np.hypot((a - c) / 0.5, (b - d) / 2) for c, d in support) for a, b in queries]
    many = np.concatenate([few] * (NUMPY_UP_TO // examples.size + 1))
    assert len(many) * examples.size > NUMPY_UP_TO
    for rows in (few, many):
        found = quick_nearest_distances(rows, examples, SCALE)[: len(few)]
        assert np.array(found) == pytest.approx(np.array(expected), rel=1e-9, abs=1e-12)
    one = quick_nearest_distances(few[:1, :1], examples[:, :1], SCALE[:1])
    assert one == pytest.approx([min(abs(queries[0][0] - x) / 0.5 for x, _ in support)], rel=1e-9)


def test_many_queries_are_compared_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    queries, support = torch.randn(3, 50, 4), torch.randn(3, 7, 4)
    whole = query_ood.nearest_distances(queries, support, (1.0,) * 4)
    assert whole.shape == (3, 50)
    monkeypatch.setattr(query_ood, "MAX_DISTANCES", 60)
    assert torch.equal(query_ood.nearest_distances(queries, support, (1.0,) * 4), whole)
