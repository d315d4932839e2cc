"""What can be done with an adaptation, written once for both clients."""

from collections.abc import Mapping, Sequence
from os import PathLike
from types import EllipsisType
from typing import Any, TypeVar

from innerloop_client.blocking import blocking, changing
from innerloop_client.descriptions import Revision, check_expected, reading
from innerloop_client.errors import UnsupportedInput, shown
from innerloop_client.idempotency_key import key_of
from innerloop_client.proposals import Goal, Proposal, propose
from innerloop_client.remote_adaptation import BINARY, Remote, check_weights, delete, file_at, write
from innerloop_client.responses import content
from innerloop_client.session import Call
from innerloop_client.support_set import Examples

A = TypeVar("A", bound="AsyncAdaptation")


class AsyncAdaptation(Remote):
    """An adaptation whose methods are awaited."""

    async def predict(
        self,
        queries: Any,
        *,
        interval: float | None = None,
        details: bool = False,
        sample: bool | None = None,
        seed: int | None = None,
        pinned: bool | None = None,
        timeout: float | None = None,
    ) -> Any:
        """Predict the targets of queries.

        Returns the predictions in the form of the queries: a list for a list, an array for an array, a tensor for a
        tensor, a Series for a DataFrame (a DataFrame if there are several targets). With `interval` or `details`, a
        `Prediction` that has them and more.

        interval: the share of true values between `lower` and `upper`, such as 0.9, on average over many tasks
        details: return all that the server says, such as `unlike` and `std`
        sample, seed: of policies, see `Policy.act`
        pinned: True predicts with the version of the model that the adaptation was made with
        timeout: seconds, instead of the client's
        """
        fields = {"interval": interval, "sample": sample, "seed": seed, "pinned": pinned}
        result = await self._predict(queries, timeout, **fields)
        return result if details or interval is not None else result.predictions

    async def predict_proba(self, queries: Any, *, pinned: bool | None = None, timeout: float | None = None) -> Any:
        """The probability of each class for each query, or of each action of a policy: [query, label].

        The columns are in the order of `labels`; for a DataFrame they have the labels as names.
        """
        probabilities = (await self._predict(queries, timeout, pinned=pinned)).probabilities
        if probabilities is None:
            raise UnsupportedInput(f"predict_proba: {self.model} predicts no labels: use predict")
        return probabilities

    async def propose(
        self,
        candidates: Any,
        count: int = 1,
        goal: Goal = "learn",
        *,
        target: str | int | bool | None = None,
        pinned: bool | None = None,
        timeout: float | None = None,
    ) -> list[Proposal]:
        """Propose which of many candidates to measure or label next, the best first. The server stores nothing.

        candidates: inputs in any form that `predict` takes. A proposal names a row of a DataFrame or Series by its
            label in the index: `candidates.loc[proposals[0].index]`
        count: how many to propose. Each is chosen as if those before had been measured
        goal: `learn` proposes those whose targets teach the model most; `maximize` and `minimize` look for the
            candidate with the largest or smallest target, or for those most or least likely to have a label
        target: which number matters, by its index or its name, if there are several; or the label to look for
        pinned: True uses the version of the model that the adaptation was made with
        timeout: seconds, instead of the client's
        """
        fields = {"adaptation_id": self.id, "pinned": pinned, "count": count, "goal": goal, "target": target}
        session, version = self._session.within(timeout), self._version_for(pinned)
        return await propose(session, self.model, candidates, fields, version=version)

    async def extend(
        self: A,
        x: Any = None,
        y: Any = None,
        *,
        weights: Any = None,
        labels: Any = None,
        episodes: Sequence[Mapping[str, Any]] | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> A:
        """Add examples and adapt again, as if all examples had been there at first. Returns this adaptation, changed.

        Episodes form a new stage, which starts from the weights after the previous one. See `Client.adapt` for the
        other arguments.

        labels: new classes, besides those that it has, even those without an example. If this call, an earlier `extend`
            or `adapt` has `labels`, each new label in y has to be among them
        """
        key, session = key_of(idempotency_key), self._session.within(timeout)
        return await self._extend(Examples(x, y, weights, labels, episodes), key, session)

    async def forget(self: A, example: int, *, timeout: float | None = None) -> A:
        """Delete an example by its number (see `examples`) from every revision, and adapt again without it.

        `undo` does not restore it. Returns this adaptation, changed.
        """
        return await self._forget(example, timeout)

    async def undo(self: A, *, idempotency_key: str | None = None, timeout: float | None = None) -> A:
        """Remove the examples that were added last, and adapt again. Returns this adaptation, changed."""
        call = Call("POST", f"{self._path}/undo", key=key_of(idempotency_key))
        return await self._change(call, self._session.within(timeout))

    async def refresh(self: A, *, timeout: float | None = None) -> A:
        """Ask the server for the adaptation again, which others may have changed. Returns this adaptation, changed."""
        return await self._change(Call("GET", self._path), self._session.within(timeout))

    async def edit(
        self: A,
        *,
        label: str | EllipsisType | None = ...,
        ttl_s: int | None = None,
        timeout: float | None = None,
    ) -> A:
        """Change the label, or when the adaptation expires. Returns this adaptation, changed.

        label: None removes it; without it the label stays
        ttl_s: seconds from now
        """
        body: dict[str, Any] = {} if label is ... else {"label": label}
        if ttl_s is not None:
            body["ttl_s"] = ttl_s
        return await self._change(Call.of_body(self._path, body, method="PATCH"), self._session.within(timeout))

    async def history(self, *, timeout: float | None = None) -> list[Revision]:
        """All revisions, the oldest first, each with the change that made it."""
        return await self._history(self._session.within(timeout))

    async def support(self, *, timeout: float | None = None) -> dict[str, Any]:
        """The examples with their numbers, as the server keeps them: `inputs` and `targets`, or `episodes`."""
        body: dict[str, Any] = await self._session.within(timeout).get(f"{self._path}/support")
        with reading("the examples"):
            check_expected(body, {"adaptation_id": self.id})
            for name in ("inputs", "targets") if "inputs" in body else ("episodes",):
                if not isinstance(body[name], list):
                    raise TypeError(f"{name} is {shown(body[name])}")
        return body

    async def weights(self, path: str | PathLike[str] | None = None, *, timeout: float | None = None) -> bytes:
        """The adapted weights as a safetensors file, to use them without the server; also written to `path`.

        If the metadata of the file has `target_mean` and `target_std` (JSON lists with a number for each target), a
        prediction is output * target_std + target_mean, where output is what the network returns.
        """
        call = Call("GET", f"{self._path}/weights", accept=BINARY)
        file = None if path is None else file_at(path)
        data = content((await self._session.within(timeout).send(call)).response, BINARY)
        with reading("adapted weights"):
            check_weights(data)
        if file is not None:
            write(file, data)
        return data

    async def delete(self, *, timeout: float | None = None) -> None:
        """Delete the adaptation and its examples for good."""
        await delete(self._session.within(timeout), self._path)


class Adaptation(Remote):
    """An adaptation whose methods block."""

    predict = blocking(AsyncAdaptation.predict)
    predict_proba = blocking(AsyncAdaptation.predict_proba)
    propose = blocking(AsyncAdaptation.propose)
    extend = changing(AsyncAdaptation.extend)
    forget = changing(AsyncAdaptation.forget)
    undo = changing(AsyncAdaptation.undo)
    refresh = changing(AsyncAdaptation.refresh)
    edit = changing(AsyncAdaptation.edit)
    history = blocking(AsyncAdaptation.history)
    support = blocking(AsyncAdaptation.support)
    weights = blocking(AsyncAdaptation.weights)
    delete = blocking(AsyncAdaptation.delete)
