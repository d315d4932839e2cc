"""The requests of an adaptation that both of its classes share."""

import json
from pathlib import Path
from typing import Any, TypeVar

import httpx

from innerloop_client.adaptation_fields import AdaptationFields
from innerloop_client.descriptions import Revision, check_expected, from_body, read_time, reading
from innerloop_client.errors import FileNotWritten, UnsupportedInput
from innerloop_client.model_versions import Described, Version, for_version
from innerloop_client.predict_request import predict
from innerloop_client.prediction import Prediction
from innerloop_client.responses import answer, foreign
from innerloop_client.session import Call, Session
from innerloop_client.support_set import Examples
from innerloop_client.url_segments import number, segment

R = TypeVar("R", bound="Remote")
BINARY = "application/octet-stream"


def file_at(path: Any) -> Path:
    """The file at a path. Raises UnsupportedInput."""
    try:
        return Path(path)
    except TypeError as error:
        raise UnsupportedInput(f"path: expected the path of a file, got {type(path).__name__}") from error


class Remote(AdaptationFields):
    """An adaptation that the server stores."""

    @property
    def _path(self) -> str:
        return f"/adaptations/{segment('id', self.id)}"

    async def _predict(self, queries: Any, timeout: float | None, **fields: Any) -> Prediction:
        session, version = self._session.within(timeout), self._version_for(fields["pinned"])
        return await predict(session, self.model, queries, fields | {"adaptation_id": self.id}, version=version)

    def _version_for(self, pinned: bool | None = None) -> Version:
        """The version that will probably answer. pinned: of the request"""
        if pinned is None:
            return self._version
        return Version(self.model_digest if pinned else None)

    async def _extend(self: R, examples: Examples, key: str, session: Session) -> R:
        """Add examples."""

        async def request(models: Described) -> R:
            return await self._extend_once(models, examples, key, session)

        return await for_version(session, request, self._version)

    async def _extend_once(self: R, models: Described, examples: Examples, key: str, session: Session) -> R:
        """Add examples to the version that `models` describes. Raises OtherVersion if another one answers."""
        body = await examples.read(models, self.model) | models.condition
        return await self._change(Call.of_body(f"{self._path}/support", body, key=key), session)

    async def _change(self: R, call: Call, session: Session) -> R:
        """Send a call whose answer is the adaptation, and take that over."""
        before = self.revision
        return self._update((await session.send(call)).body, before)

    def _update(self: R, body: Any, before: int) -> R:
        """Take over what the server says of this adaptation, unless the answer to a later call has come first.

        before: the revision when the call was sent
        """
        latest, known = self.revision, dict(vars(self))
        self._read(body, {"id": self.id, "model": self.model})
        if before != latest > self.revision:
            vars(self).update(known)
        return self

    async def _forget(self: R, example: int, timeout: float | None) -> R:
        """Delete an example. A repeat that finds it deleted has succeeded: numbers are never used again."""
        session, index, before = self._session.within(timeout), number("example", example), self.revision
        reply = await session.send(Call("DELETE", f"{self._path}/support/{index}"))
        if reply.gone and any(revision.forgotten == index for revision in await self._history(session)):
            return await self._change(Call("GET", self._path), session)
        return self._update(reply.body, before)

    async def _history(self, session: Session) -> list[Revision]:
        body = await session.get(f"{self._path}/history")
        with reading("a history"):
            check_expected(body, {"adaptation_id": self.id})
            return [from_body(Revision, each | {"at": read_time(each["at"])}) for each in body["revisions"]]


async def delete(session: Session, path: str) -> None:
    """Delete an adaptation. path: of its URL"""
    reply = await session.send(Call("DELETE", path))
    if not reply.gone and reply.response.status_code != httpx.codes.NO_CONTENT:
        answer(reply.response)
        raise foreign(reply.response)


def check_weights(data: bytes) -> None:
    """Raise an error unless this is a safetensors file that has a tensor, and all of its bytes."""
    length = int.from_bytes(data[:8], "little")
    tensors = {name: each for name, each in json.loads(data[8 : 8 + length]).items() if name != "__metadata__"}
    end = max(each["data_offsets"][1] for each in tensors.values())
    if len(data) != 8 + length + end:
        raise ValueError(f"there are {len(data)} bytes instead of {8 + length + end}")


def write(path: Path, data: bytes) -> None:
    """Write a file. Raises FileNotWritten."""
    try:
        path.write_bytes(data)
    except (OSError, ValueError) as error:  # ValueError: of a path with a zero byte
        raise FileNotWritten(f"path: cannot write {path} ({error}): choose another path") from error
