"""What is drawn from Omniglot. Where the images are not here, others of the same form stand in for them."""

from pathlib import Path
from typing import get_args

import pytest
import torch

from app.errors import DataError
from app.families import omniglot
from app.families.family import Split
from app.families.omniglot import Omniglot, distort, rotate
from app.families.omniglot_splits import characters


@pytest.fixture
def family(monkeypatch: pytest.MonkeyPatch) -> Omniglot:
    """Omniglot without distortion, where the pixel in the corner says which character it is of."""
    images = torch.zeros(1623, 20, 28, 28)
    images[:, :, 0, 0] = torch.arange(1, 1624)[:, None]
    images[:, :, 0, 1] = torch.arange(20)
    monkeypatch.setattr(omniglot, "read", lambda folder: images)
    return Omniglot(distortion=0.0)


def drawn_characters(family: Omniglot, split: Split, tasks: int = 2000) -> torch.Tensor:
    """Which characters are in tasks of 5 ways, [task, way], counted from 1."""
    drawn = family.sample(tasks, 2, torch.Generator().manual_seed(0), ways=5, split=split)
    return drawn.inputs.amax(2).reshape(tasks, 2, 5)[:, 0].long()


@pytest.mark.parametrize("cut", ["alphabets", "random"])
def test_no_character_is_in_two_splits(cut: str) -> None:
    training, validation, test = (set(characters(cut)[split]) for split in get_args(Split))
    assert not training & validation
    assert not (training | validation) & test
    assert (len(validation), len(test)) == (100, 423)
    assert len(training) == {"alphabets": 1059, "random": 1100}[cut]


def test_the_test_characters_are_the_last_423_and_gurmukhi_is_left_out(family: Omniglot) -> None:
    assert set(drawn_characters(family, "test").flatten().tolist()) == {*range(1201, 1624)}
    assert set(drawn_characters(family, "validation").flatten().tolist()) == {*range(1060, 1160)}
    assert set(drawn_characters(family, "training", 3000).flatten().tolist()) == {*range(1, 1060)}


def test_only_training_turns_characters(family: Omniglot) -> None:
    corners = {
        split: family.sample(200, 1, torch.Generator().manual_seed(0), 5, split).inputs.reshape(-1, 28, 28)[
            :, [0, 0, -1, -1], [0, -1, -1, 0]
        ]
        for split in get_args(Split)
    }
    assert (corners["training"] > 0).any(0).all()
    for split in ("validation", "test"):
        assert (corners[split] > 0).any(0).tolist() == [True, False, False, False]


def test_a_character_that_is_turned_is_another_one(family: Omniglot) -> None:
    """With as many ways as there are, each character comes once in each of the four turns, all its drawings alike."""
    drawn = family.sample(1, 2, torch.Generator().manual_seed(0), ways=4 * 1059).inputs.reshape(2, 4 * 1059, 28, 28)
    corners = drawn[:, :, [0, 0, -1, -1], [0, -1, -1, 0]]
    assert torch.equal(corners[0].argmax(1), corners[1].argmax(1))
    assert torch.equal(corners[0].amax(1), corners[1].amax(1))
    classes = set(zip(corners[0].amax(1).tolist(), corners[0].argmax(1).tolist(), strict=True))
    assert len(classes) == 4 * 1059


def test_a_class_is_drawn_by_different_people(family: Omniglot) -> None:
    drawn = family.sample(3, 20, torch.Generator().manual_seed(0), ways=4, split="test").inputs
    people = drawn.reshape(3, 20, 4, 28, 28)[..., 0, 1]
    assert torch.equal(people.sort(1).values, torch.arange(20.0)[None, :, None].expand(3, 20, 4))


def test_more_than_there_is_is_refused(family: Omniglot) -> None:
    generator = torch.Generator()
    with pytest.raises(DataError, match="at most 423 classes in the test split and 20 examples of each, got 424 and 1"):
        family.sample(1, 1, generator, 424, "test")
    with pytest.raises(DataError, match="got 5 and 21"):
        family.sample(1, 21, generator, 5, "test")


def test_without_data_it_can_be_made_but_not_drawn_from() -> None:
    family = Omniglot()
    assert family.network
    with pytest.raises(DataError, match="--data"):
        family.sample(1, 1, torch.Generator())


def test_the_folder_is_no_part_of_what_it_is() -> None:
    assert Omniglot(data=Path("here")) == Omniglot(data=Path("there"))
    assert "here" not in repr(Omniglot(data=Path("here")))


def test_an_unknown_cut_is_refused() -> None:
    with pytest.raises(ValueError, match="'alphabets' or 'random', got 'middle'"):
        Omniglot(cut="middle")


def test_turning_is_by_quarters() -> None:
    images = torch.rand(4, 28, 28)
    rotated = rotate(images, torch.tensor([0, 1, 2, 3]))
    for quarter in range(4):
        assert torch.equal(rotated[quarter], images[quarter].rot90(quarter, (0, 1)))


def test_distortion_is_small_and_another_one_for_each_image() -> None:
    image = torch.zeros(28, 28)
    image[8:20, 8:20] = 1.0
    images = image.expand(500, -1, -1)
    generator = torch.Generator().manual_seed(0)
    distorted = distort(images, 1.0, generator)
    assert torch.equal(distort(images, 0.0, generator), images)
    assert ((distorted >= 0) & (distorted <= 1 + 1e-6)).all()
    assert abs(distorted.sum((1, 2)).mean() / image.sum() - 1) < 0.1
    rows, columns = torch.meshgrid(torch.arange(28.0), torch.arange(28.0), indexing="ij")
    for place in (rows, columns):
        centers = (distorted * place).sum((1, 2)) / distorted.sum((1, 2))
        assert abs(centers.mean() - 13.5) < 0.3
        assert 1.0 < centers.std() < 2.0
        assert (centers - 13.5).abs().max() < 4.0
