"""The closed loop: act through `/predict`, post the episodes, act again. A `Learner` whose policy is on a server."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

import httpx
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from app.bundles import Schema
from app.errors import InnerloopError
from app.families.worlds import Episodes
from app.learn.shapes import Bool, Float


async def ask(client: httpx.AsyncClient, method: str, path: str, body: Any = None) -> Any:
    """The answer of a server. Raises InnerloopError with its sentence where it refuses, or where none answers."""
    try:
        response = await client.request(method, path, json=body)
    except httpx.TransportError as error:
        raise InnerloopError(f"no server answers at {client.base_url}: {error}; innerloop serve starts one") from error
    if response.is_error:
        raise InnerloopError(response.json()["detail"])
    return response.json()


class Remote:
    """A learner on a server: each world has an adaptation of its own, begun with its first stage.

    It acts and learns in a thread beside the loop that its client belongs to.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        model: str,
        schema: Schema,
        tasks: int,
        *,
        seed: int = 0,
    ) -> None:
        """Begin, within the running loop. schema: of the model; seed: of all that the policies draw."""
        self._client, self._model = client, model
        self._columns, self._numbers = schema.targets, schema.actions is not None and schema.actions.is_box
        self._loop = asyncio.get_running_loop()
        self.adaptations: list[str | None] = [None] * tasks
        self._seeds = torch.Generator().manual_seed(seed)
        self.decisions = 0
        """InnerLoopSettings for so far."""

    def act(
        self, observations: Float[Tensor, "task episode feature"], going: Bool[Tensor, "task episode"]
    ) -> Float[Tensor, "task episode action"]:
        """One request a world, for all its episodes that go on."""
        asked = [task for task in range(len(going)) if going[task].any()]
        bodies = [self._policy(task) | {"queries": observations[task, going[task]].tolist()} for task in asked]
        acted = observations.new_zeros(*going.shape, self._columns)
        for task, answer in zip(asked, self._all("/predict", bodies), strict=True):
            acted[task, going[task]] = self._read(answer["predictions"])
        self.decisions += int(going.sum())
        return acted

    def learn(self, episodes: Episodes) -> None:
        """One request a world: a first stage, or one more."""
        supports = [self._support(episodes, task) for task in range(len(episodes.mask))]
        if self.adaptations[0] is None:
            bodies = [{"model": self._model, "support": support} for support in supports]
            self.adaptations = [answer["adaptation_id"] for answer in self._all("/adapt", bodies)]
        else:
            paths = [f"/adaptations/{adaptation}/support" for adaptation in self.adaptations]
            self._wait([ask(self._client, "POST", *each) for each in zip(paths, supports, strict=True)])

    def _policy(self, task: int) -> dict[str, Any]:
        adaptation = self.adaptations[task]
        drawn = {"sample": True, "seed": int(torch.randint(1 << 31, (), generator=self._seeds))}
        return drawn | ({"model": self._model} if adaptation is None else {"adaptation_id": adaptation})

    def _support(self, episodes: Episodes, task: int) -> dict[str, Any]:
        return {"episodes": [self._episode(*parts) for parts in zip(*(part[task] for part in episodes), strict=True)]}

    def _episode(self, observations: Tensor, actions: Tensor, rewards: Tensor, mask: Tensor) -> Mapping[str, Any]:
        done = actions[mask] if self._numbers else actions[mask].argmax(-1)
        return {
            "observations": observations[mask].tolist(),
            "actions": done.tolist(),
            "rewards": rewards[mask].tolist(),
        }

    def _read(self, predictions: Any) -> Float[Tensor, "episode action"]:
        read = torch.tensor(predictions)
        return read if self._numbers else one_hot(read, self._columns).float()

    def _all(self, path: str, bodies: Sequence[Mapping[str, Any]]) -> list[Any]:
        return self._wait([ask(self._client, "POST", path, body) for body in bodies])

    def _wait(self, requests: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
        async def together() -> list[Any]:
            return await asyncio.gather(*requests)

        return asyncio.run_coroutine_threadsafe(together(), self._loop).result()
