"""Requests and their repeats: the names by which they are recognised, and how they take turns.

The names stay what they were, or an upgrade would forget them.
"""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import app.service.idempotency
from app.service.commands import AdaptCommand
from app.service.cross_validation import Method
from app.service.fingerprints import is_repeat, names_of
from app.service.idempotency import Idempotency
from app.service.record import InnerLoopSettings
from app.service.store_protocol import Name, Quota
from app.service.support_set import SupportSet
from app.storage.memory import MemoryStore

MODEL: Any = SimpleNamespace(bundle=SimpleNamespace(name="sinusoid"), digest="ab" * 32)
SUPPORT = SupportSet(np.array([[1.0], [2.0]], np.float32), np.array([[0.5], [0.25]], np.float32))


@pytest.mark.parametrize(
    ("settings", "assess", "fingerprint", "content"),
    [
        ((3, 0.01), Method.k_fold, "debccf4e89f12b564384367b19339874", "9d55caa60209bdd9ddc7ae09da1e55ae"),
        ((None, None), None, "80976e498733dba3e7c3bf9f10f816df", "5e938970d44c49ba835a308289c9d6ff"),
    ],
)
def test_requests_of_version_0_1_are_recognised(
    settings: tuple[int | None, float | None], assess: Method | None, fingerprint: str, content: str
) -> None:
    command = AdaptCommand("", MODEL, SUPPORT, InnerLoopSettings(*settings), 60, "x", True, assess, "k", True)
    key, reuse = names_of(command)
    assert (key.name, is_repeat(key.fingerprint, bytes.fromhex(fingerprint))) == ("key:k", True)
    assert (reuse.name, reuse.fingerprint) == (f"content:{content}", b"")


class Waiting:
    """A caller that can disconnect."""

    deadline = None

    def __init__(self) -> None:
        self.gone = False

    def disconnected(self) -> bool:
        return self.gone


def test_work_is_abandoned_only_when_nobody_waits_for_it() -> None:
    async def run() -> list[bool]:
        idempotency = Idempotency(MemoryStore(Quota(10, 10_000)), lambda: 0.0)
        first, repeat = Waiting(), Waiting()

        async def turn_of_repeat() -> None:
            async with idempotency.turn("", ["key:k"], repeat) as callers:
                assert callers is not None
                told.append(callers.disconnected())

        told: list[bool] = []
        async with idempotency.turn("", ["key:k"], first) as callers:
            assert callers is not None
            told.append(callers.disconnected())
            first.gone = True
            told.append(callers.disconnected())
            task = asyncio.create_task(turn_of_repeat())
            await asyncio.sleep(0)
            told.append(callers.disconnected())
            repeat.gone = True
            told.append(callers.disconnected())
            repeat.gone = False
        await task
        return told

    assert asyncio.run(run()) == [False, True, False, True, False]


def test_work_may_ask_for_its_callers_after_the_turn_has_ended() -> None:
    async def run() -> list[bool]:
        idempotency, caller = Idempotency(MemoryStore(Quota(10, 10_000)), lambda: 0.0), Waiting()
        async with idempotency.turn("", ["key:k"], caller) as callers:
            assert callers is not None
        told = [callers.disconnected()]
        caller.gone = True
        return [*told, callers.disconnected()]

    assert asyncio.run(run()) == [False, True]


def test_turns_are_taken_in_order_and_given_up_when_cancelled() -> None:
    async def run() -> list[str]:
        idempotency = Idempotency(MemoryStore(Quota(10, 10_000)), lambda: 0.0)
        begun: list[str] = []
        end = {name: asyncio.Event() for name in "abcdef"}

        async def take(name: str, names: Sequence[str]) -> None:
            async with idempotency.turn("", names, None):
                begun.append(name)
                await end[name].wait()

        lines = {"a": "x", "b": "y", "c": "xy", "d": "x", "e": "xy", "f": "y"}
        tasks = {name: asyncio.create_task(take(name, list(line))) for name, line in lines.items()}
        await asyncio.sleep(0)
        assert begun == ["a", "b"]
        end["a"].set()  # c is first in line x now, and waits in line y
        await asyncio.sleep(0.01)
        tasks["d"].cancel()
        await asyncio.sleep(0.01)
        assert begun == ["a", "b"]
        end["b"].set()
        await asyncio.sleep(0.01)
        assert begun == ["a", "b", "f"]
        for each in "cef":
            end[each].set()
            await asyncio.sleep(0.01)
        await asyncio.gather(*(task for name, task in tasks.items() if name != "d"))
        assert not idempotency._lines
        return begun

    assert asyncio.run(run()) == ["a", "b", "f", "c", "e"]


def test_the_names_that_came_last_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.service.idempotency, "MAX_RECENT", 3)

    idempotency = Idempotency(MemoryStore(Quota(10, 10_000)), lambda: 0.0)
    known = [idempotency.note("", [Name(name, b"")]) for name in "ababcdefga"]
    assert known == [False, False, True, True, *4 * [False], False, False]
    assert not idempotency.note("another", [Name("a", b"")])
    assert idempotency.note("", [Name("z", b""), Name("a", b"")])
