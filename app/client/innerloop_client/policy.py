"""Policies: act, adapt to episodes, act again."""

import math
import operator
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Generic, TypedDict, TypeVar

from innerloop_client.adaptation import Adaptation, AsyncAdaptation
from innerloop_client.adaptation_fields import AdaptationFields
from innerloop_client.blocking import blocking, changing
from innerloop_client.client_methods import ClientMethods
from innerloop_client.environment_values import as_observations
from innerloop_client.episodes import Environment, make_all, play
from innerloop_client.errors import InnerloopError, UnsupportedInput, shown
from innerloop_client.named_rows import names_of

A = TypeVar("A", bound=AdaptationFields)
P = TypeVar("P", bound="AsyncPolicy")


class PolicyOptions(TypedDict, total=False):
    """Options of the adaptation that the first `adapt` makes; see `Client.adapt`."""

    steps: int | None
    learning_rate: float | None
    ttl_s: int | None
    label: str | None
    pinned: bool | None


@dataclass(frozen=True)
class PolicyRun:
    """What a policy earned, before adapting and after each stage.

    returns: the sum of the rewards of each episode, [stage][episode]; stage 0 is before adapting
    """

    returns: list[list[float]] = field(repr=False)
    before: float = field(init=False)
    after: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "before", self.means[0])
        object.__setattr__(self, "after", self.means[-1])

    @property
    def means(self) -> list[float]:
        """The mean return of each stage; `before` is the first of them, `after` the last."""
        return [fmean(each) for each in self.returns]


class _Policy(Generic[A]):
    """A policy that acts as the initialization until it has adapted.

    model: its name
    adaptation: what it has adapted to; None at first
    """

    def __init__(self, client: Any, model: str, adaptation: A | None, options: Mapping[str, Any]) -> None:
        if adaptation is not None and not isinstance(adaptation, AdaptationFields):
            raise UnsupportedInput(f"adaptation: expected an adaptation, got {type(adaptation).__name__}")
        if adaptation is not None and adaptation.model != model:
            raise UnsupportedInput(f"adaptation: expected one of {model}, got one of {adaptation.model}")
        if adaptation is not None and options:
            raise UnsupportedInput(f"{next(iter(options))}: the adaptation has its own: leave out one of the two")
        unknown = [name for name in options if name not in PolicyOptions.__annotations__]
        if unknown:
            expected = ", ".join(PolicyOptions.__annotations__)
            raise UnsupportedInput(f"policy: expected the options {expected}, got {unknown[0]!r}")
        self._client, self._options = client, options
        self.model, self.adaptation = model, adaptation
        self._adapts = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}(model={self.model!r}, adaptation={self.adaptation and self.adaptation.id!r})"

    async def _predict(self, observations: Any, **options: Any) -> Any:
        options["details"] = True
        if self.adaptation is None:
            result = await ClientMethods.predict(self._client, self.model, observations, **options)
        else:
            result = await AsyncAdaptation.predict(self.adaptation, observations, **options)  # type: ignore[arg-type]
        if result.labels is not None or (result.mean is None and result.probabilities is None):
            raise UnsupportedInput(f"model: expected one that makes decisions, got {self.model}: use Client.predict")
        return result.predictions


class AsyncPolicy(_Policy[AsyncAdaptation]):
    """A policy whose methods are awaited."""

    async def act(
        self, observation: Any, *, sample: bool | None = None, seed: int | None = None, timeout: float | None = None
    ) -> Any:
        """Choose an action for an observation.

        Returns the number of a discrete action, or the numbers of an action that is a `box`: an array or a tensor if
        the observation is one without names, otherwise a list. An environment may want other actions: `run` clips those
        of a Box, and adds `start` to those that are Discrete.

        sample: True draws the action at random, by the probabilities of the policy. Use it in episodes that you will
            pass to `adapt`. By default, you get the most probable action
        seed: makes the draw repeatable; needs sample=True, and another seed for each step
        timeout: seconds, instead of the client's
        """
        is_array = hasattr(observation, "reshape") and names_of(observation) is None
        observations = observation.reshape(1, -1) if is_array else [observation]
        with as_observations():
            (action,) = await self._predict(observations, sample=sample, seed=seed, timeout=timeout)
        return action.item() if getattr(action, "ndim", None) == 0 else action

    async def adapt(self: P, episodes: Sequence[Mapping[str, Any]], *, timeout: float | None = None) -> P:
        """Adapt to episodes of this policy, or of an expert. Returns this policy, changed.

        A further call adds a stage, which starts from the weights after the previous one.

        episodes: mappings with `observations`, `actions` and perhaps `rewards`, each a list or an array
        timeout: seconds, instead of the client's
        """
        if self._adapts:  # otherwise the episodes of one of two first calls would be lost
            raise InnerloopError("adapt: this policy is adapting: wait for that call")
        self._adapts = True
        try:
            if self.adaptation is None:
                self.adaptation = await ClientMethods.adapt(
                    self._client, self.model, episodes=episodes, timeout=timeout, **self._options
                )
            else:
                await AsyncAdaptation.extend(self.adaptation, episodes=episodes, timeout=timeout)
        finally:
            self._adapts = False
        return self

    async def run(
        self,
        make_env: Callable[[], Environment],
        *,
        episodes: int = 20,
        stages: int = 1,
        longest: int = 1000,
        seed: int | None = None,
        timeout: float | None = None,
    ) -> PolicyRun:
        """Act in an environment, adapt to the episodes and act again: the closed loop.

        The result has the return of each episode, before adapting and after each stage. The policy draws its actions.
        In each step, one request asks for the actions of all episodes that go on.

        make_env: makes a gymnasium environment; it is called once for each of the episodes, which run side by side
        episodes: how many there are in a stage
        stages: how often the policy adapts
        longest: most steps of an episode
        seed: of the environments and of the draws, to repeat a run
        timeout: seconds for each request, instead of the client's
        """
        episodes, stages = _whole("episodes", episodes, 1), _whole("stages", stages, 0)
        longest = _whole("longest", longest, 1)

        async def act(observations: Any, seed: int) -> Any:
            with as_observations():
                return await self._predict(observations, sample=True, seed=seed, timeout=timeout)

        seeds = random.Random(None if seed is None else _whole("seed", seed))  # noqa: S311 (no secret)
        returns: list[list[float]] = []
        with ExitStack() as stack:
            environments = make_all(make_env, episodes, stack)
            for stage in range(stages + 1):
                played = await play(environments, act, longest, seeds)
                returns.append([sum(episode["rewards"]) for episode in played])
                if stage < stages:
                    await AsyncPolicy.adapt(self, played, timeout=timeout)
        return PolicyRun(returns)


class Policy(_Policy[Adaptation]):
    """A policy whose methods block."""

    act = blocking(AsyncPolicy.act)
    adapt = changing(AsyncPolicy.adapt)
    run = blocking(AsyncPolicy.run)


def _whole(name: str, value: Any, least: float = -math.inf) -> int:
    """A whole number of any type. Raises UnsupportedInput."""
    try:
        number = operator.index(value)
    except TypeError as error:
        raise UnsupportedInput(f"{name}: expected a whole number, got {shown(value)}") from error
    if number < least:
        raise UnsupportedInput(f"{name}: expected at least {least}, got {shown(number)}")
    return number
