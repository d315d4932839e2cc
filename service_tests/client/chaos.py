"""Calls through a network that fails: none is lost, and none has a second effect.

    python -m service_tests.client.chaos 1000

Threads share a `Client` and coroutines share an `AsyncClient`. Each user makes adaptations of its own, changes them and
knows what they have to be. At the end the server is asked for them directly.
"""

import argparse
import asyncio
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np

from innerloop_client import Adaptation, AsyncClient, Client, InnerloopError, retries
from service_tests.client.unreliable import Unreliable
from service_tests.client.users import Known, Result, User
from service_tests.processes import running

THREADS = COROUTINES = 5
TIMEOUT_S = 20.0


def run(url: str, network: Unreliable, calls: int, seed: int, timeout: float = TIMEOUT_S) -> Result:
    """Make so many calls through the network, and compare what the server has with what the users know."""
    result, share = Result(), calls // (THREADS + COROUTINES)

    def use(innerloop: Client, name: str) -> None:
        try:
            asyncio.run(User(innerloop, direct, name, seed, result).work(share))
        except (AssertionError, InnerloopError) as error:
            result.failures.append(error)

    async def use_all(count: int) -> None:
        async with AsyncClient(network.url, timeout=timeout) as innerloop:
            users = (User(innerloop, direct, f"coroutine {index}", seed, result) for index in range(count))
            ended = await asyncio.gather(*(each.work(share) for each in users), return_exceptions=True)
        result.failures.extend(each for each in ended if each is not None)

    with Client(url) as direct, Client(network.url, timeout=timeout) as innerloop:
        threads = [threading.Thread(target=use, args=(innerloop, f"thread {index}")) for index in range(THREADS)]
        for each in threads:
            each.start()
        asyncio.run(use_all(COROUTINES))
        for each in threads:
            each.join()
        for failure in result.failures:
            raise failure
        check(direct, result)
    return result


def check(direct: Client, result: Result) -> None:
    """Compare what the server has with what the users know."""
    stored = list(direct.adaptations())
    labels = Counter(each.label for each in stored)
    assert all(count == 1 for count in labels.values()), f"made twice: {labels.most_common(3)}"
    known = {each.label: each for each in result.kept}
    lost = {each.label for each in result.kept if not each.unsure} - labels.keys()
    assert not lost, f"lost: {sorted(lost)}"
    assert labels.keys() <= known.keys(), f"not deleted: {sorted(map(str, labels.keys() - known.keys()))}"
    for each in stored:
        check_one(each, known[str(each.label)])


def check_one(stored: Adaptation, known: Known) -> None:
    """Compare the history and the examples of an adaptation."""
    changes = [each.change for each in stored.history()]
    if known.unsure:
        assert changes[: len(known.changes)] == known.changes
        assert len(changes) <= len(known.changes) + 1, f"{known.unsure} was done more than once: {changes}"
        return
    assert changes == known.changes
    support = stored.support()
    targets = [target[0] if isinstance(target, list) else target for target in support["targets"]]
    examples = [(row[0], target) for row, target in zip(support["inputs"], targets, strict=True)]
    np.testing.assert_allclose(examples, list(known.examples.values()), rtol=1e-5)
    assert stored.examples == list(known.examples)


def main() -> None:
    """Start a server, make calls, and print the counts."""
    parser = argparse.ArgumentParser(description="Make calls through a network that fails.")
    parser.add_argument("calls", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--silence", type=float, default=1.0, help="seconds, instead of the client's 5")
    options = parser.parse_args()
    retries.LEAST_SILENCE_S = options.silence
    with tempfile.TemporaryDirectory() as name:
        serve = [sys.executable, "-m", "app.cli", "serve"]
        with (
            running(serve, Path(name) / "log", compile=False, state_dir=name) as url,
            Unreliable(url, options.seed) as network,
        ):
            started = time.monotonic()
            result = run(url, network, options.calls, options.seed)
    print(f"{result.calls.total()} calls, {network.faults.total()} requests, {time.monotonic() - started:.0f} s")
    print(f"{len(result.kept)} adaptations kept, {len(result.deleted)} deleted, all as the users know them")
    for title, counts in (("calls", result.calls), ("faults", network.faults), ("errors", result.errors)):
        print(f"{title}: " + (", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"))


if __name__ == "__main__":
    main()
