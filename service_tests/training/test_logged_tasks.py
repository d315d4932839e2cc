import torch

from app.families.bandit import Bandit
from app.families.decision_log import DecisionLog
from app.learn.decision_weights import weights
from app.training.tasks import draw_tasks


def test_the_support_set_is_what_came_just_before_the_queries_weighed_as_the_server_does() -> None:
    family = Bandit()
    drawn = draw_tasks(family, 8, (3, 12), 5, torch.Generator().manual_seed(0))
    log = family.log(8, 17, torch.Generator().manual_seed(0))
    assert len({int(mask.sum()) for mask in drawn.support.mask}) > 2
    for task in range(8):
        count = int(drawn.support.mask[task].sum())
        assert drawn.support.mask[task, :count].all()
        own = DecisionLog(*(part[task, 12 - count : 12] for part in log))
        assert torch.equal(drawn.support.inputs[task, :count], own.observations)
        assert torch.equal(drawn.support.targets[task, :count, :-1], own.actions)
        alone = weights(
            own.observations[None],
            own.rewards[None],
            own.propensities[None],
            torch.ones(1, count).bool(),
            family.weighing,
        )
        torch.testing.assert_close(drawn.support.targets[task, :count, -1], alone[0], rtol=1e-4, atol=1e-5)
    assert torch.equal(drawn.query.inputs, log.observations[:, 12:])
    assert torch.equal(drawn.query.targets[..., -1], (log.rewards / log.propensities)[:, 12:])


def test_with_a_large_ridge_an_advantage_is_the_distance_from_the_mean() -> None:
    log = DecisionLog(*(part[:, :30] for part in Bandit().log(4, 31, torch.Generator().manual_seed(0))))
    weight = draw_tasks(Bandit(), 4, (30, 30), 1, torch.Generator().manual_seed(0)).support.targets[..., -1]
    mean, deviation = log.rewards.mean(1, keepdim=True), log.rewards.std(1, keepdim=True, correction=0)
    expected = (log.rewards - mean) / deviation / log.propensities
    assert torch.corrcoef(torch.stack([weight.flatten(), expected.flatten()]))[0, 1] > 0.98
