"""The shortest way: adapt, predict, add examples; with and without an event loop."""

import asyncio
from typing import Any

import httpx
import numpy as np
import pytest

from innerloop_client import AsyncClient, Client, Diverged, InvalidRequest, NotFound
from service_tests.api.requests import QUERIES, WAVE

X, Y = WAVE["inputs"], WAVE["targets"]


def expected(url: str, queries: Any = QUERIES) -> list[float]:
    """What a plain request predicts."""
    body = {"model": "sinusoid", "support": WAVE, "queries": queries}
    return [row[0] for row in httpx.post(f"{url}/predict", json=body).json()["predictions"]]


def test_lists_in_lists_out(innerloop: Client, url: str) -> None:
    pump = innerloop.adapt("sinusoid", X, Y, label="pump 17")
    assert pump.label == "pump 17"
    assert pump.status == "improved"
    assert len(pump.losses) == pump.steps + 1
    assert pump.created_at < pump.expires_at
    predicted = pump.predict(QUERIES)
    assert isinstance(predicted, list)
    assert predicted == pytest.approx(expected(url), abs=1e-5)


def test_arrays_in_arrays_out(innerloop: Client, url: str) -> None:
    pump = innerloop.adapt("sinusoid", np.array(X), np.array(Y))
    predicted = pump.predict(np.array(QUERIES))
    assert isinstance(predicted, np.ndarray)
    assert predicted.dtype == np.float32
    np.testing.assert_allclose(predicted, expected(url), atol=1e-5)


def test_awaited_calls_give_the_same(url: str) -> None:
    async def predicted() -> Any:
        async with AsyncClient(url) as innerloop:
            pump = await innerloop.adapt("sinusoid", X, Y)
            return await pump.predict(QUERIES)

    assert asyncio.run(predicted()) == pytest.approx(expected(url), abs=1e-5)


def test_the_blocking_client_works_while_an_event_loop_runs(innerloop: Client) -> None:
    async def notebook() -> Any:
        return innerloop.adapt("sinusoid", X, Y).predict(QUERIES)

    assert len(asyncio.run(notebook())) == len(QUERIES)


def test_more_examples_change_the_adaptation_in_place(innerloop: Client) -> None:
    pump = innerloop.adapt("sinusoid", X[:3], Y[:3])
    assert pump.extend(X[3:], Y[3:]) is pump
    assert (pump.revision, pump.support_size) == (2, 5)
    assert pump.predict(QUERIES) == pytest.approx(innerloop.adapt("sinusoid", X, Y).predict(QUERIES), abs=1e-5)


def test_an_error_has_the_sentence_of_the_server(innerloop: Client) -> None:
    with pytest.raises(InvalidRequest, match=r"support\.inputs\[1\]: expected 1 number, got 2") as refused:
        innerloop.adapt("sinusoid", [[1], [2, 3]], [0, 1])
    assert (refused.value.status, refused.value.place) == (422, "support.inputs[1]")
    with pytest.raises(NotFound, match="sinusoid") as unknown:
        innerloop.adapt("sine", X, Y)
    assert "sinusoid" in unknown.value.problem["models"]


def test_a_diverged_inner_loop_has_its_losses(innerloop: Client) -> None:
    with pytest.raises(Diverged) as diverged:
        innerloop.adapt("sinusoid", [[1e20], [-1e20]], [1e20, -1e20])
    assert diverged.value.losses
