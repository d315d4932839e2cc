"""Lines of NDJSON with a task each, and the answers to them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import httpx

from innerloop_client.body_encoding import JSON, NDJSON, decode
from innerloop_client.descriptions import layout
from innerloop_client.errors import ConnectionFailed, InnerloopError, is_problem, server_error
from innerloop_client.responses import content, foreign
from innerloop_client.retries import RETRIED, Attempts
from innerloop_client.session import Call, Session


class EncodedTask(NamedTuple):
    """A task as it is sent.

    described: what the server says of the version of the model that it is for; None if it is for any
    """

    model: str
    line: bytes
    described: Mapping[str, Any] | None = None

    def for_version(self, described: Mapping[str, Any]) -> "EncodedTask | None":
        """The same for another version; None if its rows are others there. `model_digest` is the last field of a line.

        described: what the server says of that version
        """
        if self.described is None or layout(self.described) != layout(described):
            return None
        old, new = (f'"{each["digest"]}"}}'.encode() for each in (self.described, described))
        return EncodedTask(self.model, self.line.removesuffix(old) + new, described)


NO_TASK = EncodedTask("", b"null")
"""A line in the place of a task that is not sent: the server knows the others by their numbers."""
Outcome = Mapping[str, Any] | InnerloopError
"""What became of a task: the body of the adaptation, or an error."""
Line = EncodedTask | Outcome
"""A task as it is sent, or what has become of it already."""


async def send_lines(session: Session, lines: Sequence[Line], start: int, key: str) -> list[Outcome]:
    """Send lines until none of them has an answer that may change. The key tells the server which are done.

    start: how many lines under this key come before
    """
    done: list[Outcome] = [ConnectionFailed("not sent") if isinstance(line, EncodedTask) else line for line in lines]
    if not any(isinstance(line, EncodedTask) for line in lines):
        return done
    requests = [NO_TASK] * start + [line if isinstance(line, EncodedTask) else NO_TASK for line in lines]
    call = Call("POST", "/adapt", b"\n".join(each.line for each in requests), NDJSON, key=key)
    attempts = session.attempts()
    while True:
        answers = (await _answers(session, call, [each.model for each in requests], attempts))[start:]
        pairs = zip(lines, done, answers, strict=True)
        done = [old if line is old or isinstance(old, Mapping) else new for line, old, new in pairs]
        open_ = [new for line, new in zip(lines, done, strict=True) if line is not new]
        wait = attempts.wait_s() if any(map(_may_change, open_)) else None
        if wait is None:
            return done
        await session.transport.sleep(wait)


def _may_change(outcome: Outcome) -> bool:
    """Whether another attempt may have another outcome."""
    return isinstance(outcome, ConnectionFailed) or getattr(outcome, "status", 0) in RETRIED


async def _answers(session: Session, call: Call, models: Sequence[str], attempts: Attempts) -> list[Outcome]:
    """An answer for each line, whose models these are. An error of the whole request is the answer to all of them."""
    count = len(models)
    try:
        response = (await session.repeat(call, attempts)).response
        lines = content(response, NDJSON).splitlines()
    except InnerloopError as error:
        return [error] * count
    if len(lines) > count:
        return [foreign(response)] * count
    missing = ConnectionFailed(f"{response.url}: the answer broke off after {len(lines)} of {count} tasks: try again")
    answers = [_outcome(line, model, response) for line, model in zip(lines, models, strict=False)]
    return [*answers, *[missing] * (count - len(answers))]


def _outcome(line: bytes, model: str, response: httpx.Response) -> Outcome:
    """What a line of an answer says of a task for this model."""
    try:
        body = decode(line, JSON)
    except (RecursionError, ValueError):
        return ConnectionFailed(f"{response.url}: the answer broke off within a task: try again")
    if isinstance(body, Mapping) and "adaptation_id" in body and body.get("model") == model:
        return body
    return server_error(body) if is_problem(body) else foreign(response)
