"""What is drawn from the log of driving."""

from pathlib import Path

import numpy as np
import pytest
import torch

from app.errors import DataError
from app.families.driving import Driving, read


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A log of two worlds, three episodes each of 4, 5 and 6 decisions; an observation says where it is from."""
    lengths, worlds = [4, 5, 6] * 2, [0, 0, 0, 1, 1, 1]
    episodes = enumerate(zip(worlds, lengths, strict=True))
    rows = [(world, episode, at) for episode, (world, length) in episodes for at in range(length)]
    seen = np.zeros((len(rows), 18), np.float16)
    seen[:, :3] = rows
    for split in ("training", "validation", "test"):
        np.savez(
            tmp_path / f"driving-{split}.npz",
            observations=seen,
            actions=np.arange(len(rows), dtype=np.int8) % 5,
            lengths=np.array(lengths, np.int16),
            worlds=np.array(worlds, np.int16),
        )
    return tmp_path


def test_the_decisions_of_a_task_are_whole_episodes_of_one_world(folder: Path) -> None:
    drawn = Driving(folder).sample(20, 15, torch.Generator().manual_seed(0))
    assert drawn.targets.shape == (20, 15, 6)
    for seen in drawn.inputs:
        assert len(seen[:, 0].unique()) == 1
        episodes, counts = seen[:, 1].unique_consecutive(return_counts=True)
        assert sorted(counts.tolist()) == [4, 5, 6]
        assert len(episodes.unique()) == 3


def test_where_the_decisions_are_not_enough_they_begin_again(folder: Path) -> None:
    seen = Driving(folder).sample(1, 40, torch.Generator().manual_seed(1)).inputs[0]
    torch.testing.assert_close(seen[15:30], seen[:15])


def test_targets_are_the_actions_and_a_weight_of_1(folder: Path) -> None:
    log, drawn = read(folder, "test"), Driving(folder).sample(3, 5, torch.Generator(), split="test")
    assert (drawn.targets[..., -1] == 1).all()
    place = (log.observations == drawn.inputs[0, 0]).all(1).nonzero().item()
    assert drawn.targets[0, 0, :-1].argmax() == log.actions[int(place)]


def test_the_same_seed_draws_the_same(folder: Path) -> None:
    one, two = (Driving(folder).sample(4, 10, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(one.inputs, two.inputs)


def test_a_log_that_is_not_there_is_reported_with_the_fix(tmp_path: Path) -> None:
    for data in (None, tmp_path):
        with pytest.raises(DataError, match="innerloop collect driving"):
            Driving(data).sample(1, 1, torch.Generator())
