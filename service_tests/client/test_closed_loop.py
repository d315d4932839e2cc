"""Policies that act in environments of gymnasium, and adapt to what they earn."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from innerloop_client import AsyncClient, Client, UnsupportedInput

pytest.importorskip("gymnasium", reason="an extra: pip install 'innerloop-server[driving]'")

from gymnasium.spaces import Box, Discrete

from service_tests.client.environments import Point, Recorded

SEEN = [0.1, 0.2]


@pytest.fixture
def policies_url(serve_live: Callable[..., str], policies: Path) -> str:
    """The URL of a server with untrained policies."""
    return serve_live(models_dir=policies)


@pytest.fixture
def untrained(policies_url: str) -> Iterator[Client]:
    with Client(policies_url) as client:
        yield client


def test_navigation_earns_more_after_each_stage(innerloop: Client) -> None:
    policy = innerloop.policy("navigation", label="north-west")
    result = policy.run(lambda: Point(-0.3, 0.4), stages=2, longest=100, seed=0)
    before, one, two = result.means
    assert before < -25, "about 0.5 a step"
    assert one > before / 2
    assert two > before / 5
    assert (result.before, result.after) == (before, two)
    assert repr(result) == f"PolicyRun(before={before}, after={two})"
    assert [len(stage) for stage in result.returns] == [20] * 3
    assert policy.adaptation is not None
    assert (policy.adaptation.support_size, policy.adaptation.label) == (40, "north-west")
    again = innerloop.policy("navigation").run(lambda: Point(-0.3, 0.4), episodes=20, longest=100, seed=0)
    assert again.returns == result.returns[:2], "the seed repeats a run"
    further = innerloop.policy("navigation", innerloop.adaptation(policy.adaptation.id))
    assert further.run(lambda: Point(-0.3, 0.4), stages=0, longest=100).before > before / 5


def test_discrete_actions_begin_where_those_of_the_environment_do(untrained: Client) -> None:
    environments: list[Recorded] = []

    def make_env() -> Recorded:
        environments.append(Recorded(Discrete(3, start=5)))
        return environments[-1]

    policy = untrained.policy("names")
    result = policy.run(make_env, episodes=2)
    assert result.returns == [[pytest.approx(0.6)] * 2] * 2
    assert [len(each.actions) for each in environments] == [6, 6], "two environments, an episode in each stage"
    assert {action for each in environments for action in each.actions} <= {5, 6, 7}
    seeds = [seed for each in environments for seed in each.seeds]
    assert len(set(seeds)) == 4
    assert all(each.closed for each in environments)
    assert policy.adaptation is not None
    episodes = policy.adaptation.support()["episodes"]
    assert [each["rewards"] for each in episodes] == [pytest.approx([0.1, 0.2, 0.3])] * 2
    assert episodes[0]["observations"] == [pytest.approx([step / 10, 1.0]) for step in range(3)]
    assert episodes[1]["actions"] == [action - 5 for action in environments[1].actions[:3]]


def test_actions_of_a_box_are_clipped_where_the_environment_acts(untrained: Client) -> None:
    environment = Recorded(Box(-0.001, 0.001, (2,), np.float32))
    policy = untrained.policy("box")
    policy.run(lambda: environment, episodes=1)
    assert policy.adaptation is not None
    (episode,) = policy.adaptation.support()["episodes"]
    assert np.abs(environment.actions).max() <= 0.001
    assert np.abs(episode["actions"]).max() > 0.001, "posted as they were drawn"


def test_an_episode_ends_at_the_longest(untrained: Client) -> None:
    result = untrained.policy("names").run(lambda: Recorded(Discrete(3)), episodes=2, longest=2)
    assert result.returns == [[pytest.approx(0.3)] * 2] * 2


def test_environments_are_closed_after_an_error(untrained: Client) -> None:
    environments = [Recorded(Discrete(2)), Recorded(Discrete(2))]
    with pytest.raises(IndexError):
        untrained.policy("names").run(lambda: environments.pop(), episodes=3)
    environment = Recorded(Discrete(2, start=100))
    with pytest.raises(UnsupportedInput, match="episodes: expected at least 1, got 0"):
        untrained.policy("names").run(lambda: environment, episodes=0)
    with pytest.raises(ValueError, match="shape"):
        untrained.policy("box").run(lambda: Recorded(Box(-1, 1, (3,), np.float32)), episodes=1)


@pytest.mark.parametrize("form", [list, np.array])
def test_a_single_observation_gets_a_single_action(untrained: Client, form: Callable[..., Any]) -> None:
    action = untrained.policy("names").act(form(SEEN))
    assert (type(action), action) == (int, untrained.predict("names", [SEEN])[0])
    moved = untrained.policy("box").act(form(SEEN), sample=True, seed=3)
    assert isinstance(moved, type(form(SEEN)))
    assert list(moved) == pytest.approx(untrained.predict("box", [SEEN], sample=True, seed=3)[0])


def test_adapting_to_an_expert(untrained: Client) -> None:
    expert = {"observations": [SEEN, [0.5, 0.5]], "actions": [2, 2]}
    policy = untrained.policy("names", steps=10)
    assert repr(policy) == "Policy(model='names', adaptation=None)"
    assert policy.adapt([expert]) is policy
    assert policy.act(SEEN) == 2
    policy.adapt([expert])
    assert policy.adaptation is not None
    assert (policy.adaptation.revision, policy.adaptation.steps) == (2, 10)
    with pytest.raises(UnsupportedInput, match="expected one of box, got one of names"):
        untrained.policy("box", policy.adaptation)


def test_awaiting(policies_url: str) -> None:
    async def loop() -> tuple[int, int, list[float]]:
        async with AsyncClient(policies_url) as innerloop:
            policy = innerloop.policy("names")
            action = await policy.act(SEEN)
            result = await policy.run(lambda: Recorded(Discrete(3)), episodes=2)
            assert policy.adaptation is not None
            return action, policy.adaptation.support_size, result.means

    action, size, means = asyncio.run(loop())
    assert action in (0, 1, 2)
    assert size == 2
    assert means == pytest.approx([0.6, 0.6])
