import math

import torch

from app.families.navigation import Navigation
from app.families.worlds_protocol import collect


def test_it_moves_as_a_plain_loop_does() -> None:
    """The authors' environment, step by step (rllab_maml, `point_env_randgoal`), with its clipping of actions."""
    world, generator = Navigation(), torch.Generator().manual_seed(0)
    goals = world.draw(3, generator)
    actions = 0.1 * torch.randn(3, 4, 100, 2, generator=generator)
    moves = iter(actions.unbind(2))
    episodes = collect(world, world.reset(goals, 4, generator), lambda *_: next(moves))
    for task in range(3):
        for episode in range(4):
            x = y = 0.0
            for time in range(100):
                assert episodes.mask[task, episode, time]
                torch.testing.assert_close(episodes.observations[task, episode, time], torch.tensor([x, y]))
                one, two = actions[task, episode, time].tolist()
                x, y = x + min(max(one, -0.1), 0.1), y + min(max(two, -0.1), 0.1)
                apart = x - goals[task, 0].item(), y - goals[task, 1].item()
                torch.testing.assert_close(
                    episodes.rewards[task, episode, time].item(), -math.hypot(*apart), atol=1e-5, rtol=0
                )
                if max(map(abs, apart)) < 0.01:
                    assert not episodes.mask[task, episode, time + 1 :].any()
                    break


def test_goals_are_all_over_the_square() -> None:
    goals = Navigation().draw(4000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(goals.mean(0), torch.zeros(2), atol=0.02, rtol=0)
    torch.testing.assert_close(goals.std(0), torch.full((2,), 1 / math.sqrt(12)), atol=0.02, rtol=0)
    assert goals.abs().max() <= 0.5


def test_who_knows_the_goal_needs_few_steps() -> None:
    """The largest distance along an axis is a third on average: three or four moves."""
    world, generator = Navigation(), torch.Generator().manual_seed(0)
    goals = world.draw(1000, generator)
    episodes = collect(world, world.reset(goals, 1, generator), world.oracle(goals))
    assert -0.8 < episodes.returns.mean() < -0.5
    assert episodes.mask.shape[-1] <= 6
