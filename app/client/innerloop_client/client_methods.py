"""What a client can do, written once for both clients."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from innerloop_client.adapt_many import adapt_many
from innerloop_client.adapt_request import AdaptBody, Assess, Task
from innerloop_client.adaptation_fields import AdaptationFields
from innerloop_client.descriptions import Health, Model, RefusedBundle, from_body, reading
from innerloop_client.errors import InnerloopError, UnexpectedAnswer, UnsupportedInput, is_problem, server_error, shown
from innerloop_client.idempotency_key import key_of
from innerloop_client.predict_request import predict
from innerloop_client.proposals import Goal, Proposal, propose
from innerloop_client.responses import decoded
from innerloop_client.session import Call, Session
from innerloop_client.support_set import Examples
from innerloop_client.task_lines import Outcome
from innerloop_client.url_segments import segment

A = TypeVar("A", bound=AdaptationFields)
MAX_CURSOR = 1000
"""Most characters of a cursor: the server's have fewer than a hundred."""


class ClientMethods(Generic[A]):
    """What a client can do."""

    _session: Session
    _form: type[A]

    async def adapt(
        self,
        model: str,
        x: Any = None,
        y: Any = None,
        *,
        weights: Any = None,
        labels: Any = None,
        episodes: Sequence[Mapping[str, Any]] | None = None,
        steps: int | None = None,
        learning_rate: float | None = None,
        label_names: bool | None = None,
        ttl_s: int | None = None,
        label: str | None = None,
        assess: Assess | None = None,
        reuse: bool | None = None,
        pinned: bool | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> A:
        """Adapt a model to examples, and store the adaptation on the server.

        model: its name; `models()` lists them
        x, y: the inputs and their targets: lists, arrays, tensors, pandas, images or paths of images
        weights: how much each example counts
        labels: all classes of a classifier, even those without an example; other labels are refused
        episodes: the examples of a policy, instead of x and y: `observations`, `actions` and perhaps `rewards`
        steps, learning_rate: the number and the learning rate of the gradient steps that fit the model to the examples;
            by default the model's
        label_names: whether the words of each label count as one more example, for a model of texts; by default the
            model's choice
        ttl_s: seconds until the adaptation expires
        label: your own name for the adaptation
        assess: measure whether adapting helps, by predicting examples that are left out
        reuse: return the adaptation that an earlier call with `reuse` and the same content created
        pinned: stay with this version of the model when a newer one replaces it
        idempotency_key: a call with the same key and content returns the first adaptation, even from another process
        timeout: seconds, instead of the client's
        """
        options = {
            "weights": weights, "labels": labels, "episodes": episodes, "steps": steps, "learning_rate": learning_rate,
            "label_names": label_names, "ttl_s": ttl_s, "label": label, "assess": assess, "reuse": reuse,
            "pinned": pinned,
        }  # fmt: skip
        key, session = key_of(idempotency_key), self._session.within(timeout)
        body = await AdaptBody(model, x, y, options).send(session, key)
        return self._form(self._session, body, model=model)

    async def adapt_many(
        self,
        tasks: Iterable[Task],
        *,
        progress: bool = False,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> list[A | InnerloopError]:
        """Adapt to many tasks, some of them in each request.

        Returns the adaptations in the order of the tasks. In the place of one that failed there is the error: it is not
        raised. If the server cannot be reached, does not answer a request in time or refuses the API key, all tasks
        that are left get that error. If `tasks` is a generator that raises an error, this call raises it too: call
        again with the same `idempotency_key` to get the adaptations that were made.

        tasks: mappings with the arguments of `adapt`, such as {"model": "sinusoid", "x": x, "y": y, "label": "pump 17"}
        progress: show a progress bar, which needs rich
        idempotency_key: a call with the same key and tasks returns the same adaptations, even from another process. A
            task is known by its number, whichever others fail
        timeout: seconds of each request, instead of the client's
        """
        outcomes = await adapt_many(self._session, tasks, idempotency_key, progress, timeout)
        return [_adapted(self._form, self._session, each) for each in outcomes]

    async def predict(
        self,
        model: str,
        queries: Any,
        x: Any = None,
        y: Any = None,
        *,
        weights: Any = None,
        labels: Any = None,
        episodes: Sequence[Mapping[str, Any]] | None = None,
        steps: int | None = None,
        learning_rate: float | None = None,
        label_names: bool | None = None,
        interval: float | None = None,
        details: bool = False,
        sample: bool | None = None,
        seed: int | None = None,
        timeout: float | None = None,
    ) -> Any:
        """Adapt a model to examples and predict in one call, which stores nothing.

        Without examples, the model predicts as it was before any fitting (the initialization). A classifier needs
        examples; some take `labels` alone. See `adapt` for the examples, and `Adaptation.predict` for the other
        arguments and the result.
        """
        fields: dict[str, Any] = {
            "model": model, "steps": steps, "learning_rate": learning_rate, "label_names": label_names,
            "interval": interval, "sample": sample, "seed": seed,
        }  # fmt: skip
        examples = Examples(x, y, weights, labels, episodes)
        result = await predict(self._session.within(timeout), model, queries, fields, examples)
        return result if details or interval is not None else result.predictions

    async def propose(
        self,
        model: str,
        candidates: Any,
        x: Any = None,
        y: Any = None,
        *,
        count: int = 1,
        goal: Goal = "learn",
        target: str | int | bool | None = None,
        weights: Any = None,
        labels: Any = None,
        steps: int | None = None,
        learning_rate: float | None = None,
        label_names: bool | None = None,
        timeout: float | None = None,
    ) -> list[Proposal]:
        """Adapt a model to examples and propose which candidates to measure or label next, in one call.

        It stores nothing. Without examples, the model as it was before any fitting proposes. See `adapt` for the
        examples, and `Adaptation.propose` for the other arguments and the result.
        """
        fields: dict[str, Any] = {
            "model": model, "steps": steps, "learning_rate": learning_rate, "label_names": label_names,
            "count": count, "goal": goal, "target": target,
        }  # fmt: skip
        examples = Examples(x, y, weights, labels)
        return await propose(self._session.within(timeout), model, candidates, fields, examples)

    async def adaptation(self, id: str, *, timeout: float | None = None) -> A:
        """A stored adaptation by its id."""
        path = f"/adaptations/{segment('id', id)}"
        return self._form(self._session, await self._session.within(timeout).get(path), id=id)

    async def adaptations(
        self, *, model: str | None = None, label: str | None = None, timeout: float | None = None
    ) -> AsyncIterator[A]:
        """Iterate over the stored adaptations, the newest first.

        model, label: only those of this model, or with this label
        timeout: seconds for each page of 100
        """
        for name, value in (("model", model), ("label", label)):
            if not isinstance(value, str | None):
                raise UnsupportedInput(f"{name}: expected a text, got {shown(value)}")
        async for each in listed(self._session, timeout, model=model, label=label):
            yield self._form(self._session, each)

    async def models(self, *, timeout: float | None = None) -> list[Model]:
        """The models that the server serves."""
        body = await self._session.within(timeout).get("/models")
        with reading("a list of models"):
            return [from_body(Model, each) for each in body["models"]]

    async def refused_bundles(self, *, timeout: float | None = None) -> list[RefusedBundle]:
        """The bundles that the server cannot load, each with the reason."""
        body = await self._session.within(timeout).get("/models")
        with reading("a list of models"):
            return [from_body(RefusedBundle, each) for each in body["refused"]]

    async def model(self, name: str, *, timeout: float | None = None) -> Model:
        """One model, with what its inputs are, its scores and how it was trained."""
        path = f"/models/{segment('model', name)}"
        return from_body(Model, await self._session.within(timeout).get(path), name=name)

    async def health(self, *, timeout: float | None = None) -> Health:
        """Whether the server can answer requests, and which parts of it do not work."""
        call = Call("GET", "/health/ready", retried=frozenset())  # its 503 is an answer too
        body = decoded((await self._session.within(timeout).send(call)).response)
        if is_problem(body):
            raise server_error(body)
        return from_body(Health, body)


async def listed(session: Session, timeout: float | None = None, **params: Any) -> AsyncIterator[Any]:
    """Stored adaptations as the server describes them, the newest first. timeout: for each page; params: of its URL"""
    cursor: str | None = None
    seen: set[str | None] = set()
    while cursor not in seen:
        seen.add(cursor)
        page = await session.within(timeout).get("/adaptations", cursor=cursor, **params)
        with reading("a list of adaptations"):
            bodies, cursor = list(page["adaptations"]), page.get("next")
            check_cursor(cursor, bodies)
        for each in bodies:
            yield each
        if cursor is None:
            return
    raise UnexpectedAnswer("expected another page of adaptations from Innerloop, got one again: check the server")


def check_cursor(cursor: Any, page: list[Any]) -> None:
    """Raise TypeError unless a page can have another one after it: otherwise the list might never end."""
    if cursor is not None and not (page and isinstance(cursor, str) and cursor.isascii() and len(cursor) <= MAX_CURSOR):
        raise TypeError(f"next is {shown(cursor)} after {len(page)} adaptations")


def _adapted(form: type[A], session: Session, outcome: Outcome) -> A | InnerloopError:
    """The adaptation of one of many tasks, or its error."""
    try:
        return outcome if isinstance(outcome, InnerloopError) else form(session, outcome)
    except UnexpectedAnswer as error:
        return error
