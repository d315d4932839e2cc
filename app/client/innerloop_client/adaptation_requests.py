"""The requests of an adaptation that both of its classes share."""

from typing import Any, TypeVar

from innerloop_client.adaptation_fields import AdaptationFields
from innerloop_client.predict_request import predict
from innerloop_client.prediction import Prediction
from innerloop_client.server_answers import Revision, from_body, read_time, reading
from innerloop_client.session import Call

R = TypeVar("R", bound="Remote")


class Remote(AdaptationFields):
    """An adaptation that the server stores."""

    @property
    def _path(self) -> str:
        return f"/adaptations/{self.id}"

    async def _predict(self, queries: Any, timeout: float | None, **fields: Any) -> Prediction:
        return await predict(self._session, self.model, queries, fields | {"adaptation_id": self.id}, timeout)

    async def _change(self: R, call: Call, timeout: float | None) -> R:
        """Send a call whose answer is the adaptation, and take that over."""
        self._read((await self._session.send(call, timeout)).body)
        return self

    async def _forget(self: R, example: int, timeout: float | None) -> R:
        """Delete an example. A repeat that finds it deleted has succeeded: numbers are never used again."""
        reply = await self._session.send(Call("DELETE", f"{self._path}/support/{example}"), timeout)
        gone = reply.repeated and reply.not_found
        if gone and any(revision.forgotten == example for revision in await self._history(timeout)):
            return await self._change(Call("GET", self._path), timeout)
        self._read(reply.body)
        return self

    async def _history(self, timeout: float | None) -> list[Revision]:
        body = await self._session.get(f"{self._path}/history", timeout)
        with reading("a history"):
            return [from_body(Revision, each | {"at": read_time(each["at"])}) for each in body["revisions"]]
