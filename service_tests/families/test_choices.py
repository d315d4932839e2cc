"""Samples of people's choices. Made-up sittings stand in for the data where it is missing."""

from pathlib import Path
from typing import get_args

import pytest
import torch

from app.families import choices
from app.families.choices import (
    DOLLARS,
    FOLDS,
    Agents,
    Choices,
    acceptance_probability,
    draw_agents,
    observations,
    split_people,
)
from app.families.choices_data import CONDITIONS, Sitting
from app.families.family import Split


@pytest.fixture(autouse=True)
def sittings(monkeypatch: pytest.MonkeyPatch) -> list[Sitting]:
    """30 people whose number is what they may win, and decision i costs i; they accept every third."""

    def sitting(person: int, condition: str) -> Sitting:
        at = torch.arange(60.0)
        offers = torch.stack([torch.full((60,), float(person)), -at, torch.zeros(60)], -1)
        return Sitting(person, condition, offers, at % 3 == 0)

    sittings = [sitting(person, condition) for condition in CONDITIONS for person in range(1, 31)]
    monkeypatch.setattr(choices, "read", lambda folder: sittings)
    return sittings


def people_in(family: Choices, split: Split) -> set[int]:
    drawn = family.sample(300, 2, torch.Generator().manual_seed(0), split=split)
    return {round(value) for value in (DOLLARS * drawn.inputs[:, 0, 0]).tolist()}


@pytest.mark.parametrize("fold", range(FOLDS))
def test_a_person_is_in_one_split(fold: int) -> None:
    training, validation, test = (people_in(Choices(fold=fold), split) for split in get_args(Split))
    assert (len(training), len(validation), len(test)) == (20, 5, 5)
    assert training | validation | test == {*range(1, 31)}


def test_everybody_is_tested_once() -> None:
    tested = [person for fold in range(FOLDS) for person in split_people([*range(1, 31)], fold)["test"]]
    assert sorted(tested) == [*range(1, 31)]


def test_training_draws_decisions_and_test_takes_them_as_they_came() -> None:
    family = Choices(invented=0.0)
    for split in get_args(Split):
        drawn = family.sample(20, 40, torch.Generator().manual_seed(0), split=split)
        at = (-DOLLARS * drawn.inputs[..., 1]).round()
        in_order = (at.diff(dim=1) == 1).all(1)
        assert in_order.all() == (split != "training")
        assert all(len(row.unique()) == 40 for row in at)
        assert torch.equal(drawn.targets[..., 1] > 0, at % 3 == 0)
        assert (drawn.targets[..., 2] == 1).all()


def test_the_share_of_agents_is_as_asked() -> None:
    drawn = Choices(invented=0.3).sample(2_000, 40, torch.Generator().manual_seed(0))
    at = (-DOLLARS * drawn.inputs[..., 1]).round()
    people = ((drawn.targets[..., 1] > 0) == (at % 3 == 0)).all(1)
    assert abs(people.double().mean() - 0.7) < 0.03


def test_test_people_are_never_agents() -> None:
    for split in ("validation", "test"):
        one, two = (
            Choices(invented=share).sample(20, 40, torch.Generator().manual_seed(0), split=split)
            for share in (0.0, 1.0)
        )
        assert torch.equal(one.targets, two.targets)


def test_an_observation_is_in_tens_of_dollars_with_the_expected_gain() -> None:
    rows = observations(torch.tensor([[12.0, -4.0, 0.0], [20.0, 0.0, 7.0]]))
    torch.testing.assert_close(rows, torch.tensor([[1.2, -0.4, 0.0, 0.4], [2.0, 0.0, 0.7, 0.3]]))


def test_agents_decide_by_prospect_theory() -> None:
    agents = Agents(*(torch.tensor([[value]]) for value in (0.5, 2.0, 3.0)))
    probabilities = acceptance_probability(
        agents, torch.tensor([[[16.0, -4.0, 0.0], [16.0, 0.0, 4.0], [4.0, -4.0, 0.0]]])
    )
    torch.testing.assert_close(probabilities, torch.tensor([[0.0, 0.0, -3.0]]).sigmoid())


def test_agents_are_of_all_sorts() -> None:
    curvature, aversion, consistency = draw_agents(4_000, torch.Generator().manual_seed(0))
    for values, (low, high) in zip(
        (curvature, aversion, consistency), ((0.4, 1.4), (1 / 3, 5.0), (0.1, 10.0)), strict=True
    ):
        assert low * 0.99 <= values.min() < low * 1.02
        assert high * 0.98 < values.max() <= high * 1.01


@pytest.mark.parametrize("options", [{"fold": 6}, {"fold": -1}, {"invented": 1.5}])
def test_nonsense_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"fold: expected 0 to 5|invented: expected a share"):
        Choices(**options)  # type: ignore[arg-type]


def test_the_folder_is_no_option_of_the_bundle() -> None:
    assert Choices(data=Path("here")) == Choices()
