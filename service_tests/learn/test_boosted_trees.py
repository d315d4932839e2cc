"""Trees against scikit-learn, whose trees a table's pooled model is made of."""

import numpy as np
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingRegressor
from torch.func import functional_call

from app.learn.boosted_trees import BoostedTrees
from app.training.tables.ensemble.sklearn_trees import tree_options, tree_tensors
from service_tests.device import to_device


@pytest.mark.parametrize("leaves", [2, 31])
def test_trees_predict_what_scikit_learns_do(leaves: int) -> None:
    rng = np.random.default_rng(0)
    # whole numbers: many inputs lie on a threshold
    inputs = rng.integers(-5, 5, size=(400, 3)).astype(np.float32) / 3
    targets = np.sin(inputs[:, 0]) * inputs[:, 1] + rng.normal(size=400)
    model = HistGradientBoostingRegressor(max_iter=15, max_leaf_nodes=leaves, min_samples_leaf=3).fit(inputs, targets)
    options = tree_options(model)
    params = to_device(tree_tensors(model, options))
    outputs = functional_call(BoostedTrees(**options), params, (torch.tensor(inputs),))
    np.testing.assert_allclose(outputs[:, 0].cpu().numpy(), model.predict(inputs), rtol=1e-5, atol=1e-5)


def test_untrained_trees_predict_0() -> None:
    trees = BoostedTrees(trees=3, nodes=5, depth=2)
    outputs = functional_call(trees, to_device(dict(trees.state_dict())), (torch.ones(4, 2),))
    assert torch.equal(outputs, torch.zeros_like(outputs))
