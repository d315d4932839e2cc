"""One suite over every family that is registered: listed means tested."""

from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, get_args

import pytest
import torch

from app.errors import DataError
from app.families.family import Family, Split
from app.families.registry import families, make
from app.learn.losses import KINDS
from app.learn.networks import initialize
from app.training.family_and_network import schema_of
from service_tests.processes import DATA
from service_tests.sentence_models import write_sentence_model
from service_tests.training.texts.made_up_texts import made_up_texts, write_csv
from service_tests.training.texts.made_up_texts import options as text_options

OPTIONS: dict[str, dict[str, Any]] = {
    "environments": {"env": "service_tests.families.corridors:make_env"},
    "table": {"task": "school", "target": "mAch", "width": 12},
}
"""Of families that cannot do without."""
FOLDERS = {"choices": "decisions", "table": "panels/hsb82.csv.gz"}
"""Of data sets that are not called as their family is."""


@pytest.fixture(params=sorted(families()))
def name(request: pytest.FixtureRequest) -> str:
    if request.param == "environments":
        pytest.importorskip("gymnasium", reason="an extra: pip install 'innerloop-server[driving]'")
    return str(request.param)


def small_text_family() -> Family:
    folder = Path(mkdtemp(prefix="texts-"))
    model = write_sentence_model(folder / "sentences")
    return make("text", text_options(model), write_csv(folder / "tickets.csv", made_up_texts()))


@cache
def family_with_data(name: str) -> Family:
    """The family, with its data set where there is one on this machine; it is read once."""
    if name == "text":  # on a small sentence model, which is quick
        return small_text_family()
    try:
        make(name, OPTIONS.get(name, {})).sample(1, 1, torch.Generator())
    except DataError as error:
        folder = DATA / FOLDERS.get(name, name)
        if not folder.exists():
            pytest.skip(str(error))
        return make(name, OPTIONS.get(name, {}), folder)
    return make(name, {})


def test_samples_have_the_familys_form(name: str) -> None:
    family = family_with_data(name)
    drawn = family.sample(4, 7, torch.Generator().manual_seed(0))
    assert drawn.inputs.shape[::2] == (4, family.features)
    assert drawn.inputs.shape[:2] == drawn.targets.shape[:2]
    rounds = family.targets if KINDS[family.kind].one_hot else 1
    assert drawn.targets.shape == (4, 7 * rounds, KINDS[family.kind].columns(family.targets))
    assert drawn.inputs.isfinite().all()
    assert drawn.targets.isfinite().all()
    assert family.kind in KINDS


def test_the_generator_decides(name: str) -> None:
    family = family_with_data(name)
    one, two, other = (family.sample(3, 5, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one.inputs, two.inputs)
    assert torch.equal(one.targets, two.targets)
    assert not torch.equal(one.inputs, other.inputs)


def test_tasks_differ(name: str) -> None:
    drawn = family_with_data(name).sample(2, 5, torch.Generator().manual_seed(0))
    assert not torch.equal(drawn.inputs[0], drawn.inputs[1])


def test_classes_take_turns(name: str) -> None:
    family = family_with_data(name)
    if not KINDS[family.kind].one_hot:
        pytest.skip("it has no classes")
    for split in get_args(Split):
        drawn = family.sample(2, 3, torch.Generator().manual_seed(0), ways=4, split=split)
        assert drawn.inputs.shape == (2, 12, family.features)
        assert torch.equal(drawn.targets, torch.eye(4).repeat(2, 3, 1))


def test_decisions_say_what_an_action_is(name: str) -> None:
    family = family_with_data(name)
    if not KINDS[family.kind].weighted:
        assert schema_of(family).actions is None
        pytest.skip("it has no actions")
    actions = schema_of(family).actions
    assert actions is not None
    assert actions.fits(family.targets)
    drawn = family.sample(2, 3, torch.Generator().manual_seed(0)).targets[..., :-1]
    if not actions.is_box:
        assert torch.equal(drawn.sort(-1).values[..., :-1], torch.zeros_like(drawn[..., 1:]))


def test_the_network_can_be_made(name: str) -> None:
    spec = make(name, OPTIONS.get(name, {})).network
    assert initialize(spec.name, spec.options, seed=0)


def test_unknown_names_and_options_are_refused() -> None:
    with pytest.raises(KeyError):
        make("cosinusoid", {})
    with pytest.raises(TypeError, match="amplitude"):
        make("sinusoid", {"amplitude": 3})
