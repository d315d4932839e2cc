"""Everything that asks a server over HTTP: one client, one request function, a learner and a predictor.

Bodies are msgpack, which takes a fifth of the bytes of JSON, and of the time to read them, for images of 28 x 28.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from app.bundles.bundle import Bundle
from app.cli.system import check_system
from app.device import describe
from app.errors import Diverged, InnerloopError, expectation
from app.families.worlds import Episodes
from app.learn.losses import KINDS
from app.learn.outer import Tasks
from app.learn.shapes import Bool, Float
from app.settings import Settings
from app.training.predictor import Answers, Predictor
from app.training.problem import worlds_of
from app.training.returns import OVER_HTTP, Returns, Trial, mean_returns

CONCURRENCY = 16
"""Requests of an evaluation that wait for their responses at the same time."""
MSGPACK = "application/msgpack"


@asynccontextmanager
async def connect(server: str | None) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the server at this URL, or, for None, of one that runs in this process."""
    if server is not None:
        if not server.startswith(("http://", "https://")):
            raise InnerloopError(f"--server: expected a URL such as http://127.0.0.1:8000, got {server!r}")
        async with httpx.AsyncClient(base_url=server, timeout=120) as client:
            yield client
        return
    check_system()
    from app.main import create_app  # the server takes a second to import, and `--help` does without

    application = create_app(Settings(compile=False, watch=False, store="memory"))
    transport = httpx.ASGITransport(application)
    async with (
        application.router.lifespan_context(application),
        httpx.AsyncClient(transport=transport, base_url="http://innerloop") as client,
    ):
        yield client


async def request(client: httpx.AsyncClient, method: str, path: str, body: Any = None) -> Any:
    """Send a request and return the decoded response.

    Raises Diverged where the inner loop diverged, and InnerloopError with the server's sentence where it refuses the
    request for another reason, or where no server answers.
    """
    content = None if body is None else msgspec.msgpack.encode(body)
    headers = {"Content-Type": MSGPACK, "Accept": MSGPACK}
    try:
        response = await client.request(method, path, content=content, headers=headers)
    except httpx.TransportError as error:
        raise InnerloopError(
            expectation(
                "--server",
                f"an answer from {client.base_url}",
                f'"{error}"',
                "start a server with `innerloop serve`, or correct the URL",
            )
        ) from error
    except httpx.InvalidURL as error:
        raise InnerloopError(
            f"--server: expected a URL such as http://localhost:8000, got {client.base_url}: {error}"
        ) from error
    try:
        decode = msgspec.msgpack.decode if response.headers.get("content-type") == MSGPACK else msgspec.json.decode
        answer = decode(response.content)
        sentence = answer["detail"] if response.is_error else ""
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        message = (
            f"{response.url}: expected an answer from Innerloop, got status {response.status_code} from another server"
        )
        raise InnerloopError(f"{message}: check the URL") from error
    if not response.is_error:
        return answer
    if "losses" in answer:
        raise Diverged(sentence, answer["losses"])
    raise InnerloopError(sentence)


async def get_model(client: httpx.AsyncClient, bundle: str) -> Any:
    """What the server says of a model. Raises InnerloopError that names the argument `bundle` where it has none."""
    try:
        return await request(client, "GET", f"/models/{bundle}")
    except InnerloopError as error:
        raise InnerloopError(str(error).replace("path.name:", "bundle:", 1)) from error


def to_raw(values: Tensor) -> Mapping[str, Any]:
    """An array as a msgpack body has it (`app.api.schemas.RawArray`)."""
    return {"shape": list(values.shape), "data": values.numpy(force=True).astype("<f4").tobytes(), "dtype": "float32"}


def from_raw(raw: Mapping[str, Any]) -> Tensor:
    """An array of a msgpack response."""
    dtype = np.dtype(raw["dtype"]).newbyteorder("<")
    return torch.from_numpy(np.frombuffer(raw["data"], dtype).reshape(raw["shape"]).astype(raw["dtype"]))


def check_digest(model: Mapping[str, Any], bundle: Bundle) -> None:
    """Raise InnerloopError if the server's bundle is not this one. model: its response to `GET /models/{name}`."""
    if model.get("digest") != bundle.manifest.digest:
        raise InnerloopError(
            f"{bundle.name}: expected the digest {bundle.manifest.digest[:8]} of this models folder, got "
            f"{str(model.get('digest'))[:8]} from the server: give both the same bundle"
        )


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
        self,
        client: httpx.AsyncClient,
        model: Mapping[str, Any],
        tasks: int,
        *,
        seed: int | None = 0,
        with_rewards: bool = True,
    ) -> None:
        """Create a learner within the running event loop.

        model: the server's response to `GET /models/{name}`
        seed: of the actions that the policies draw; None takes the most probable actions
        with_rewards: whether rewards are posted; without them the server imitates the actions
        """
        self._client, self._model = client, model["name"]
        self._columns, self._is_box = model["targets"], model["actions"]["form"] == "box"
        self._with_rewards = with_rewards
        self._loop = asyncio.get_running_loop()
        self._seeds = None if seed is None else torch.Generator().manual_seed(seed)
        self.adaptations: list[str | None] = [None] * tasks
        """The ids, None before the first stage."""
        self.messages: list[str] = []
        """What the server says of each adaptation after its latest stage."""

    def act(
        self, observations: Float[Tensor, "task episode feature"], going: Bool[Tensor, "task episode"]
    ) -> Float[Tensor, "task episode action"]:
        """Send one request for each task, with the observations of its episodes that go on."""
        tasks = [task for task in range(len(going)) if going[task].any()]
        bodies = [self._policy(task) | {"queries": to_raw(observations[task, going[task]])} for task in tasks]
        actions = observations.new_zeros(*going.shape, self._columns)
        for task, answer in zip(tasks, self._post([("/predict", body) for body in bodies]), strict=True):
            predictions = from_raw(answer["predictions"])
            chosen = predictions if self._is_box else one_hot(predictions.long(), self._columns).to(actions.dtype)
            actions[task, going[task]] = chosen
        return actions

    def learn(self, episodes: Episodes) -> None:
        """Send one request for each task: its first stage, or one more."""
        supports = [self._support(episodes, task) for task in range(len(episodes.mask))]
        if self.adaptations[0] is None:
            requests: list[tuple[str, Any]] = [
                ("/adapt", {"model": self._model, "support": support}) for support in supports
            ]
        else:
            paths = [f"/adaptations/{adaptation}/support" for adaptation in self.adaptations]
            requests = list(zip(paths, supports, strict=True))
        answers = self._post(requests)
        self.adaptations = [answer["adaptation_id"] for answer in answers]
        self.messages = [answer["message"] for answer in answers]

    def _policy(self, task: int) -> dict[str, Any]:
        """The fields of a request that name the policy, and how it chooses actions."""
        adaptation = self.adaptations[task]
        policy = {"model": self._model} if adaptation is None else {"adaptation_id": adaptation}
        if self._seeds is None:
            return policy
        return policy | {"sample": True, "seed": int(torch.randint(1 << 31, (), generator=self._seeds))}

    def _support(self, episodes: Episodes, task: int) -> dict[str, Any]:
        return {"episodes": [self._episode(*parts) for parts in zip(*(part[task] for part in episodes), strict=True)]}

    def _episode(self, observations: Tensor, actions: Tensor, rewards: Tensor, mask: Tensor) -> Mapping[str, Any]:
        taken = actions[mask] if self._is_box else actions[mask].argmax(-1)
        episode = {"observations": to_raw(observations[mask]), "actions": to_raw(taken)}
        return episode | {"rewards": to_raw(rewards[mask])} if self._with_rewards else episode

    def _post(self, requests: Sequence[tuple[str, Any]]) -> list[Any]:
        """Send all requests at once and wait for their responses."""

        async def together() -> list[Any]:
            return await asyncio.gather(*(request(self._client, "POST", path, body) for path, body in requests))

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
        bodies = [_body(bundle, tasks, task, number) for number in steps for task in range(count)]
        rows = asyncio.run(_predict_all(url, bundle, bodies))
        usable = torch.tensor([row is not None for row in rows]).reshape(len(steps), count)
        empty = torch.zeros_like(next((row for row in rows if row is not None), tasks.query.targets[0]))
        outputs = torch.stack([empty if row is None else row for row in rows])
        return Answers(outputs.reshape(len(steps), count, *empty.shape), usable)

    return predict


async def _predict_all(url: str, bundle: Bundle, bodies: Sequence[Mapping[str, Any] | None]) -> list[Tensor | None]:
    """The outputs for each body; None where there is no body, and where the inner loop diverged."""
    slots = asyncio.Semaphore(CONCURRENCY)

    async def predict(body: Mapping[str, Any] | None) -> Tensor | None:
        if body is None:
            return None
        async with slots:
            try:
                return _outputs(bundle, await request(client, "POST", "/predict", body))
            except Diverged:
                return None

    async with connect(url) as client:
        check_digest(await get_model(client, bundle.name), bundle)
        return await asyncio.gather(*map(predict, bodies))


def _body(bundle: Bundle, tasks: Tasks, task: int, steps: int) -> Mapping[str, Any] | None:
    """The request for a task; None for classes in closed form before its one step, which have no answer."""
    body: dict[str, Any] = {"model": bundle.name, "queries": to_raw(tasks.query.inputs[task])}
    kind, closed_form = KINDS[bundle.manifest.kind], bundle.algorithm.closed_form
    if closed_form and steps == 0:
        return None if kind.one_hot else body
    mask = tasks.support.mask[task]
    inputs, targets = tasks.support.inputs[task][mask], tasks.support.targets[task][mask]
    if kind.weighted:
        return body | {"support": {"episodes": _single_decisions(bundle, inputs, targets)}, "steps": steps}
    # labels sort like their classes for fewer than 1,000 classes
    labels = [f"class {index:03d}" for index in targets.argmax(-1).tolist()] if kind.one_hot else to_raw(targets)
    body["support"] = {"inputs": to_raw(inputs), "targets": labels}
    return body if closed_form else body | {"steps": steps}


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


def _outputs(bundle: Bundle, answer: Mapping[str, Any]) -> Tensor:
    """The outputs of the network, as far as a response to `POST /predict` has them."""
    kind = KINDS[bundle.manifest.kind]
    if kind.weighted and "probabilities" not in answer:
        return torch.cat([from_raw(answer["mean"]), from_raw(answer["std"]).log()], dim=1)
    if not (kind.weighted or kind.one_hot):
        return from_raw(answer["predictions"])
    probabilities = from_raw(answer["probabilities"])
    if kind.one_hot:
        labels = answer["labels"]
        probabilities = probabilities[:, sorted(range(len(labels)), key=labels.__getitem__)]
    return probabilities.log()
