"""A server that misbehaves, and the errors of the TypeScript client about it (test_typescript.py)."""

import asyncio

from starlette.types import Receive, Scope, Send

ANSWERS = {
    "html": (200, b"text/html", b"<html>"),
    "cut": (200, b"application/json", b'{"adaptation_id"'),
    "none": (204, b"application/json", b""),
    "empty": (200, b"application/json", b""),
    "list": (200, b"application/json", b"[]"),
    "object": (200, b"application/json", b"{}"),
    "cut-problem": (422, b"application/problem+json", b'{"detail"'),
    "null-problem": (422, b"application/problem+json", b"null"),
    "gateway": (502, b"text/html", b"<html>"),
    "redirect": (307, b"text/html", b""),
    "numbers": (200, b"application/json", b'{"adaptation_id": 5, "predictions": 5}'),
    "fine": (500, b"application/problem+json", b'{"detail": "x", "status": 200}'),
}
OTHERS = {
    "rounded": (200, b"application/json", b'{"adaptation_id": "a", "labels": [ 9007199254740993\n, 9007199254740992]}'),
    "rounded-later": (
        200,
        b"application/json",
        b'{"a": ["\\\\", ", 9007199254740993,", "\\", -9007199254740993]"], "adaptation_id": "a", "b": '
        b"-9007199254740993}",
    ),
    "rounded-long": (200, b"application/json", b'{"a": [1%s]}' % (b"0" * 999)),
    "exact": (
        200,
        b"application/json",
        b'{"adaptation_id": ", 9007199254740993, ", "a": [9007199254740992, 0.12345678901234567, 12345678901234567.0, '
        b"9007199254740993e0, -9007199254740991]}",
    ),
    "untold": (400, b"application/problem+json", b'{"detail": "", "status": 400, "title": "Bad"}'),
    "renamed": (
        400,
        b"application/problem+json",
        b'{"detail": "expected x", "status": 400, "message": "y", "__proto__": {"a": 1}}',
    ),
}
"""What it answers, by the first part of the path."""
FOREIGN = "expected an answer from Innerloop, got "
ROUNDED = (
    "expected whole numbers that JavaScript has, got {}, which it rounds: send labels as strings, or set "
    '`parseAs: "text"` in the call of `http`'
)
AS_NUMBER = "send Number(value), or a string if it is a label"
FAILURES = {
    "silent": "did not answer within 0.2 s: set a larger `timeout`",
    "silent, with a signal": "did not answer within 0.2 s: set a larger `timeout`",
    "silent body": "did not answer within 0.2 s: set a larger `timeout`",
    "down": "http://127.0.0.1:9 does not answer (",
    "an id": 'id: expected the `adaptation_id` of an adaptation, got ""',
    "half a character": 'id: expected the `adaptation_id` of an adaptation, got "\\ud800"',
    "a header": "headers: expected names and values that HTTP allows: ",
    "a big URL": "url: expected a URL such as http://127.0.0.1:8000, got 1",
    "a big timeout": "timeout: expected seconds, from above 0 to 86400, got 1",
    "fetch": "does not answer (null): check that the server runs, and the URL",
    "nothing said": "Bad",
    "a name of errors": "expected x",
    "a path": 'id: expected the `adaptation_id` of an adaptation, got ".."',
    "a big integer": f"support.inputs[0][0]: expected a number, got 1n: {AS_NUMBER}",
    "big integers": f"queries[0][0]: expected a number, got 3n: {AS_NUMBER}",
    "a long integer": f"label: expected a number, got 1{'0' * 199}...n: {AS_NUMBER}",
    "another BigInt": f"queries[0]: expected a number, got 1n: {AS_NUMBER}",
    "another Date": "label: expected a date, got Invalid Date",
    "another Map": "queries[0]: expected a value, a list or an object, got Map: send Object.fromEntries(map)",
    "another Number": "learning_rate: expected a finite number, got NaN",
    "no options": "options: expected an object, got null",
    "a list of options": "options: expected an object, got a list",
    "no fetch": "fetch: expected a function, got 5",
    "no answer": "fetch: expected one that answers a Response, got 5",
    "no headers": 'headers: expected an object, got "a: b"',
    "no Request": "Request: expected what fetch takes: ",
    "no signal": "signal: expected what fetch takes: ",
    "no serializer": "querySerializer: expected an object, got 5",
    "no text of a URL": "url: expected a URL such as http://127.0.0.1:8000, got another object",
    "a big label": f"support.targets[0]: expected a number, got 3n: {AS_NUMBER}",
    "a loop of objects": "queries[0].of.ring: expected values, got the list or object that they are in",
    "a set": "queries: expected a value, a list or an object, got Set: send Array.from(set)",
    "a map": "queries[0]: expected a value, a list or an object, got Map: send Object.fromEntries(map)",
    "a buffer": "queries[0]: expected a value, a list or an object, got ArrayBuffer: send a typed array, such as new",
    "a view": "queries[0]: expected a value, a list or an object, got DataView: send a typed array, such as Float32A",
    "a hidden object": "queries[0]: expected a value, a list or an object, got Hidden: send a plain object or a list",
    "a function": "label: expected a value, got a function",
    "a function in a list": "queries[0][0]: expected a value, got a function",
    "a symbol": "support.targets[0]: expected a value, got a symbol",
    "no label": "support.targets[0]: expected a value, got undefined",
    "no body": "body: expected an object, got undefined",
    "no body to adapt to": "body: expected an object, got null",
    "no body to propose for": "body: expected an object, got a string",
    "a list as a body": "body: expected an object, got a list",
    "an infinite cell": 'queries[0]["blood pressure"]: expected a finite number, got -Infinity',
    "an infinite number": "support.inputs[1][0]: expected a finite number, got Infinity",
    "an infinite typed number": "queries[0][1]: expected a finite number, got Infinity",
    "an infinite observation": "support.episodes[0].observations[0][1]: expected a finite number, got Infinity",
    "an infinite boxed number": "queries[0][0]: expected a finite number, got Infinity",
    "no target": "support.targets[0]: expected a finite number, got NaN",
    "no reward": "support.episodes[0].rewards[0]: expected a finite number, got NaN",
    "no rate": "learning_rate: expected a finite number, got NaN",
    "no date": "label: expected a date, got Invalid Date",
    "a loop": "support.inputs[0]: expected values, got the list or object that they are in",
    "no URL": 'url: expected a URL such as http://127.0.0.1:8000, got "foo"',
    "a query": "url: expected http:// or https:// and no ? or #, got ",
    "a password": "url: send the user and the password in `headers` instead",
    "no timeout": "timeout: expected seconds, from above 0 to 86400, got 0",
}


async def misbehaving(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer as the first part of the path says."""
    name = scope["path"].split("/")[1]
    body = (await receive())["body"] if name == "echo" else b""
    status, media, content = (ANSWERS | OTHERS).get(name, (200, b"application/json", body))
    if name == "silent":
        await asyncio.sleep(1)
    headers = [(b"content-type", media), (b"location", b"/object")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    if name == "silent-body":
        await asyncio.sleep(1)
    await send({"type": "http.response.body", "body": content})
