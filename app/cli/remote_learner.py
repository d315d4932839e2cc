"""A learner and a predictor that ask a server."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from app.bundles.bundle import Bundle
from app.cli.server_connection import connect, get_model
from app.device import describe
from app.errors import InnerloopError, expectation
from app.families.worlds_protocol import Episodes
from app.learn.losses import KINDS
from app.learn.outer_directions import Tasks
from app.learn.shape_annotations import Bool, Float
from app.training.family_and_network import worlds_of
from app.training.predictor import Answers, Predictor
from app.training.returns import OVER_HTTP, Returns, Trial, mean_returns
from innerloop_client import AsyncAdaptation, AsyncClient, Diverged, Model, Prediction

CONCURRENCY = 16
"""Requests of an evaluation that wait for their responses at the same time."""


def check_takes_features(bundle: Bundle) -> None:
    """Raise InnerloopError if a bundle's encoder takes rows of another form than the features that its family draws."""
    if bundle.manifest.encoder is not None and not bundle.takes_features:
        actual = f"{bundle.name}, whose encoder is {bundle.manifest.encoder.name}"
        raise InnerloopError(expectation("--server", "a bundle that takes features", actual, "leave --server out"))


class RemoteLearner:
    """A learner (`app.training.rollouts`) whose policy is on a server, with an adaptation for each task.

    `act` and `learn` block until the responses are there, so they are called in another thread than that of the event
    loop of the client.
    """

    def __init__(
        self, client: AsyncClient, model: Model, tasks: int, *, seed: int | None = 0, with_rewards: bool = True
    ) -> None:
        """Create a learner within the running event loop.

        seed: of the actions that the policies draw; None takes the most probable actions
        with_rewards: whether rewards are posted; without them the server imitates the actions
        """
        self._client, self._model, self._with_rewards = client, model.name, with_rewards
        self._columns, self._is_box = model.targets, (model.actions or {}).get("form") == "box"
        self._loop = asyncio.get_running_loop()
        self._seeds = None if seed is None else torch.Generator().manual_seed(seed)
        self.adaptations: list[AsyncAdaptation | None] = [None] * tasks
        """Of the tasks; None before the first stage."""

    def act(
        self, observations: Float[Tensor, "task episode feature"], going: Bool[Tensor, "task episode"]
    ) -> Float[Tensor, "task episode action"]:
        """Send one request for each task, with the observations of its episodes that go on."""
        tasks = [task for task in range(len(going)) if going[task].any()]
        actions = observations.new_zeros(*going.shape, self._columns)
        answers = self._together([self._choose(task, observations[task, going[task]]) for task in tasks])
        for task, chosen in zip(tasks, answers, strict=True):
            actions[task, going[task]] = chosen if self._is_box else one_hot(chosen.long(), self._columns).to(actions)
        return actions

    def learn(self, episodes: Episodes) -> None:
        """Send one request for each task: its first stage, or one more."""
        self.adaptations = self._together([self._learn(task, episodes) for task in range(len(episodes.mask))])

    def _choose(self, task: int, observations: Tensor) -> Coroutine[Any, Any, Any]:
        """The actions of a policy."""
        draw: dict[str, Any] = {}
        if self._seeds is not None:
            draw = {"sample": True, "seed": int(torch.randint(1 << 31, (), generator=self._seeds))}
        adaptation = self.adaptations[task]
        if adaptation is None:
            return self._client.predict(self._model, observations, **draw)
        return adaptation.predict(observations, **draw)

    def _learn(self, task: int, episodes: Episodes) -> Coroutine[Any, Any, AsyncAdaptation]:
        """The adaptation of a task, to its episodes."""
        shown = [self._episode(*parts) for parts in zip(*(part[task] for part in episodes), strict=True)]
        adaptation = self.adaptations[task]
        if adaptation is None:
            return self._client.adapt(self._model, episodes=shown)
        return adaptation.extend(episodes=shown)

    def _episode(self, observations: Tensor, actions: Tensor, rewards: Tensor, mask: Tensor) -> Mapping[str, Tensor]:
        taken = actions[mask] if self._is_box else actions[mask].argmax(-1)
        episode = {"observations": observations[mask], "actions": taken}
        return episode | {"rewards": rewards[mask]} if self._with_rewards else episode

    def _together(self, requests: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
        """Send all requests at once and wait for their responses."""

        async def together() -> list[Any]:
            return await asyncio.gather(*requests)

        return asyncio.run_coroutine_threadsafe(together(), self._loop).result()


async def returns_over_http(bundle: Bundle, trial: Trial, server: str | None) -> Returns:
    """The returns of a policy in its worlds, acting and learning over HTTP. server: as for `connect`."""
    worlds = worlds_of(bundle)
    check_takes_features(bundle)
    async with connect(server) as client:
        model = await get_model(client, bundle.name)
        check_digest(model, bundle)
        learner = RemoteLearner(client, model, trial.tasks, seed=trial.seed)
        # in another thread: the learner blocks until responses come, and the event loop receives them
        episodes = await asyncio.to_thread(trial.run, worlds, lambda generator: learner, torch.device("cpu"))
    return Returns(trial, mean_returns(episodes), way=OVER_HTTP, machine=describe(torch.device("cpu")))


def over_http(url: str, bundle: Bundle) -> Predictor:
    """A predictor that asks the server at `url`, which serves this bundle.

    An answer is not usable where the server reports that the inner loop diverged. For classes and for discrete actions
    the outputs are the logarithms of the probabilities. Raises InnerloopError if the server does not answer, if it
    serves another bundle of this name, if the bundle encodes what is posted, or if the tasks weigh decisions: each
    decision is sent as an episode to imitate.
    """
    check_takes_features(bundle)

    def predict(tasks: Tasks, steps: Sequence[int]) -> Answers:
        count = len(tasks.support.mask)
        requests = [_request(bundle, tasks, task, number) for number in steps for task in range(count)]
        rows = asyncio.run(_predict_all(url, bundle, requests))
        usable = torch.tensor([row is not None for row in rows]).reshape(len(steps), count)
        empty = torch.zeros_like(next((row for row in rows if row is not None), tasks.query.targets[0]))
        outputs = torch.stack([empty if row is None else row for row in rows])
        return Answers(outputs.reshape(len(steps), count, *empty.shape), usable)

    return predict


async def _predict_all(url: str, bundle: Bundle, requests: Sequence[Mapping[str, Any] | None]) -> list[Tensor | None]:
    """The outputs for each request; None where there is none, and where the inner loop diverged."""
    slots = asyncio.Semaphore(CONCURRENCY)

    async def predict(request: Mapping[str, Any] | None) -> Tensor | None:
        if request is None:
            return None
        async with slots:
            try:
                return _outputs(bundle, await client.predict(bundle.name, **request, details=True))
            except Diverged:
                return None

    async with connect(url) as client:
        check_digest(await get_model(client, bundle.name), bundle)
        return await asyncio.gather(*map(predict, requests))


def _request(bundle: Bundle, tasks: Tasks, task: int, steps: int) -> Mapping[str, Any] | None:
    """The arguments of `predict` for a task; None for classes in closed form before its one step: no answer."""
    request: dict[str, Any] = {"queries": tasks.query.inputs[task]}
    kind, closed_form = KINDS[bundle.manifest.kind], bundle.algorithm.closed_form
    if closed_form and steps == 0:
        return None if kind.one_hot else request
    mask = tasks.support.mask[task]
    inputs, targets = tasks.support.inputs[task][mask], tasks.support.targets[task][mask]
    if kind.weighted:
        return request | {"episodes": _single_decisions(bundle, inputs, targets), "steps": steps}
    # labels sort like their classes for fewer than 1,000 classes
    labels = [f"class {index:03d}" for index in targets.argmax(-1).tolist()] if kind.one_hot else targets
    return request | {"x": inputs, "y": labels} | ({} if closed_form else {"steps": steps})


def _single_decisions(bundle: Bundle, inputs: Tensor, targets: Tensor) -> list[Mapping[str, Any]]:
    """Decisions as episodes of one step each, without rewards."""
    if not (targets[:, -1] == 1).all():
        reason = f"the tasks of {bundle.name} have a weight for each decision, and a request cannot send weights"
        raise InnerloopError(f"--server: {reason}: leave --server out")
    schema = bundle.manifest.schema
    discrete = schema.actions is not None and not schema.actions.is_box
    actions = targets[:, :-1].argmax(1).tolist() if discrete else targets[:, :-1].tolist()
    rows = zip(inputs.tolist(), actions, strict=True)
    return [{"observations": [observation], "actions": [action]} for observation, action in rows]


def _outputs(bundle: Bundle, prediction: Prediction) -> Tensor:
    """The outputs of the network, as far as a response to `POST /predict` has them."""
    kind = KINDS[bundle.manifest.kind]
    if kind.weighted and prediction.probabilities is None:
        return torch.cat([prediction.mean, prediction.std.log()], dim=1)
    if not (kind.weighted or kind.one_hot):
        return rows_of(prediction.predictions)
    probabilities: Tensor = prediction.probabilities
    if kind.one_hot:
        labels = prediction.labels or []
        probabilities = probabilities[:, sorted(range(len(labels)), key=labels.__getitem__)]
    return probabilities.log()


def rows_of(predictions: Tensor) -> Float[Tensor, "query target"]:
    """Predictions of the client, which are [query] where there is one target."""
    return predictions.reshape(len(predictions), -1)


def check_digest(model: Model, bundle: Bundle) -> None:
    """Raise InnerloopError if the server's bundle is not this one."""
    if model.digest != bundle.manifest.digest:
        raise InnerloopError(
            f"{bundle.name}: expected the digest {bundle.manifest.digest[:8]} of this models folder, got "
            f"{model.digest[:8]} from the server: give both the same bundle"
        )
