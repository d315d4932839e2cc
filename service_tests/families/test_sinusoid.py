import torch

from app.families.sinusoid import Sinusoid


def test_is_mamls_distribution() -> None:
    """A ~ U[0.1, 5], phase ~ U[0, pi], x ~ U[-5, 5]: recovered from dense samples of many tasks by least squares."""
    drawn = Sinusoid().sample(2_000, 50, torch.Generator().manual_seed(0))
    x, y = drawn.inputs.double(), drawn.targets.double()
    # y = a sin x + b cos x, with a = A cos(phase) and b = -A sin(phase)
    a, b = torch.linalg.lstsq(torch.cat([x.sin(), x.cos()], dim=2), y).solution[..., 0].T
    amplitude, phase = torch.hypot(a, b), torch.atan2(-b, a)
    assert 0.1 - 1e-6 <= amplitude.min() < 0.13
    assert 4.97 < amplitude.max() <= 5 + 1e-6
    assert abs(amplitude.mean() - 2.55) < 0.1
    assert -1e-6 <= phase.min() < 0.02
    assert 3.12 < phase.max() <= torch.pi + 1e-6
    assert -5 <= x.min() < -4.99
    assert 4.99 < x.max() <= 5
