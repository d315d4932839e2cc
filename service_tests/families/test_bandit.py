import pytest
import torch
from torch import Tensor

from app.families.bandit import Bandit
from app.families.decision_log import DecisionLog, Logged


def drawn(family: Bandit, tasks: int, decisions: int, seed: int = 0) -> tuple[DecisionLog, Tensor]:
    """A log, and the chance of a click for every arm."""
    generator = torch.Generator().manual_seed(seed)
    return family.draw(family.tastes(tasks, decisions, generator), generator)


def test_clicks_come_as_often_as_their_chances_say() -> None:
    log, chances = drawn(Bandit(), 400, 100)
    chance = (log.actions * chances).sum(-1)
    assert abs(log.rewards.mean() - chance.mean()) < 0.01
    for low in (0.0, 0.25, 0.5, 0.75):
        some = (chance >= low) & (chance < low + 0.25)
        assert abs(log.rewards[some].mean() - chance[some].mean()) < 0.03


@pytest.mark.parametrize("exploration", [0.2, 0.5, 1.0])
def test_propensities_are_those_of_the_policy_that_logged(exploration: float) -> None:
    log, _ = drawn(Bandit(exploration=exploration), 400, 100)
    least, most = exploration / 5, 1 - exploration + exploration / 5
    propensities = log.propensities
    assert (torch.isclose(propensities, torch.tensor(least)) | torch.isclose(propensities, torch.tensor(most))).all()
    assert abs((1 / propensities).mean() - 5) < 0.1  # the mean inverse propensity is the number of arms


def test_tastes_drift_and_stay_as_spread() -> None:
    family = Bandit(drift=0.1, rank=1)
    tastes = family.tastes(4_000, 200, torch.Generator().manual_seed(0))[..., 0]
    for at in (0, 100, 199):
        assert abs(tastes[:, at].std() - 1) < 0.05
    centred = tastes - tastes.mean(0)
    assert abs((centred[:, 50] * centred[:, 100]).mean() - 0.99**25) < 0.05


def test_the_world_is_the_same_for_all_and_users_differ() -> None:
    one, two = (drawn(Bandit(), 1, 10, seed) for seed in (0, 0))
    assert torch.equal(one[1], two[1])
    _, chances = drawn(Bandit(drift=0.0), 2_000, 1)
    assert len({*chances.argmax(-1).flatten().tolist()}) == 5


def test_a_sample_counts_its_reward_over_its_propensity() -> None:
    family = Bandit()
    assert isinstance(family, Logged)
    drawn = family.sample(3, 20, torch.Generator().manual_seed(0))
    log = family.log(3, 20, torch.Generator().manual_seed(0))
    assert torch.equal(drawn.inputs, log.observations)
    assert torch.equal(drawn.targets[..., :-1], log.actions)
    assert torch.equal(drawn.targets[..., -1], log.rewards / log.propensities)


@pytest.mark.parametrize("options", [{"exploration": 0.0}, {"drift": 1.0}])
def test_nonsense_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"exploration: expected a number above 0|drift: expected a number from 0"):
        Bandit(**options)  # type: ignore[arg-type]
