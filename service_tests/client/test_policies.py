"""Adaptations of policies, from episodes."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from innerloop_client import AsyncClient, Client, InnerloopError

EPISODE: dict[str, Any] = {"observations": [[0.1, 0.2], [0.3, -0.1]], "rewards": [1.0, 0.0]}
QUERIES = [[0.1, 0.2], [0.5, 0.5]]


@pytest.fixture
def innerloop(serve_live: Callable[..., str], policies: Path) -> Iterator[Client]:
    with Client(serve_live(models_dir=policies)) as client:
        yield client


def test_numbered_actions(innerloop: Client) -> None:
    policy = innerloop.adapt("names", episodes=[EPISODE | {"actions": [0, 2]}])
    assert policy.kind == "decision"
    actions = policy.predict(QUERIES)
    assert set(actions) <= {0, 1, 2}
    assert np.shape(policy.predict_proba(QUERIES)) == (2, 3)
    policy.extend(episodes=[EPISODE | {"actions": np.array([1, 1]), "observations": np.array(QUERIES)}])
    assert policy.support_size == 2
    drawn = [policy.predict(QUERIES * 20, sample=True, seed=1) for _ in range(2)]
    assert drawn[0] == drawn[1]


def test_a_policy_adapts_once_at_a_time(innerloop: Client) -> None:
    async def run(url: str) -> Any:
        async with AsyncClient(url) as client:
            policy = client.policy("box")
            episodes = [EPISODE | {"actions": [[0.1, 0.0], [0.0, -0.2]]}]
            calls = (policy.adapt(episodes), policy.adapt(episodes * 2))
            results = await asyncio.gather(*calls, return_exceptions=True)
            await policy.adapt(episodes)
            assert policy.adaptation is not None
            assert policy.adaptation.revision == 2
            return results

    first, second = asyncio.run(run(innerloop._session.options.url))
    assert first.adaptation.model == "box"
    with pytest.raises(InnerloopError, match="adapt: this policy is adapting"):
        raise second


def test_actions_that_are_a_box_stay_rows(innerloop: Client) -> None:
    policy = innerloop.adapt("box", episodes=[EPISODE | {"actions": [[0.1, 0.0], [0.0, -0.2]]}])
    result = policy.predict(np.array(QUERIES), details=True)
    assert (result.predictions.shape, result.mean.shape, result.std.shape) == ((2, 2),) * 3
    assert policy.predict(QUERIES) == pytest.approx(np.array(result.predictions), abs=1e-6)


@pytest.mark.parametrize(
    ("observation", "message"),
    [
        ([[0.0, 0.0]], "expected 2 numbers, got 1 x 2 numbers"),
        (np.zeros((2, 2)), "expected 2 numbers, got 4"),
        ([float("nan"), 0.0], "expected a number, got a missing value"),
        ({"a": 1.0}, "expected 2 numbers, got an object"),
        ([object(), 1.0], "cannot send a value of type object"),
    ],
)
def test_errors_name_the_observation(innerloop: Client, observation: Any, message: str) -> None:
    with pytest.raises(InnerloopError, match=f"^observation: {message}"):
        innerloop.policy("paced").act(observation)
