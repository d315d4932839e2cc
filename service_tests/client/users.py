"""Users who make calls, and know what each answer has to be."""

import asyncio
import inspect
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from innerloop_client import Client, Conflict, ConnectionFailed, DeadlinePassed, NotFound, Overloaded

WEIGHTS = {"adapt": 3, "adapt_stream": 2, "predict": 4, "extend": 4, "forget": 3, "undo": 2, "delete": 2}
"""How often each call is made."""
UNSURE = ConnectionFailed, Overloaded, DeadlinePassed
"""After these errors a call may have had its effect or not."""
Example = tuple[float, float]


@dataclass
class Known:
    """What a user knows of an adaptation. changes: what its history has to be; unsure: a change that may follow."""

    label: str
    handle: Any = None
    stages: list[dict[int, Example]] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    count: int = 0
    unsure: str = ""

    @property
    def examples(self) -> dict[int, Example]:
        """All examples by their numbers."""
        return {number: example for stage in self.stages for number, example in stage.items()}

    def add(self, examples: list[Example], change: str) -> None:
        """Take note of more examples."""
        self.stages.append(dict(enumerate(examples, self.count)))
        self.count += len(examples)
        self.changes.append(change)

    def check(self) -> None:
        """Compare what the client says of the adaptation."""
        assert (self.handle.examples, self.handle.revision) == (list(self.examples), len(self.changes))


@dataclass
class Result:
    """What users have seen. calls: how often each call was made; errors: those that were raised."""

    kept: list[Known] = field(default_factory=list)
    deleted: list[Known] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    failures: list[BaseException] = field(default_factory=list)


class User:
    """Makes calls, one after another, and checks each answer."""

    def __init__(self, innerloop: Any, direct: Client, name: str, seed: int, result: Result) -> None:
        """innerloop: a client of the network; direct: one of the server."""
        self._innerloop, self._direct, self._name, self._result = innerloop, direct, name, result
        self._random = random.Random(f"{seed} {name}")
        self._known: list[Known] = []

    async def work(self, calls: int) -> None:
        """Make so many calls."""
        for number in range(calls):
            name = self._random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0] if self._known else "adapt"
            self._result.calls[name] += 1
            known = (
                self._random.choice(self._known) if not name.startswith("adapt") else Known(f"{self._name}.{number}")
            )
            try:
                await getattr(self, f"_{name}")(known)
            except UNSURE as error:
                self._result.errors[f"{name}: {type(error).__name__}"] += 1
                known.unsure = name
                self._forget_about(known)
        self._result.kept += self._known

    def _forget_about(self, known: Known) -> None:
        if known in self._known:
            self._known.remove(known)
        self._result.kept.append(known)

    def _draw(self) -> list[Example]:
        return [(self._random.uniform(-5, 5), self._random.uniform(-2, 2)) for _ in range(self._random.randint(1, 3))]

    async def _adapt(self, known: Known) -> None:
        examples = self._draw()
        inputs, targets = [[x] for x, _ in examples], [y for _, y in examples]
        known.handle = await _awaited(self._innerloop.adapt("sinusoid", inputs, targets, steps=1, label=known.label))
        self._made(known, examples)

    async def _adapt_stream(self, known: Known) -> None:
        examples = self._draw()
        inputs, targets = [[x] for x, _ in examples], [y for _, y in examples]
        stream = self._innerloop.adapt_stream("sinusoid", inputs, targets, steps=3, label=known.label)
        losses = [loss async for loss in stream] if hasattr(stream, "__aiter__") else list(stream)
        known.handle = stream.adaptation
        np.testing.assert_allclose(losses, known.handle.losses, rtol=1e-4)
        self._made(known, examples)

    def _made(self, known: Known, examples: list[Example]) -> None:
        known.add(examples, "adapted")
        known.check()
        self._known.append(known)

    async def _predict(self, known: Known) -> None:
        queries = [[x] for x, _ in self._draw()]
        predictions = await _awaited(known.handle.predict(queries))
        expected = await asyncio.to_thread(_predict_directly, self._direct, known.handle.id, queries)
        np.testing.assert_allclose(predictions, expected, rtol=1e-4, atol=1e-4)

    async def _extend(self, known: Known) -> None:
        examples = self._draw()
        await _awaited(known.handle.extend([[x] for x, _ in examples], [y for _, y in examples]))
        known.add(examples, "extended")
        known.check()

    async def _forget(self, known: Known) -> None:
        number = self._random.choice(list(known.examples))
        try:
            await _awaited(known.handle.forget(number))
        except Conflict:
            assert len(known.examples) == 1
            return
        except NotFound:  # the network has sent it twice
            self._result.errors["forget: NotFound"] += 1
            await _awaited(known.handle.refresh())
        known.stages = [
            rest for stage in known.stages if (rest := {key: each for key, each in stage.items() if key != number})
        ]
        known.changes.append("forgot")
        known.check()

    async def _undo(self, known: Known) -> None:
        try:
            await _awaited(known.handle.undo())
        except Conflict:
            assert len(known.stages) == 1
            return
        known.stages.pop()
        known.changes.append("undone")
        known.check()

    async def _delete(self, known: Known) -> None:
        try:
            await _awaited(known.handle.delete())
        except NotFound:  # the network has sent it twice
            self._result.errors["delete: NotFound"] += 1
        self._known.remove(known)
        self._result.deleted.append(known)


async def _awaited(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


def _predict_directly(direct: Client, id: str, queries: list[list[float]]) -> Any:
    return direct.adaptation(id).predict(queries)
