"""Predictions that are not finite in float32 are refused, whoever else is in the same fused call."""

import asyncio
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx import ASGITransport, AsyncClient

from service_tests.api.requests import body


@pytest.mark.parametrize("queries", [[[1.0], [2.0], [3e38]], [[1.0], [2.0], [-3e38]]])
def test_the_first_query_without_a_finite_prediction_is_named(client: TestClient, queries: Any) -> None:
    answer = client.post("/predict", json=body(queries=queries))
    assert answer.status_code == 422
    assert answer.json()["detail"] == (
        "queries[2]: expected an input with a finite prediction in float32, got one whose prediction is not finite: "
        "send a smaller input"
    )


def test_requests_of_the_same_fused_call_are_judged_alone(client: TestClient) -> None:
    async def together() -> list[int]:
        async with AsyncClient(transport=ASGITransport(client.app), base_url="http://test") as http:
            sent = [body(queries=[[3e38 if index % 2 else 1.0]]) for index in range(8)]
            return [each.status_code for each in await asyncio.gather(*(http.post("/predict", json=x) for x in sent))]

    assert client.portal is not None
    assert client.portal.call(together) == [200, 422] * 4
