"""The exact text of each kind of error.

About a value: `place: expected X, got Y: fix`, in the words of the model. About a state: a sentence and the fix.
"""

import datetime
import gzip
import json
import re
from typing import Any

import msgspec
import pytest
from fastapi.testclient import TestClient

from app.api.decode_errors import malformed
from app.api.openapi_examples import ERRORS
from app.errors import (
    DeadlinePassed,
    Diverged,
    ExpiredAdaptation,
    KeyReused,
    LastExample,
    Malformed,
    NothingToUndo,
    Outgrown,
    Overloaded,
    PinnedBundleGone,
    QuotaExceeded,
    RequestError,
    StoreFailed,
)
from service_tests.api.requests import adapt
from service_tests.processes import SHIPPED

STATES = (
    Diverged,
    LastExample,
    NothingToUndo,
    ExpiredAdaptation,
    Outgrown,
    PinnedBundleGone,
    Overloaded,
    StoreFailed,
    DeadlinePassed,
    QuotaExceeded,
)
"""What is no error of a value."""
ROW = [0.0] * 784
WAVE = {"inputs": [[1], [2]], "targets": [1, 2]}
ADAPT = {"model": "sinusoid", "support": WAVE}
PREDICT = {"model": "sinusoid", "queries": [[1]]}
LETTERS = {"inputs": [ROW], "targets": ["a"]}
NESTED = "send 784 numbers in one row, 28 rows of 28 numbers, or nested lists [rows][columns] of another size"
IMAGE, PIXELS = "expected a PNG, a JPEG or 28 x 28 numbers", "send a picture file or its pixels"
MISSING = "a missing value: this bundle takes none, so fill it in or leave the row out"
FIELDS = "model, support, steps, learning_rate, label_names, ttl_s, label, assess, reuse, pinned, model_digest"
LABEL, UNQUOTED = "a label: a string, a whole number or true or false", "send it without quotes"


def support(model: str, **fields: Any) -> dict[str, Any]:
    return {"model": model, "support": fields}


def wave(inputs: Any, targets: Any) -> dict[str, Any]:
    return support("sinusoid", inputs=inputs, targets=targets)


def letters(inputs: Any, targets: Any) -> dict[str, Any]:
    return support("omniglot", inputs=inputs, targets=targets)


def episode(model: str = "navigation", **fields: Any) -> dict[str, Any]:
    return support(model, episodes=[{"observations": [[0, 0]], "actions": [[0, 0]]} | fields])


ADAPT_TEXTS = [
    # a model that takes numbers
    (wave([[None]], [1]), f"support.inputs[0][0]: expected a number, got {MISSING}"),
    (wave([["a"]], [1]), 'support.inputs[0][0]: expected a number, got "a": send a number'),
    (wave([["-1.5e3"]], [1]), f'support.inputs[0][0]: expected a number, got "-1.5e3": {UNQUOTED}'),
    (wave([["a", 1]], [1]), "support.inputs[0]: expected 1 number, got 2: send 1 number in each row"),
    (wave(["a"], [1]), 'support.inputs[0]: expected a number, got "a": send a number'),
    (wave([{"x": 5}], [1]), "support.inputs[0]: expected a number, got an object: send a number"),
    (wave([None], [1]), f"support.inputs[0][0]: expected a number, got {MISSING}"),
    (wave([[[1]]], [1]), "support.inputs[0]: expected 1 number, got 1 x 1 numbers: send 1 number in each row"),
    (wave(None, [1]), "support.inputs: expected an array, got null"),
    (wave([[1]], [None]), "support.targets[0]: expected a number, got null"),
    (wave([[1]], ["a"]), 'support.targets[0]: expected a number, got "a": send a number'),
    (wave([[1]], ["2"]), f'support.targets[0]: expected a number, got "2": {UNQUOTED}'),
    (wave([[1]], [True]), "support.targets[0]: expected a number, got true"),
    (
        wave([[1], [2]], [1e39, [1]]),
        "support.targets[0][0]: expected a finite float32 number, got 1e+39: scale the data",
    ),
    (
        wave([[1], [2]], [1, [1e39]]),
        "support.targets[1][0]: expected a finite float32 number, got 1e+39: scale the data",
    ),
    (support("sinusoid", inputs=[[1]]), "support.targets: expected a value, got none: add the field"),
    (
        support("sinusoid", episodes=[{"observations": [[1]], "actions": [0]}], **WAVE),
        "support: expected inputs and targets for sinusoid, got inputs, targets and episodes: leave episodes out",
    ),
    # a classifier of images
    (letters([["a"]], ["a"]), f"support.inputs[0]: {IMAGE}, got rows of unequal length or without numbers: {PIXELS}"),
    (letters([None], ["a"]), f"support.inputs[0]: {IMAGE}, got null: {PIXELS}"),
    (letters([5], ["a"]), f"support.inputs[0]: {IMAGE}, got 5: {PIXELS}"),
    (letters([ROW[:10]], ["a"]), f"support.inputs[0]: {IMAGE}, got 10 numbers: {NESTED}"),
    (letters(["aGVsbG8="], ["a"]), "support.inputs[0]: expected a PNG or JPEG, got 5 other bytes: convert other "
     "formats to PNG"),
    (letters(["data:image/gif;base64,R0lGODlh"], ["a"]), "support.inputs[0]: expected a PNG or JPEG, got a GIF: "
     "convert other formats to PNG"),
    (letters(["/9j/4EpGSUY="], ["a"]), "support.inputs[0]: expected a complete JPEG, got one that is cut off or "
     "damaged: save the image again"),
    (letters([ROW], [None]), f"support.targets[0]: expected {LABEL}, got null"),
    (letters([ROW], [1.5]), f"support.targets[0]: expected {LABEL}, got 1.5: send it as a string"),
    (letters([ROW], [["a"]]), f"support.targets[0]: expected {LABEL}, got an array"),
    (
        support("omniglot", **LETTERS) | {"steps": 3},
        "steps: expected 1, got 3: omniglot adapts in closed form, so leave steps out",
    ),
    (
        support("omniglot", **LETTERS) | {"learning_rate": 0.3},
        "learning_rate: omniglot adapts in closed form, so leave learning_rate out",
    ),
    # policies
    (episode(rewards=[[1]]), "support.episodes[0].rewards[0]: expected a number, got an array"),
    (episode(actions=["a"]), 'support.episodes[0].actions[0]: expected 2 numbers, got "a": send 2 numbers'),
    (
        episode(rewards={"shape": [1, 1, 1], "data": "AAAAAA=="}),
        "support.episodes[0].rewards[0]: expected a number, got an array",
    ),
    (
        episode() | {"assess": "k_fold"},
        "assess: navigation is a policy, which cannot be assessed, so leave assess out",
    ),
    (
        support(
            "navigation",
            episodes=[
                {"observations": [[0, 0]], "actions": [[0, 0]], "rewards": [1]},
                {"observations": [[0, 0]], "actions": [[0, 0]]},
            ],
        ),
        "support.episodes[1].rewards: expected rewards, as in episode 0 of this request, got none: send rewards in all "
        "episodes of a request, or in none",
    ),
    (
        support("navigation", **WAVE),
        "support: expected episodes for navigation, got inputs and targets: leave inputs and targets out",
    ),
    # the other fields
    (ADAPT | {"steps": "5"}, f"steps: expected a whole number, got a string: {UNQUOTED}"),
    (ADAPT | {"steps": 1.5}, "steps: expected a whole number, got 1.5"),
    (ADAPT | {"steps": 1.0}, "steps: expected a whole number, got 1.0"),
    (ADAPT | {"ttl_s": -60.0}, "ttl_s: expected a whole number, got -60.0"),
    (ADAPT | {"steps": 10**40}, "steps: expected 0 to 100 for sinusoid, got 10000000000000000000..."),
    (ADAPT | {"reuse": "yes"}, "reuse: expected true or false, got a string"),
    (ADAPT | {"assess": None}, "assess: expected one of leave_one_out, k_fold, got null"),
    (ADAPT | {"label": "x" * 201}, "label: expected at most 200 characters, got 201"),
    (ADAPT | {"model": "nope"}, f'model: expected one of {", ".join(SHIPPED)}, got "nope"'),
    (ADAPT | {"stepz": 5}, f"stepz: expected one of the fields {FIELDS}, got an unknown field: correct its name, or "
     "leave it out"),
    (ADAPT | {"": 5}, f"body: expected one of the fields {FIELDS}, got an unknown field: correct its name, or leave it "
     "out"),
    ([], "body: expected an object, got an array"),
]  # fmt: skip
PREDICT_TEXTS = [
    ({"queries": [[1]]}, "body: expected exactly one of adaptation_id and model, got neither: send adaptation_id for "
     "a stored adaptation, or model to adapt in this request"),
    (PREDICT | {"queries": [[1, 2]]}, "queries[0]: expected 1 number, got 2: send 1 number in each row"),
    (PREDICT | {"steps": 5}, "steps: there is nothing to adapt to, so send support, or leave steps out"),
    (PREDICT | {"pinned": True}, "pinned: this needs adaptation_id, so send it instead of model, or leave "
     "pinned out"),
    (PREDICT | {"sample": True}, "sample: sinusoid is no policy, and only policies draw actions, so leave sample out"),
    (PREDICT | {"seed": 5}, "seed: sinusoid is no policy, and only policies draw actions, so leave seed out"),
    ({"model": "navigation", "queries": [[0, 0]], "seed": 5}, "seed: this needs "
     '`"sample": true`, so send it too, or leave seed out'),
    ({"model": "navigation", "queries": [[0, 0]], "interval": 0.5}, "interval: navigation does "
     "not predict numbers, so leave interval out"),
    ({"model": "omniglot", "queries": [ROW]}, "support: omniglot is a classifier, so send support with examples of "
     "each class"),
    ({"model": "omniglot", "support": LETTERS, "queries": [["a"]]}, f"queries[0]: {IMAGE}, got rows of "
     f"unequal length or without numbers: {PIXELS}"),
    ({"adaptation_id": "x", "queries": [[1]]}, 'adaptation_id: expected the id of a stored adaptation, got "x": '
     "POST /adapt creates an adaptation and returns its id"),
]  # fmt: skip
RAW_TEXTS = [
    ('{"model": 1e400}', "model: expected a string, got a number"),
    ('{"model": "sinusoid", "steps": 1e400}', "steps: expected a whole number, got a number that is too large"),
    (
        '{"model": "sinusoid", "learning_rate": 1e400, "support": {}}',
        "learning_rate: expected a finite number, got a number that is too large",
    ),
    (
        '{"model": "sinusoid", "support": {"inputs": [[1e400]], "targets": [1]}}',
        "support.inputs[0][0]: expected a finite number, got a number that is too large",
    ),
    (
        '{"model": "omniglot", "support": {"inputs": [[1]], "targets": ["\\ud800"]}}',
        r"body: expected JSON in UTF-8, got half of a surrogate pair, such as \ud800 alone: escape both halves, or "
        "write the character itself",
    ),
    (
        f'{{"model": "sinusoid", "support": {{"inputs": [[1{"0" * 5000}]], "targets": [1]}}}}',
        "support.inputs[0][0]: expected a finite number, got a number that is too large",
    ),
    (
        '{"model": "sinusoid", "support": {"rows": [{"a": 1, "a b": [2, 1e400]}]}}',
        'support.rows[0]["a b"][1]: expected a finite number, got a number that is too large',
    ),
    ("{}".encode("utf-32"), "body: expected JSON, got UTF-32: send the body in UTF-8"),
    ("{}".encode("utf-16"), "body: expected JSON, got UTF-16: send the body in UTF-8"),
    (gzip.compress(b"{}", mtime=0), "body: expected JSON, got a gzip archive: set the header Content-Encoding: gzip"),
    (b'{"model": "\xff"}', "body: expected JSON with strings in UTF-8, got the byte 0xff in a string"),
    ('{"model": NaN}', "body: expected JSON, got an invalid character at byte 10: JSON has no NaN or Infinity"),
    ('{"model": "a",}', "body: expected JSON, got a comma after the last field at byte 14"),
    ("{'model': 1}", "body: expected JSON, got a key that is not in double quotes at byte 1"),
    ('{"mod', "body: expected complete JSON, got a body that breaks off after 5 bytes: send the whole body"),
    ("{", "body: expected complete JSON, got a body that breaks off after 1 byte: send the whole body"),
    (f"{json.dumps(ADAPT)} {{}}", f"body: expected JSON, got a second value at byte {len(json.dumps(ADAPT)) + 2}"),
    ("", "body: expected JSON, got an empty body"),
    ('{"model": "sinusoid", "support": {"inputs', str(ERRORS[Malformed][1])),
]
NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
MSGPACK_TEXTS = [
    ({1: 2}, "body: expected strings as names of fields, got a whole number"),
    ({b"model": "x"}, "body: expected strings as names of fields, got bytes"),
    (ADAPT | {"label": b"abc"}, "label: expected a string, got bytes"),
    (ADAPT | {"label": msgspec.msgpack.Ext(5, b"a")}, "label: expected a string, got an extension type of msgpack"),
    (ADAPT | {"steps": NOW}, "steps: expected a whole number, got a timestamp"),
    (ADAPT | {"learning_rate": float("nan")}, "learning_rate: expected a number above 0, got nan"),
    (wave([[NOW]], [1]), "support.inputs[0][0]: expected a number, got a timestamp: send a number"),
    (wave([b"abc"], [1]), "support.inputs[0]: expected a number, got bytes: send a number"),
    (
        letters(["abc"], ["a"]),
        'support.inputs[0]: expected a PNG or JPEG in base64, got "abc": encode the bytes of the file as '
        "base64 without line breaks, alone or in a data: URL",
    ),
    (letters([ROW], [b"a"]), f"support.targets[0]: expected {LABEL}, got bytes"),
]
MEDIA = "application/json, application/msgpack, text/csv, application/x-ndjson"
HEADER_TEXTS = [
    ({"content-type": "text/plain"}, f'Content-Type: expected one of {MEDIA}, got "text/plain"'),
    ({"content-type": ""}, f"Content-Type: expected one of {MEDIA}, got none"),
    ({"x-timeout-ms": "1.5"}, 'X-Timeout-Ms: expected a whole number from 1 to 86400000, got "1.5"'),
    ({"idempotency-key": "a b"}, 'Idempotency-Key: expected 1 to 255 ASCII characters without spaces, got "a b"'),
    ({"idempotency-key": "x" * 256}, "Idempotency-Key: expected 1 to 255 ASCII characters without spaces, got 256 "
     "characters"),
]  # fmt: skip


def texts(client: TestClient, path: str, bodies: list[Any], **headers: str) -> list[str]:
    """The detail of the answer to each body. Its place, if it has one, is that of the problem."""
    details = []
    for content in bodies:
        response = client.post(path, content=content, headers={"content-type": "application/json"} | headers)
        assert response.is_client_error, response.text
        problem = response.json()
        assert problem["detail"].startswith(f"{problem.get('place', 'body')}: "), problem
        details.append(problem["detail"])
    return details


@pytest.mark.parametrize(
    ("path", "table"), [("/adapt", ADAPT_TEXTS), ("/predict", PREDICT_TEXTS)], ids=["adapt", "predict"]
)
def test_a_wrong_field(client: TestClient, path: str, table: list[tuple[Any, str]]) -> None:
    assert texts(client, path, [json.dumps(body) for body, _ in table]) == [text for _, text in table]


def test_a_wrong_number_or_character(client: TestClient) -> None:
    assert texts(client, "/adapt", [body for body, _ in RAW_TEXTS]) == [text for _, text in RAW_TEXTS]


def test_a_wrong_type_in_msgpack(client: TestClient) -> None:
    bodies = [msgspec.msgpack.encode(body) for body, _ in MSGPACK_TEXTS]
    headers = {"content-type": "application/msgpack"}
    assert texts(client, "/adapt", bodies, **headers) == [text for _, text in MSGPACK_TEXTS]


def test_a_wrong_header(client: TestClient) -> None:
    for headers, text in HEADER_TEXTS:
        assert texts(client, "/adapt", [json.dumps(ADAPT)], **headers) == [text]


def test_the_words_fit_the_model_of_an_adaptation(client: TestClient) -> None:
    adaptation_id = adapt(client, LETTERS, model="omniglot")["adaptation_id"]
    body = {"adaptation_id": adaptation_id, "queries": [["a"]]}
    assert texts(client, "/predict", [json.dumps(body)]) == [
        f"queries[0]: {IMAGE}, got rows of unequal length or without numbers: {PIXELS}"
    ]
    body = {"inputs": [[None]], "targets": ["a"]}
    path = f"/adaptations/{adaptation_id}/support"
    assert texts(client, path, [json.dumps(body)]) == [
        f"inputs[0]: {IMAGE}, got rows of unequal length or without numbers: {PIXELS}"
    ]
    body = {"inputs": [ROW], "targets": [None]}
    assert texts(client, path, [json.dumps(body)]) == [f"targets[0]: expected {LABEL}, got null"]


def test_a_wrong_change(client: TestClient) -> None:
    adaptation_id = adapt(client, {"inputs": [[1]], "targets": [1]})["adaptation_id"]
    path = f"/adaptations/{adaptation_id}"
    for method, address, text in (
        ("DELETE", f"{path}/support/0", "Example 0 is the only one, so it cannot be deleted: add another first, or "
         "delete the adaptation"),
        ("DELETE", f"{path}/support/7", "path.example: expected the number of an example of this adaptation, got 7, "
         f"which was deleted, undone or never added: GET {path}/support lists the examples"),
        ("DELETE", f"{path}/support/-1", 'path.example: expected a whole number of at least 0, got "-1"'),
        ("DELETE", f"{path}/support/one", 'path.example: expected a whole number, got "one"'),
        ("POST", f"{path}/undo", "There is nothing to undo, as all examples come from one request: delete the "
         "adaptation instead"),
        ("GET", "/adaptations/x", 'adaptation_id: expected the id of a stored adaptation, got "x": POST /adapt creates '
         "an adaptation and returns its id"),
    ):  # fmt: skip
        problem = client.request(method, address).json()
        assert problem["detail"] == text
        assert problem["place"] in ("path.example", "adaptation_id")


def test_the_examples_in_the_docs_have_the_form() -> None:
    """A state, such as a full queue, is a sentence with its fix; all else is about a value."""
    for error, (_, example) in ERRORS.items():
        if error in STATES:
            assert re.fullmatch(r"[A-Z].+: .+|[A-Z].+\\. [A-Z].+", str(example)), example
            assert "expected" not in str(example)
        elif error is not KeyReused:
            place, expected, actual = re.fullmatch(r"(.+?): expected (.+?), got (.+)", str(example)).groups()  # type: ignore[union-attr]
            assert all((place, expected, actual))
            if isinstance(example, RequestError) and example.place:
                assert place == example.place


def test_nesting_that_the_decoder_does_not_take() -> None:
    error = malformed(RecursionError(), b"[[", "JSON")
    assert str(error) == (
        "body: expected JSON, got arrays or objects that are nested too deeply: nest arrays no deeper than `shape` of "
        "the model"
    )


def test_a_used_key(client: TestClient) -> None:
    for steps, details in ((1, []), (2, ["Idempotency-Key: this key was used for another request, so choose a new key "
                                         "for each new request"])):  # fmt: skip
        response = client.post("/adapt", json=ADAPT | {"steps": steps}, headers={"Idempotency-Key": "k"})
        assert [response.json()["detail"]] == details if details else response.status_code == 201


def test_forget_and_undo_say_what_they_did(client: TestClient) -> None:
    adaptation_id = adapt(client)["adaptation_id"]
    path = f"/adaptations/{adaptation_id}"
    for inputs in ([[3]], [[1], [2]], [[4]]):
        client.post(f"{path}/support", json={"inputs": inputs, "targets": [1] * len(inputs)})
    changes = [client.post(f"{path}/undo").json()["change"]]
    changes += [client.delete(f"{path}/support/{example}").json()["change"] for example in (6, 7)]
    changes += [client.post(f"{path}/undo").json()["change"]]
    assert changes == [
        "Removed the example that was added last.",
        "Deleted example 6: undo does not restore it.",
        "Deleted example 7: undo does not restore it.",
        "Removed the example that was added last. Undo does not restore deleted examples.",
    ]
    assert client.get(path).json()["examples"] == [0, 1, 2, 3, 4]
