"""Policies that act in environments of gymnasium, and adapt to what they earn."""

import asyncio
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import torch

from innerloop_client import AsyncClient, Client, InvalidRequest, UnexpectedAnswer, UnsupportedInput

pytest.importorskip("gymnasium", reason="an extra: pip install 'innerloop-server[driving]'")

import gymnasium
from gymnasium.spaces import Box, Discrete, MultiDiscrete

from service_tests.client.answering import Answering, always, answer
from service_tests.client.environments import Moving, Odd, Point, Recorded, Seedless

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


@pytest.mark.parametrize("reward", [np.array([2.0]), np.float32(2), np.array(2), torch.tensor([[2.0]]), True + True])
def test_a_reward_is_one_number_in_any_form(untrained: Client, reward: Any) -> None:
    environment = Odd(step=(np.zeros(2), reward, True, False, {}))
    assert untrained.policy("box").run(lambda: environment, episodes=1).returns == [[2.0], [2.0]]


def test_what_reset_raises_is_raised(untrained: Client) -> None:
    class Broken(Odd):
        def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
            raise TypeError("the simulator is off")

    with pytest.raises(TypeError, match="the simulator is off"):
        untrained.policy("box").run(Broken)


def test_environments_are_closed_after_an_error(untrained: Client) -> None:
    environments = [Recorded(Discrete(2)), Recorded(Discrete(2))]
    with pytest.raises(IndexError):
        untrained.policy("names").run(lambda: environments.pop(), episodes=3)
    environment = Recorded(Discrete(2, start=100))
    with pytest.raises(UnsupportedInput, match="episodes: expected at least 1, got 0"):
        untrained.policy("names").run(lambda: environment, episodes=0)


def test_observations_and_actions_are_those_of_their_step(untrained: Client) -> None:
    """Also if the environment changes both in place."""
    policy = untrained.policy("box")
    policy.run(lambda: Moving(0.0, 0.0), episodes=1, longest=3, seed=np.int64(1))  # type: ignore[arg-type]
    assert policy.adaptation is not None
    (episode,) = policy.adaptation.support()["episodes"]
    moves = np.clip(episode["actions"], -0.1, 0.1)
    np.testing.assert_allclose(episode["observations"], [[0.0, 0.0], moves[0], moves[0] + moves[1]], atol=1e-6)


SAME = Odd()
ODD: list[tuple[str, Any, str]] = [
    ("box", lambda: Odd(reset=({"a": 1}, {})), "observation: expected numbers, got dict: wrap the environment"),
    ("box", lambda: Odd(reset=np.zeros(2)), "reset: expected 2 values, as in gymnasium, got ndarray"),
    ("box", lambda: Odd(step=(np.zeros(2), 0.0, True, {})), "step: expected 5 values, as in gymnasium, got 4"),
    ("box", lambda: Odd(step=(np.zeros(2), None, True, False, {})), "reward: expected a number, got NoneType"),
    ("box", lambda: Odd(MultiDiscrete([2, 2])), "action_space: expected a Box of 2 numbers"),
    ("box", lambda: Odd(Discrete(2)), "action_space: expected a Box of 2 numbers"),
    ("box", lambda: Odd(Box(-1, 1, (1,), np.float32)), "action_space: expected a Box of 2 numbers"),
    ("box", lambda: Odd(Box(-1, 1, (3,), np.float32)), "action_space: expected a Box of 2 numbers"),
    ("box", lambda: Odd(Box(0, 5, (2,), np.int64)), "action_space: expected a Box of floats, got Box.*: wrap the env"),
    ("box", lambda: Odd(Box(0, 255, (2,), np.uint8)), "action_space: expected a Box of floats"),
    ("box", lambda: Seedless(), "reset: expected a method that takes `seed`, as in gymnasium"),
    ("box", lambda: Odd(step=(np.zeros(2), np.ones(2), True, False, {})), "reward: expected a number, got ndarray"),
    *[
        ("box", lambda value=value: Odd(step=(value, 0.0, True, False, {})), f"^observation: {sentence}")
        for value, sentence in [
            ([10**400, 1], "expected numbers in the range of a float, got a larger one"),
            ([1e300, 1.0], r"expected finite numbers in the range of a float32, got \[1e\+300, 1.0\]: scale or clip"),
            (np.array([np.inf, 1]), "expected finite numbers in the range of a float32"),
            (None, "expected numbers, got NoneType"),
            (np.array([1j, 2]), "expected real numbers, got complex128"),
            ([1, 2, 3], "expected 2 numbers, as before, got 3"),
            (["1", "2"], "expected numbers, got list: wrap the environment"),
            (pandas.Series([1.0, 2.0], ["y", "x"]), "expected numbers without names, got 'y, x': return an array"),
        ]
    ],
    ("box", lambda: Odd(step=(np.zeros(2), 10**400, True, False, {})), "reward: expected a number in the range of a"),
    ("box", lambda: Odd(step=(np.zeros(2), torch.ones(2), True, False, {})), "reward: expected a number, got Tensor"),
    ("box", lambda: Odd(step=(np.zeros(2), np.ma.masked, True, False, {})), "reward: expected a number, got Masked"),
    ("box", lambda: Odd(step=(np.zeros(2), "1.5", True, False, {})), "reward: expected a number, got '1.5'"),
    ("box", lambda: Odd(step=(np.zeros(2), b"1.5", True, False, {})), "reward: cannot send a value of type bytes"),
    ("box", lambda: Odd(step=(np.zeros(2), 0.0, "no", False, {})), "terminated: expected true or false, got 'no'"),
    ("box", lambda: Odd(step=(np.zeros(2), 0.0, False, np.nan, {})), "truncated: expected true or false, got nan"),
    ("box", lambda: Odd(step=(np.zeros(2), 0.0, np.ma.masked, False, {})), "terminated: expected true or false, got M"),
    ("box", lambda: Odd(step=(np.zeros(2), 0.0, np.array([True, False]), False, {})), "terminated: expected true or"),
    ("box", lambda: Odd(step=(np.zeros(2), 0.0, True, torch.ones(2), {})), "truncated: expected true or false, got T"),
    ("names", lambda: Odd(MultiDiscrete([2, 2])), "action_space: expected Discrete, as the model chooses"),
    ("names", lambda: Odd(), "action_space: expected Discrete, as the model chooses them, got Box"),
    ("box", Odd(), "make_env: expected a function that makes an environment, got Odd"),
    ("box", lambda: None, "make_env: expected a function that makes an environment, it made None"),
    ("box", lambda: gymnasium.Wrapper(SAME), "make_env: expected a new environment"),
    ("box", lambda: SAME, "make_env: expected a new environment from each call, got the same one again"),
]


@pytest.mark.parametrize(("model", "make_env", "sentence"), ODD, ids=[sentence for _, _, sentence in ODD])
def test_environments_that_do_not_fit(untrained: Client, model: str, make_env: Any, sentence: str) -> None:
    with pytest.raises(UnsupportedInput, match=sentence):
        untrained.policy(model).run(make_env, episodes=2)


@pytest.mark.parametrize(
    "observation",
    [
        torch.tensor(SEEN, requires_grad=True),
        torch.tensor(SEEN, dtype=torch.bfloat16),
        [torch.tensor(SEEN[0]), Decimal("0.2")],
        pandas.Series(SEEN),
    ],
)
def test_an_observation_has_any_form_of_numbers(untrained: Client, observation: Any) -> None:
    environment = Odd(reset=(observation, {}), step=(observation, 0.0, True, False, {}))
    policy = untrained.policy("box")
    policy.run(lambda: environment, episodes=1, longest=1)
    assert policy.adaptation is not None
    (episode,) = policy.adaptation.support()["episodes"]
    np.testing.assert_allclose(episode["observations"], [SEEN], rtol=0.01)


def test_what_the_server_says_of_queries_is_of_the_observation(untrained: Client) -> None:
    masked = np.ma.masked_less(np.array(SEEN), 0.15)
    with pytest.raises(InvalidRequest, match=r"^observation: expected a number, got a missing value"):
        untrained.policy("box").run(lambda: Odd(reset=(masked, {})), episodes=2)
    with pytest.raises(InvalidRequest, match=r"^observation: expected 2 numbers, got 3$"):
        untrained.policy("box").run(lambda: Odd(reset=(np.zeros(3), {})), episodes=2)
    made = iter([Odd(), Odd(reset=(np.zeros(3), {}))])
    with pytest.raises(UnsupportedInput, match=r"^observation: expected 2 numbers, as from the first environment"):
        untrained.policy("box").run(lambda: next(made), episodes=2)


@pytest.mark.parametrize(("name", "value"), [("episodes", 1.5), ("stages", "a"), ("longest", None), ("seed", 0.5)])
def test_numbers_of_a_run_are_whole(untrained: Client, name: str, value: Any) -> None:
    with pytest.raises(UnsupportedInput, match=f"{name}: expected a whole number, got {value!r}"):
        untrained.policy("names").run(lambda: Recorded(Discrete(3)), **{name: value})


def test_an_unknown_option_is_refused_at_once(untrained: Client) -> None:
    with pytest.raises(UnsupportedInput, match=r"policy: expected the options steps, .*, got 'foo'"):
        untrained.policy("names", foo=1)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("episodes", "sentence"),
    [
        ({"observations": []}, "episodes: expected a list of episodes, got one: put it into a list"),
        ("x", "episodes: expected a list .*, got str"),
        ([1], r"episodes\[0\]: expected observations, actions and rewards, got int"),
        ([{"rewards": 1.0}], r"episodes\[0\].rewards: expected a list or an array, got float"),
    ],
    ids=str,
)
def test_what_is_no_list_of_episodes(untrained: Client, episodes: Any, sentence: str) -> None:
    with pytest.raises(UnsupportedInput, match=sentence):
        untrained.policy("names").adapt(episodes)


@pytest.mark.parametrize("form", [list, np.array])
def test_a_single_observation_gets_a_single_action(untrained: Client, form: Callable[..., Any]) -> None:
    action = untrained.policy("names").act(form(SEEN))
    assert (type(action), action) == (int, untrained.predict("names", [SEEN])[0])
    moved = untrained.policy("box").act(form(SEEN), sample=True, seed=3)
    assert isinstance(moved, type(form(SEEN)))
    assert list(moved) == pytest.approx(untrained.predict("box", [SEEN], sample=True, seed=3)[0])


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        (torch.tensor, torch.Tensor),
        (pandas.Series, list),
        (lambda seen: pandas.Series(seen, ["a", "b"]), list),
        (lambda seen: pandas.DataFrame([seen], columns=["a", "b"]), list),
        (lambda seen: np.array([tuple(seen)], [("a", float), ("b", float)]), list),
        (tuple, list),
    ],
    ids=range(6),
)
def test_the_form_of_an_action(untrained: Client, form: Callable[..., Any], kind: Any) -> None:
    action: Any = untrained.policy("box").act(form(SEEN))
    assert isinstance(action, kind)
    assert len(action) == 2


def test_adapting_to_an_expert(untrained: Client) -> None:
    expert = {"observations": [SEEN, [0.5, 0.5]], "actions": [2, 2]}
    policy = untrained.policy("names", steps=10)
    assert repr(policy) == "Policy(model='names', adaptation=None)"
    assert policy.adapt([expert]) is policy
    assert policy.act(SEEN) == 2
    policy.adapt([expert])
    assert policy.adaptation is not None
    assert (policy.adaptation.revision, policy.adaptation.steps) == (2, 10)
    with pytest.raises(UnsupportedInput, match=r"^label: the adaptation has its own: leave out one"):
        untrained.policy("names", policy.adaptation, label="robot 4")
    with pytest.raises(UnsupportedInput, match="expected one of box, got one of names"):
        untrained.policy("box", policy.adaptation)


@pytest.mark.parametrize("actions", [[0.5], [-1], ["x"], [None], [1, 1]])
def test_answers_that_are_no_numbers_of_actions(actions: list[Any]) -> None:
    body = {"model": "choices", "model_digest": "d", "predictions": actions, "probabilities": [[0.5, 0.5]]}
    with Answering(always(answer(body))) as server, Client(server.url) as client, pytest.raises(UnexpectedAnswer):
        client.policy("choices").run(lambda: Odd(Discrete(2)), episodes=1)


def test_a_model_that_makes_no_decisions(innerloop: Client) -> None:
    with pytest.raises(UnsupportedInput, match=r"^model: expected one that makes decisions, got sinusoid: "):
        innerloop.policy("sinusoid").act([1.0])


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
