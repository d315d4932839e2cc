"""Requests that rely on what the server says of a model. They are for that version of it alone."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from innerloop_client.descriptions import check_expected, names_of, reading
from innerloop_client.errors import NotFound, OtherVersion, UnsupportedInput, renamed
from innerloop_client.retries import backoff_s
from innerloop_client.session import Session
from innerloop_client.url_segments import segment

T = TypeVar("T")
MAX_REPEATS = 8
"""More versions in a row are an error, as of servers that each have another one."""


@dataclass
class Version:
    """The version of a model that will probably answer the next request. digest: None for the current one"""

    digest: str | None = None


class Described:
    """What the server says of the model of one request, asked for where that matters.

    body: the description; None if nothing was asked
    may_be_outdated: whether another version may answer by now
    """

    def __init__(self, session: Session, version: Version) -> None:
        self._session, self._version = session, version.digest
        self.body: Mapping[str, Any] | None = None
        self.may_be_outdated = False

    @property
    def condition(self) -> dict[str, str]:
        """The field of the request's body by which the server refuses it if another version would answer.

        There is none if nothing was asked.
        """
        return {} if self.body is None else {"model_digest": self.body["digest"]}

    async def model(self, name: str) -> Mapping[str, Any]:
        """The description of a model, the same for the whole request."""
        if self.body is None:
            self.may_be_outdated = self._version is not None or self._session.models.find(name) is not None
            self.body = await self._ask(name)
        return self.body

    async def _ask(self, name: str) -> Mapping[str, Any]:
        if self._version is not None:
            try:
                return await describe(self._session, name, self._version)
            except NotFound:  # that version is gone: the server says what to do about it
                pass
        return await describe(self._session, name)


async def describe(session: Session, name: str, digest: str | None = None) -> Mapping[str, Any]:
    """What the server says of a model, asked for once a minute at most. digest: of a version; None: the current one"""
    known = session.models.find(name, digest)
    if known is not None:
        return known
    try:
        body: Mapping[str, Any] = await session.get(f"/models/{segment('model', name)}", digest=digest)
    except NotFound as error:
        raise renamed(error, "name", "model") from error
    with reading("a model"):
        check_expected(body, {"name": name, "digest": digest or str(body["digest"])})
        _ = body["kind"], body["inputs"]["encoder"]
        names_of(body["inputs"]["columns"])
    session.models.keep(name, digest, body)
    return body


async def described(session: Session, make: Callable[[Described], Awaitable[T]], version: Version) -> T:
    """Make what relies on the description of a model; anew with the current one if an older one does not allow it."""
    models = Described(session, version)
    try:
        return await make(models)
    except UnsupportedInput as error:
        if not models.may_be_outdated:
            raise
        unsupported = error
    session.models.forget_current()
    try:
        return await make(Described(session, Version()))
    except OtherVersion as error:
        if models.condition == {"model_digest": error.digest}:  # the older one answers after all
            raise unsupported from None
        raise


async def for_version(
    session: Session, request: Callable[[Described], Awaitable[T]], version: Version | None = None
) -> T:
    """Make a request, and make it anew as long as another version of the model answers than it was made for.

    version: is changed to the one that answers
    """
    version, repeats = version or Version(), 0
    while True:
        try:
            return await described(session, request, version)
        except OtherVersion as error:
            wait = backoff_s(repeats) if repeats else 0
            if repeats == MAX_REPEATS or wait >= session.attempts().left_s:
                raise
            version.digest = error.digest
        session.models.forget_current()
        await session.transport.sleep(wait)
        repeats += 1
