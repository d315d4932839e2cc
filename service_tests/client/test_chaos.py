"""A short run of `chaos`, with a seed that has every fault."""

import pytest

from innerloop_client import retries
from service_tests.client import chaos
from service_tests.client.unreliable import FAULTS, Unreliable


def test_no_call_is_lost_and_none_is_done_twice(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "LEAST_SILENCE_S", 0.3)
    with Unreliable(url, seed=1) as network:
        result = chaos.run(url, network, 150, seed=1, timeout=10)
    assert result.calls.total() == 150
    assert network.faults.keys() == {*FAULTS, "none"}
