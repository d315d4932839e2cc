import torch
from torch.nn.functional import pad

from app.families.navigation import Navigation
from app.families.worlds_protocol import Episodes
from app.learn.decision_weights import Weighing, weights
from app.learn.inner import Examples
from app.training.rollouts import _subsample, sample_actions


def test_actions_are_drawn_as_the_policy_says() -> None:
    generator = torch.Generator().manual_seed(0)
    normal = sample_actions(torch.tensor([0.5, -1.0, 0.0, -1.0]).expand(20_000, 4), 2, generator)
    torch.testing.assert_close(normal.mean(0), torch.tensor([0.5, -1.0]), atol=0.03, rtol=0)
    torch.testing.assert_close(normal.std(0), torch.tensor([1.0, 0.3679]), atol=0.03, rtol=0)
    named = sample_actions(torch.tensor([0.2, 0.5, 0.3]).log().expand(4, 5_000, 3), 3, generator)
    assert named.shape == (4, 5_000, 3)
    assert (named.sum(-1) == 1).all()
    torch.testing.assert_close(named.mean((0, 1)), torch.tensor([0.2, 0.5, 0.3]), atol=0.02, rtol=0)


def episodes(longest: int) -> Episodes:
    generator = torch.Generator().manual_seed(0)
    mask = torch.arange(6) < torch.tensor([[6, 2], [3, 4]]).unsqueeze(-1)
    seen = torch.randn(2, 2, 6, 2, generator=generator)
    rewards = torch.randn(2, 2, 6, generator=generator)
    more = longest - 6
    return Episodes(
        pad(seen, (0, 0, 0, more)), pad(seen, (0, 0, 0, more)), pad(rewards, (0, more)), pad(mask, (0, more))
    )


def test_padding_weighs_nothing_and_changes_nothing() -> None:
    short, long = episodes(6), episodes(50)
    one, two = (weights(each.observations, each.rewards, None, each.mask, Weighing()) for each in (short, long))
    assert (two[..., 6:] == 0).all()
    torch.testing.assert_close(one, two[..., :6], rtol=0, atol=1e-6)


def test_decisions_are_drawn_without_padding_where_there_are_enough() -> None:
    mask = torch.arange(10) < torch.tensor([[9], [4], [2]])
    rows = torch.arange(30.0).reshape(3, 10, 1)
    chosen = _subsample(Examples(rows, -rows, mask), 4, torch.Generator().manual_seed(0))
    assert chosen.mask.sum(1).tolist() == [4, 4, 2]
    assert torch.equal(chosen.targets, -chosen.inputs)
    for task in range(3):
        kept = chosen.inputs[task, chosen.mask[task], 0].tolist()
        assert len(set(kept)) == len(kept)
        assert set(kept) <= set(rows[task, mask[task], 0].tolist())
    everything = _subsample(Examples(rows, -rows, mask), None, torch.Generator().manual_seed(0))
    assert everything.mask.sum(1).tolist() == [9, 4, 2]
    assert everything.mask.shape == (3, 9)


def test_worlds_have_what_policies_are_weighed_by() -> None:
    assert Navigation.weighing.discount < 1
