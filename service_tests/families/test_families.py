"""One suite over every family that is registered: listed means tested."""

import pytest
import torch

from app.families.registry import families, make
from app.learn.losses import LOSSES
from app.learn.networks import initialize


@pytest.fixture(params=sorted(families()))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_samples_have_the_familys_form(name: str) -> None:
    family = make(name, {})
    drawn = family.sample(4, 7, torch.Generator().manual_seed(0))
    assert drawn.inputs.shape == (4, 7, family.features)
    assert drawn.targets.shape == (4, 7, family.targets)
    assert drawn.inputs.isfinite().all()
    assert drawn.targets.isfinite().all()
    assert family.kind in LOSSES


def test_the_generator_decides(name: str) -> None:
    family = make(name, {})
    one, two, other = (family.sample(3, 5, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one.targets, two.targets)
    assert not torch.equal(one.targets, other.targets)


def test_tasks_differ(name: str) -> None:
    drawn = make(name, {}).sample(2, 5, torch.Generator().manual_seed(0))
    assert not torch.equal(drawn.targets[0], drawn.targets[1])


def test_the_network_can_be_made(name: str) -> None:
    spec = make(name, {}).network
    assert initialize(spec.name, spec.options, seed=0)


def test_unknown_names_and_options_are_refused() -> None:
    with pytest.raises(KeyError):
        make("cosinusoid", {})
    with pytest.raises(TypeError, match="amplitude"):
        make("sinusoid", {"amplitude": 3})
