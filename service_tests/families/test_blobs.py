import torch

from app.families.blobs import Blobs


def test_examples_lie_around_the_points_of_their_classes() -> None:
    drawn = Blobs(features=3, spread=10.0).sample(300, 200, torch.Generator().manual_seed(0), ways=4)
    by_class = drawn.inputs.reshape(300, 200, 4, 3)
    assert abs(by_class.std(1).mean() - 1.0) < 0.01
    assert abs(by_class.mean(1).std() - 10.0) < 0.3


def test_the_nearest_mean_tells_classes_apart_as_well_as_the_spread_lets_it() -> None:
    shares = []
    for spread in (0.5, 5.0, 50.0):
        drawn = Blobs(spread=spread).sample(200, 20, torch.Generator().manual_seed(0), ways=5)
        means = drawn.inputs.reshape(200, 20, 5, 2)[:, :10].mean(1)
        nearest = torch.cdist(drawn.inputs[:, 50:], means).argmin(2)
        shares.append((nearest == drawn.targets[:, 50:].argmax(2)).double().mean().item())
    assert shares[0] < 0.5 < 0.8 < shares[1] < shares[2]
    assert shares[2] > 0.95
