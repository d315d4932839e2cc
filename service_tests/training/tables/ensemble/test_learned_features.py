import numpy as np
import pytest
import torch
from torch.func import vmap

from app.learn.ensemble_head import ensemble
from app.learn.losses import gaussian_nll
from app.training.tables.ensemble.episodes import draw
from app.training.tables.ensemble.learned_features import query_nll
from app.training.tables.ensemble.training_rows import scales_of, standardised
from service_tests.training.tables.made_up_tables import table_of_offsets

TABLE = table_of_offsets(tasks=5, rows=9)
ROWS = standardised(TABLE, scales_of(TABLE))


def test_the_loss_is_that_of_the_head_that_serves() -> None:
    generator = torch.Generator().manual_seed(0)
    prior = {
        "mean": torch.randn(3, generator=generator),
        "root": torch.randn(3, 3, generator=generator),
        "log_noise": torch.randn(1, generator=generator),
    }
    episodes = draw(ROWS, np.arange(5), np.array([0, 1, 2, 4, 4]), 5, False, np.random.default_rng(0))
    loss = query_nll(prior, lambda inputs: inputs, ROWS.inputs, ROWS.targets, episodes)
    head = ensemble(1, 2, [1.0])
    meta = head.initial_meta(torch.zeros(1))
    meta["inner/head/prior_mean"] = prior["mean"].reshape(1, 3, 1)
    meta["inner/head/prior_root"] = prior["root"].reshape(1, 3, 3)
    meta["inner/head/log_noise"] = prior["log_noise"].reshape(1, 1)
    (x, query), (known, asked) = episodes.tensors(ROWS.inputs), episodes.masks()
    y, y_query = (each.unsqueeze(-1) for each in episodes.tensors(ROWS.targets))
    solution = vmap(head.solve, in_dims=(None, 0, 0, 0))(meta, x, y, known)
    assert head.variance is not None
    outputs = vmap(head.apply, in_dims=(None, 0, 0))(meta, solution, query)
    variances = vmap(head.variance, in_dims=(None, 0, 0))(meta, solution, query)
    expected = vmap(gaussian_nll)(outputs, variances, y_query, asked).mean()
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("ordered", [False, True])
def test_known_rows_and_queries_of_a_task_are_apart(ordered: bool) -> None:
    sizes = np.array([0, 1, 3, 8, 20])
    drawn = draw(ROWS, np.arange(5), sizes, 4, ordered, np.random.default_rng(0))
    for task, size in enumerate(np.minimum(sizes, 8)):
        known = drawn.support[task][drawn.support_mask[task]]
        asked = drawn.query[task][drawn.query_mask[task]]
        assert len(set(known)) == size
        assert len(set(asked)) == min(4, 9 - size)
        assert not set(known) & set(asked)
        assert (ROWS.task[np.concatenate([known, asked])] == task).all()
        if ordered:
            assert known.tolist() == list(range(9 * task, 9 * task + size))
