"""Clients and adaptations in other processes."""

import copy
import os
import pickle
from collections.abc import Callable

import httpx
import pytest

from innerloop_client import Adaptation, Client, InnerloopError, UnsupportedInput
from service_tests.client.answering import ADAPTED

CHILDREN = 4


def _in_children(check: Callable[[int], bool]) -> list[int]:
    """The exit codes of forked processes: 0 where the check holds."""
    children = []
    for number in range(CHILDREN):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = 0 if check(number) else 2
            finally:
                os._exit(code)
        children.append(child)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_each_process_gets_its_own_answers(innerloop: Client) -> None:
    pump = innerloop.adapt("sinusoid", [[1.0], [2.0]], [1.0, 2.0])
    assert len(pump.predict([[1.0]])) == 1

    def own(number: int) -> bool:
        return all(len(pump.predict([[1.0]] * (number + 2))) == number + 2 for _ in range(10))

    assert _in_children(own) == [0] * CHILDREN
    assert len(pump.predict([[1.0]])) == 1


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_client_of_httpx_does_not_survive_a_fork(url: str) -> None:
    with httpx.Client() as http:
        innerloop = Client(url, http=http)
        assert innerloop.health().ready

        def refused(number: int) -> bool:
            with pytest.raises(InnerloopError, match=r"^http: a forked process needs a client of its own"):
                innerloop.health()
            return True

        assert _in_children(refused) == [0] * CHILDREN


def test_an_adaptation_is_copied_but_not_pickled() -> None:
    with Client() as innerloop:
        pump = Adaptation(innerloop._session, ADAPTED)
        other = copy.deepcopy(pump)
        assert (other.losses, other._session) == (pump.losses, pump._session)
        assert other.losses is not pump.losses
        for value in (pump, innerloop):
            with pytest.raises(UnsupportedInput, match="cannot be pickled: keep the id of an adaptation"):
                pickle.dumps(value)
