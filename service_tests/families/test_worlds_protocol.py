import torch
from torch import Tensor

from app.families.navigation import Navigation
from app.families.worlds_protocol import Worlds, collect


def test_what_is_recorded_ends_where_an_episode_does() -> None:
    """Each task's goal is one move away: an episode has two decisions, or goes on to the end."""
    world = Navigation(longest=5)
    goals = torch.tensor([[0.05, 0.0], [0.45, 0.45]])

    def to_the_first(observations: Tensor, going: Tensor) -> Tensor:
        return goals[0] - observations

    assert isinstance(world, Worlds)
    episodes = collect(world, world.reset(goals, 3, torch.Generator()), to_the_first)
    assert episodes.mask.sum(-1).tolist() == [[1, 1, 1], [5, 5, 5]]
    assert episodes.observations.shape == episodes.actions.shape == (2, 3, 5, 2)
    torch.testing.assert_close(episodes.returns[0], torch.zeros(3))
    torch.testing.assert_close(episodes.returns[1], torch.full((3,), -5 * (0.4**2 + 0.45**2) ** 0.5))


def test_nothing_is_asked_once_all_episodes_are_over() -> None:
    world, calls = Navigation(), []

    def at_once(observations: Tensor, going: Tensor) -> Tensor:
        calls.append(observations)
        return torch.full_like(observations, 0.05)

    collect(world, world.reset(torch.full((2, 2), 0.05), 3, torch.Generator()), at_once)
    assert len(calls) == 1
