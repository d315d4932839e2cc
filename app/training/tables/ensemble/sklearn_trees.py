"""The trees of scikit-learn's gradient boosting as the tensors of `app.learn.boosted_trees`.

This is the only place that reads private fields of scikit-learn; pyproject.toml bounds its version.
"""

from collections.abc import Mapping

import numpy as np
import torch
from sklearn.ensemble import HistGradientBoostingRegressor

from app.learn.update_rules import Params

LARGEST = np.finfo(np.float32).max


def tree_options(model: HistGradientBoostingRegressor) -> dict[str, int]:
    """The options of `BoostedTrees` for a fitted model."""
    tables = [predictors[0].nodes for predictors in model._predictors]
    return {
        "trees": max(1, len(tables)),
        "nodes": max([1, *(len(table) for table in tables)]),
        "depth": max([0, *(int(table["depth"].max()) for table in tables)]),
    }


def tree_tensors(model: HistGradientBoostingRegressor, options: Mapping[str, int]) -> Params:
    """The parameters of `BoostedTrees` with these options, which may allow more than the model has."""
    trees, nodes = options["trees"], options["nodes"]
    first_child = np.arange(trees * nodes, dtype=np.float32).reshape(trees, nodes)
    feature, value = np.zeros((trees, nodes), np.float32), np.zeros((trees, nodes), np.float32)
    threshold = np.full((trees, nodes), LARGEST, np.float32)
    for index, predictors in enumerate(model._predictors):
        table = predictors[0].nodes
        place, inner = _places(table), table["is_leaf"] == 0
        first_child[index, place[inner]] = index * nodes + place[table["left"][inner]]
        feature[index, place[inner]] = table["feature_idx"][inner]
        threshold[index, place[inner]] = _rounded_down(table["num_threshold"][inner])
        value[index, place] = table["value"] * (1 - inner)
    arrays = {"first_child": first_child, "feature": feature, "threshold": threshold, "value": value}
    constant = np.asarray(model._baseline_prediction, np.float32).reshape(1)
    return {name: torch.from_numpy(array) for name, array in {**arrays, "constant": constant}.items()}


def _places(table: np.ndarray) -> np.ndarray:
    """A numbering of the nodes of a tree that puts the second child of each behind the first, and the root at 0."""
    place, used = np.zeros(len(table), np.int64), 1
    for node in table:  # a parent stands before its children
        if not node["is_leaf"]:
            place[node["left"]], place[node["right"]] = used, used + 1
            used += 2
    return place


def _rounded_down(thresholds: np.ndarray) -> np.ndarray:
    """The largest float32 that is at most each threshold: float32 inputs fall on the same side of it."""
    nearest = np.clip(thresholds, -LARGEST, LARGEST).astype(np.float32)
    lower = np.where(nearest > thresholds, np.nextafter(nearest, np.float32(-np.inf)), nearest)
    bounded: np.ndarray = np.clip(lower, -LARGEST, LARGEST)
    return bounded
