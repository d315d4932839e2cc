"""What an HTTP response says: its body, or an error."""

from typing import Any

import httpx

from innerloop_client.body_encoding import decode
from innerloop_client.errors import InnerloopError, UnexpectedAnswer, is_problem, proxy_error, server_error


def answer(response: httpx.Response) -> Any:
    """The decoded body of a response. Raises the error that it describes."""
    body = decoded(response)
    if response.is_success:
        return body
    raise server_error(body) if is_problem(body) else foreign(response)


def decoded(response: httpx.Response) -> Any:
    """The body of a response. Raises the error of a proxy, or UnexpectedAnswer, if it is neither JSON nor msgpack."""
    try:
        return decode(response.content, response.headers.get("content-type", ""))
    except (RecursionError, ValueError) as error:  # RecursionError: of lists nested a thousand deep
        raise foreign(response) from error


def content(response: httpx.Response, media: str) -> bytes:
    """The body of a 200 of this type. Raises the error of any other answer."""
    if not of_type(response, media):
        raise refusal(response)
    return response.content


def refusal(response: httpx.Response) -> InnerloopError:
    """The error of an answer that is not of the type that was asked for."""
    try:
        answer(response)
    except InnerloopError as error:
        return error
    return foreign(response)


def of_type(response: httpx.Response, media: str) -> bool:
    """Whether this is a 200 with a body of this type."""
    given = response.headers.get("content-type", "").lower()
    return response.status_code == httpx.codes.OK and given.startswith(media)


def foreign(response: httpx.Response) -> InnerloopError:
    """The error of an answer that is not from Innerloop: of a proxy before it, or of another server."""
    actual = f"status {response.status_code} from another server"
    return proxy_error(response.status_code, str(response.url)) or UnexpectedAnswer(
        f"{response.url}: expected an answer from Innerloop, got {actual}: check the URL"
    )
