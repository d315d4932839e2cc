"""Images unlike those of training, by how much ink they have and how it lies."""

from itertools import product

import numpy as np
import torch

from app.learn.image_ood import FALSE_ALARM_RATE, STATISTICS, ImageReference, image_statistics, reference_of

SHAPE = (28, 28)


def strokes(count: int, seed: int = 0) -> torch.Tensor:
    """Drawings of a few lines that are 2 pixels wide, from 0 to 1, [image, pixel]."""
    generator = np.random.default_rng(seed)
    images = np.zeros((count, *SHAPE), np.float32)
    for image in images:
        for _ in range(int(generator.integers(2, 5))):
            (top, left), (bottom, right) = generator.integers(4, 24, (2, 2))
            steps = np.linspace(0, 1, 60)
            row, column = (top + (bottom - top) * steps).astype(int), (left + (right - left) * steps).astype(int)
            for down, along in product(range(2), repeat=2):
                image[row + down, column + along] = 1
    return torch.from_numpy(images.reshape(count, -1))


def test_statistics_of_a_square() -> None:
    image = torch.zeros(1, *SHAPE)
    image[0, 7:21, 7:21] = 1
    ink, edges, border = image_statistics(image.reshape(1, -1), SHAPE)[0].tolist()
    assert np.isclose(ink, np.log(0.25))
    assert np.isclose(edges, 2 * 2 * 14 / (27 * 28) / 0.25)
    assert border == 0


def test_strokes_are_like_strokes_and_others_are_not() -> None:
    reference = reference_of([strokes(2000), strokes(2000, 1)], SHAPE, 1, 0)
    assert reference.fits
    assert reference.is_unlike(strokes(2000, 2), SHAPE).double().mean() < 2 * FALSE_ALARM_RATE
    fresh = strokes(100, 3)
    noise = torch.rand(100, 784, generator=torch.Generator().manual_seed(0))
    for others in (1 - fresh, torch.zeros(3, 784), torch.ones(3, 784), noise, noise.round()):
        assert reference.is_unlike(others, SHAPE).all()


def test_a_reference_has_a_range_for_each_statistic() -> None:
    count = len(STATISTICS)
    assert not ImageReference(1, 0, (0.0,), (1.0,)).fits
    assert not ImageReference(1, 0, (2.0,) * count, (1.0,) * count).fits
