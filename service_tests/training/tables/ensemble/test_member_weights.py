import numpy as np

from app.learn.ensemble_head import LOG_SCALE, SIZES
from app.training.tables.ensemble.member_weights import EVEN, simplex_weights, weigh
from app.training.tables.ensemble.predictions import Predictions


def predictions(deviations: list[float], tasks: int = 40, rows: int = 20) -> Predictions:
    """Members with independent errors of these standard deviations, whose variances say 1."""
    rng = np.random.default_rng(0)
    targets = rng.normal(size=tasks * rows)
    means = targets + np.array(deviations)[:, None] * rng.normal(size=(len(deviations), len(targets)))
    return Predictions(means, np.ones_like(means), targets, np.repeat(np.arange(tasks), rows))


def test_weights_are_by_precision_shrunk_to_even() -> None:
    weights = simplex_weights(predictions([1.0, 2.0]), seed=0)
    np.testing.assert_allclose(weights, (1 - EVEN) * np.array([0.8, 0.2]) + EVEN / 2, atol=0.03)
    np.testing.assert_allclose(weights.sum(), 1)


def test_the_scale_of_a_size_that_one_task_reaches_is_that_of_the_size_before() -> None:
    def at(size: int) -> Predictions | None:
        return predictions([2.0], tasks=40 if size < 20 else 1) if size <= 20 else None

    meta, widths = weigh({}, at, seed=0)
    scale = meta[LOG_SCALE][:, 0].tolist()
    assert scale[SIZES.index(20)] == scale[SIZES.index(10)] == scale[-1]
    assert widths[-1] == widths[SIZES.index(10)]
