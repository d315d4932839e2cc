"""Which queries are `unlike`: unlike the inputs of training, or unlike the support set."""

from collections.abc import Sequence

import numpy as np
import torch

from app.bundles.manifest import Manifest
from app.learn import query_ood
from app.learn.calibration_table import Calibration
from app.service.nearest_example import Distances

FEW_NUMBERS = 64
"""So many are faster compared in Python than in NumPy."""
Far = Sequence[bool] | None
"""For each query, whether it is unlike the inputs of training; None where there is nothing to compare with."""


def far_queries(queries: np.ndarray, manifest: Manifest) -> Far:
    """Which queries are unlike the inputs of training."""
    reference, images = manifest.ood_reference, manifest.image_reference
    far = is_beyond(queries, reference.input_bounds) if reference.tasks else None
    if images is None:
        return far
    others = images.is_unlike(torch.from_numpy(queries), manifest.schema.shape).tolist()
    return others if far is None else _either(far, others)


def or_far_from_examples(far: Far, distances: Distances, largest: float) -> list[bool]:
    """Which queries are `far`, or further than `largest` from the nearest support example."""
    if isinstance(distances, list):
        further = [distance > largest for distance in distances]
    else:
        further = (distances > largest).tolist()
    return _either(far, further) if far is not None and True in far else further


def or_unlike_every_class(far: Far, logits: np.ndarray, calibration: Calibration, shots: float) -> list[bool]:
    """Which queries are `far`, or unlike every class of the support set. shots: examples per class"""
    unfamiliar: list[bool] = (logits.max(1) < query_ood.familiarity_threshold(calibration, shots)).tolist()
    return unfamiliar if far is None else _either(far, unfamiliar)


def or_unlike_every_example(far: Far, similarity: np.ndarray, calibration: Calibration, shots: float) -> list[bool]:
    """Which queries are `far`, or less alike than the threshold. shots: examples per class, names among them"""
    unalike: list[bool] = (similarity < query_ood.similarity_threshold(calibration, shots)).tolist()
    return unalike if far is None else _either(far, unalike)


def _either(first: Sequence[bool], second: Sequence[bool]) -> list[bool]:
    return [one or other for one, other in zip(first, second, strict=True)]


def is_beyond(rows: np.ndarray, bounds: Sequence[tuple[float, float]]) -> list[bool]:
    """Which rows, [row, number], have a number outside of its bounds."""
    if rows.size == 1:
        ((low, high),) = bounds
        return [not low <= rows.item() <= high]
    if rows.size > FEW_NUMBERS:
        low, high = np.array(bounds).T
        far: list[bool] = ((rows < low) | (rows > high)).any(1).tolist()
        return far
    return [
        not all(low <= number <= high for number, (low, high) in zip(row, bounds, strict=True)) for row in rows.tolist()
    ]
