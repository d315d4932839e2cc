"""What training writes down of its tasks, and how often serving says "unlike" by it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from app.bundles.bundle import Bundle
from app.bundles.folder import load
from app.families.family import Samples
from app.learn.inner import Examples, Schedule, adapt, batched
from app.training.family_and_network import family_of
from app.training.support_ood_reference import left_out_errors, make_ood_reference, score_limit

NAMES = ["sinusoid", "linear"]


@pytest.fixture(scope="module", params=NAMES)
def bundle(request: pytest.FixtureRequest, models_dir: Path) -> Bundle:
    return load(models_dir / request.param)


def flagged(bundle: Bundle, tasks: Samples) -> float:
    """The share of support sets that are called unlike training."""
    errors, others = left_out_errors(bundle, tasks), tasks.inputs.shape[1] - 1
    reference = bundle.manifest.ood_reference
    verdicts = [reference.compare(*each, others).unlike_training for each in zip(tasks.inputs, errors, strict=True)]
    assert None not in verdicts
    return sum(map(bool, verdicts)) / len(verdicts)


def fresh(bundle: Bundle, tasks: int, size: int, seed: int) -> Samples:
    return family_of(bundle).sample(tasks, size, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", [2, 3, 4, 5, 6, 8, 10, 15, 40])
def test_a_support_set_of_training_is_seldom_called_unlike(bundle: Bundle, size: int) -> None:
    """On 500 fresh tasks, also at sizes between those of the calibration and above them."""
    share = flagged(bundle, fresh(bundle, 500, size, seed=4711 + size))
    print(f"{bundle.name}, {size} examples: {share:.1%}")  # noqa: T201
    assert share <= 0.05


@pytest.mark.parametrize(("size", "least"), [(3, 0.4), (5, 0.85), (10, 0.95)])
def test_noise_of_the_same_range_is_called_unlike_the_more_the_more_there_is(
    bundle: Bundle, size: int, least: float
) -> None:
    inputs, targets = fresh(bundle, 200, size, seed=5)
    noise = torch.rand(targets.shape, generator=torch.Generator().manual_seed(6)) * 2 - 1
    share = flagged(bundle, Samples(inputs, noise * targets.abs().max()))
    print(f"{bundle.name}, {size} examples: {share:.0%}")  # noqa: T201
    assert share >= least


def test_one_from_elsewhere_is_mostly_called_unlike(bundle: Bundle) -> None:
    inputs, targets = fresh(bundle, 100, 10, seed=1)
    uniform = torch.rand(targets.shape, generator=torch.Generator().manual_seed(2)) * 2 - 1
    reach = targets.abs().max()
    rates = {
        "inputs shifted by 20": flagged(bundle, Samples(inputs + 20, targets)),
        "fifty times the amplitude": flagged(bundle, Samples(inputs, targets * 50)),
        "noise of the same range": flagged(bundle, Samples(inputs, uniform * reach)),
        "a parabola": flagged(bundle, Samples(inputs, reach * (inputs / inputs.max()).square())),
        "a faster wave": flagged(bundle, Samples(inputs, reach * torch.sin(inputs * 6 / inputs.std()))),
    }
    print(bundle.name, {name: f"{rate:.0%}" for name, rate in rates.items()})  # noqa: T201
    assert min(rates.values()) >= 0.8, rates


def test_the_bundle_holds_what_the_command_writes(bundle: Bundle) -> None:
    reference, shipped = make_ood_reference(bundle, family_of(bundle)), bundle.manifest.ood_reference
    assert replace(reference, error_limits=shipped.error_limits) == shipped
    assert reference.error_limits == pytest.approx(shipped.error_limits, rel=1e-2)


def test_an_error_left_out_is_that_of_adapting_to_the_others(bundle: Bundle) -> None:
    tasks, bounds = fresh(bundle, 3, 4, seed=0), bundle.manifest.inner_loop
    left_out = left_out_errors(bundle, tasks)
    inner = batched(bundle.inner_loop())
    for out in range(4):
        others = [each for each in range(4) if each != out]
        support = Examples(tasks.inputs[:, others], tasks.targets[:, others], torch.ones(3, 3, dtype=torch.bool))
        rate, steps = torch.full((3,), bounds.learning_rate), torch.full((3,), bounds.steps)
        states, _ = adapt(inner, bundle.meta, support, Schedule(rate, steps, bounds.steps))
        outputs = inner.apply(bundle.meta, states, tasks.inputs[:, [out]])
        errors = (outputs - tasks.targets[:, [out]]).square().mean((1, 2))
        torch.testing.assert_close(left_out[:, out].float(), errors, rtol=1e-4, atol=1e-5)


def test_errors_of_what_diverged_are_unknown(bundle: Bundle) -> None:
    wild = replace(bundle.manifest.inner_loop, learning_rate=1e6)
    broken = replace(bundle, manifest=replace(bundle.manifest, inner_loop=wild))
    assert left_out_errors(broken, fresh(bundle, 3, 4, seed=0)).isnan().all()


def test_the_limit_is_exceeded_as_rarely_as_it_should() -> None:
    generator = torch.Generator().manual_seed(0)
    exceeded = [
        torch.rand((), generator=generator) > score_limit(torch.rand(600, generator=generator)) for _ in range(4000)
    ]
    assert torch.stack(exceeded).double().mean().item() == pytest.approx(0.02, abs=0.007)
