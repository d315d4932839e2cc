"""The examples in the OpenAPI document: requests that work on a fresh server with the shipped bundles, and answers.

The numbers are those of the shipped `sinusoid`, rounded.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from app.api import schemas
from app.api.codec import JSON
from app.errors import (
    BodyTooLarge,
    DeadlinePassed,
    Diverged,
    ExpiredAdaptation,
    InnerloopError,
    Invalid,
    KeyReused,
    LastExample,
    Malformed,
    NothingToUndo,
    OtherVersion,
    Outgrown,
    Overloaded,
    PinnedBundleGone,
    QuotaExceeded,
    StoreFailed,
    UnknownAdaptation,
    UnknownExample,
    UnknownModel,
    UnknownVersion,
    UnsupportedEncoding,
    UnsupportedMedia,
)
from app.learn.adaptation_outcome import Status
from app.learn.algorithms import ALGORITHMS
from app.service.deadlines import LATE
from app.service.diverged_error import diverged_detail

# requests

MODEL, BAYESIAN = "sinusoid", "sinusoid-bayes"
SUPPORT: dict[str, Any] = {"inputs": [[-4], [-2], [0.5], [2], [4]], "targets": [3.03, -3.64, 1.92, 3.64, -3.03]}
MORE = {"inputs": [[3]], "targets": [0.56]}
EDIT = {"label": "pump 18", "ttl_s": 604_800}
ADAPT = {"model": MODEL, "support": SUPPORT, "label": "pump 17"}
CSV_TEXTS: Mapping[type[schemas.RequestBody], str] = {
    schemas.AdaptRequest: "time,target\n-4,3.03\n-2,-3.64\n0.5,1.92\n2,3.64\n4,-3.03\n",
    schemas.PredictRequest: "time\n-3\n1\n3\n",
    schemas.ProposeRequest: "time\n-3\n-1\n1\n3\n5\n",
    schemas.MoreSupport: "time,target\n3,0.56\n",
}
"""Bodies in CSV, which go with CSV_PARAMETERS or the id of an adaptation of that model."""
CSV_PARAMETERS: Mapping[type[schemas.RequestBody], dict[str, Any]] = {
    schemas.AdaptRequest: {"model": MODEL},
    schemas.PredictRequest: {"model": MODEL},
    schemas.ProposeRequest: {"model": BAYESIAN, "count": "2", "goal": "learn"},
}
"""Examples of query parameters of requests in CSV, by name."""
CSV_ANSWER = "target\n-0.6426\n3.4109\n0.5271\n"
PREDICT = {"model": MODEL, "support": SUPPORT, "queries": [[-3], [1], [3]]}
PROPOSE = {
    "model": BAYESIAN,
    "support": {"inputs": [[-4], [-2], [0.5]], "targets": [3.03, -3.64, 1.92]},
    "candidates": [[-3], [-1], [1], [3], [5]],
    "count": 2,
    "goal": "learn",
}

# answers

_ID = "019ac1f2a7b37c5e9d04f86b21e7c3aa"
_DIGEST = "f8a13ae1eed832f2f6abc8e4eac49a2ccda9d63c02d389124eb52c1f7071fc87"
_BAYESIAN_DIGEST = "e6873f37445fc030f812cf165bdd8dd6dd10f33f16d1d1fde3fcd457acc77a0c"
_CREATED, _CHANGED = "2026-11-26T09:30:00.000Z", "2026-11-26T09:45:00.000Z"
_FELL = "The support loss fell."
_LOSSES = [12.091, 0.0097, 0.0037, 0.0028, 0.001, 0.0007]
_EXAMPLES = [0, 1, 2, 3, 4]

ADAPTED = schemas.AdaptResponse(
    adaptation_id=_ID,
    revision=1,
    model=MODEL,
    model_digest=_DIGEST,
    kind="regression",
    support_size=5,
    examples=_EXAMPLES,
    steps=5,
    learning_rate=0.01,
    losses=_LOSSES,
    status="improved",
    message=_FELL,
    created_at=_CREATED,
    expires_at="2026-11-27T09:30:00.000Z",
    label="pump 17",
)
EXTENDED = replace(
    ADAPTED,
    revision=2,
    support_size=6,
    examples=[0, 1, 2, 3, 4, 5],
    losses=[10.2696, 0.2203, 0.0365, 0.0856, 0.0032, 0.0007],
)
FORGOTTEN = replace(
    ADAPTED,
    revision=2,
    support_size=4,
    examples=[1, 2, 3, 4],
    change="Deleted example 0: undo does not restore it.",
    losses=[14.1351, 0.5665, 0.0317, 0.0773, 0.0318, 0.0013],
)
EDITED = replace(ADAPTED, label="pump 18", expires_at="2026-12-03T09:45:00.000Z")
UNDONE = replace(ADAPTED, revision=3, change="Removed the example that was added last.")
PAGE = schemas.AdaptationList(adaptations=[ADAPTED])
HISTORY = schemas.History(
    adaptation_id=_ID,
    revisions=[
        schemas.RevisionView(
            revision=1, change="adapted", support_size=5, model_digest=_DIGEST, at=_CREATED, added=_EXAMPLES
        ),
        schemas.RevisionView(
            revision=2, change="extended", support_size=6, model_digest=_DIGEST, at=_CHANGED, added=[5]
        ),
    ],
)
EXAMPLES = schemas.SupportView(
    adaptation_id=_ID,
    revision=1,
    examples=_EXAMPLES,
    inputs=SUPPORT["inputs"],
    targets=[[number] for number in SUPPORT["targets"]],
)
PREDICTED = schemas.PredictResponse(
    predictions=[[-0.6426], [3.4109], [0.5271]],
    unlike=[False, False, False],
    model=MODEL,
    model_digest=_DIGEST,
    losses=_LOSSES,
    status="improved",
)
PROPOSED = schemas.ProposeResponse(
    proposals=[
        schemas.Proposal(index=3, score=0.0334, prediction=[0.5651], std=[0.0334], nearest_example=2, unlike=False),
        schemas.Proposal(index=4, score=0.005, prediction=[-3.8421], std=[0.0189], nearest_example=2, unlike=False),
    ],
    model=BAYESIAN,
    model_digest=_BAYESIAN_DIGEST,
    losses=[12.1859, 0.0],
    status="improved",
)
_SUMMARY: Mapping[str, Any] = {
    "name": MODEL,
    "digest": _DIGEST,
    "kind": "regression",
    "algorithm": "mamlpp",
    "features": 1,
    "targets": 1,
    "inner_loop": schemas.InnerLoopBounds(steps=5, max_steps=50),
    "compiled": True,
    "family": MODEL,
    "intervals": [0.5, 0.99],
}
MODELS = schemas.ModelList(
    models=[schemas.ModelSummary(**_SUMMARY)],
    refused=[
        schemas.RefusedBundle(
            name="pumps",
            file="pumps/weights.safetensors",
            reason="expected a file, got none: copy the whole bundle again",
        ),
    ],
)
ONE_MODEL = schemas.ModelDetail(
    **_SUMMARY,
    inputs={
        "encoder": "numbers",
        "shape": [1],
        "columns": [{"name": None, "type": "number", "unit": None, "may_be_missing": False}],
        "example": [0.0],
    },
    target_columns=[{"name": "target", "type": "number", "unit": None}],
    example={
        "model": MODEL,
        "support": {"inputs": [[0.0], [1.0]], "targets": [0.0, 1.0]},
        "queries": [[0.0]],
    },
    family_options={},
    evaluation={
        "score": "mean squared error on the query set",
        "tasks": 600,
        "by_shots": {"5": {"mean": [3.072, 0.4604, 0.2117], "half_width_95": [0.2361, 0.0574, 0.0341]}},
    },
    training={"command": "innerloop train sinusoid", "outer_steps": 10000, "device": "cpu"},
)
LIVE = schemas.Live(status="live")
READY = schemas.Ready(status="ready", device="cpu", models=["linear", MODEL], compiled=True, compiling=False)
NOT_READY = schemas.Ready(status="no bundle is loaded", device="cpu", models=[], compiled=False, compiling=False)


def _event(name: str, data: schemas.ResponseBody) -> str:
    return f"event: {name}\ndata: {JSON.encoder.encode(data).decode()}\n\n"


EVENTS = "".join(
    [
        _event("step", schemas.Step(step=0, loss=_LOSSES[0])),
        _event("step", schemas.Step(step=1, loss=_LOSSES[1])),
        _event("result", replace(ADAPTED, steps=1, losses=_LOSSES[:2])),
    ]
)

# errors

ERRORS: Mapping[type[InnerloopError], tuple[str, InnerloopError]] = {
    type(error): (meaning, error)
    for meaning, error in (
        (
            "The body is not valid JSON, msgpack or CSV.",
            Malformed("complete JSON", "a body that breaks off after 41 bytes", "send the whole body"),
        ),
        (
            "There is no model with this name. `models` lists the loaded models.",
            UnknownModel("cosinusoid", ["linear", "sinusoid"]),
        ),
        (
            "The server does not have this version of the model, or no longer. Leave out `digest` for the current one.",
            UnknownVersion(MODEL, 64 * "0"),
        ),
        ("There is no adaptation with this id, or it expired more than a day ago.", UnknownAdaptation(_ID)),
        ("The adaptation has no example with this number.", UnknownExample(_ID, 7)),
        (
            "The example is the only one of the adaptation. Add another one first, or delete the adaptation.",
            LastExample(3),
        ),
        (
            "All examples come from one request, and undo would remove them all. Delete the adaptation instead.",
            NothingToUndo(),
        ),
        (
            "The current version of the model does not accept the stored examples. Adapt again with examples for the "
            "current version.",
            Outgrown(MODEL),
        ),
        (
            "The version of the model that the adaptation is pinned to is gone. Put its bundle back, or send `pinned` "
            "as `false`.",
            PinnedBundleGone(MODEL, 64 * "0"),
        ),
        (
            "Another version of the model would answer than `model_digest`. Read again what `GET /models/{name}` says.",
            OtherVersion(MODEL, 64 * "0", 64 * "1"),
        ),
        (
            "The adaptation has expired. Adapt again, with a larger `ttl_s` to keep it longer.",
            ExpiredAdaptation(datetime(2026, 11, 27, 9, 30, tzinfo=UTC)),
        ),
        (
            "The body is larger than the server's limit, 32 MiB unless configured otherwise.",
            BodyTooLarge(33_554_432),
        ),
        (
            "The `Content-Type` is not supported.",
            UnsupportedMedia(["application/json", "application/msgpack", "text/csv"], "text/plain"),
        ),
        (
            "The `Content-Encoding` is not supported: only gzip is.",
            UnsupportedEncoding(["gzip", "identity"], "br"),
        ),
        (
            "A field, a parameter or a header has a value that cannot be used; `place` is its path.",
            Invalid("support.inputs[4]", "1 number", 2, "send 1 number in each row"),
        ),
        (
            "The inner loop diverged, and nothing is stored; `losses` has the support losses by step.",
            Diverged(diverged_detail(Status.diverged, ALGORITHMS["mamlpp"]), [0.5, 12.4, 980.1]),
        ),
        (
            "The `Idempotency-Key` was used for another request. Use a new key for each new request.",
            KeyReused(),
        ),
        (
            "Too many requests are waiting, or the server is shutting down. Try again after `Retry-After` seconds.",
            Overloaded(
                "The queue is full (at most 4096 waiting requests, INNERLOOP_MAX_WAITING): try again in a second"
            ),
        ),
        (
            "The store cannot be reached or cannot write. Try again after `Retry-After` seconds.",
            StoreFailed(
                'Redis at 127.0.0.1:6379 does not work ("Error 111 connecting to 127.0.0.1:6379. '
                "Connect call failed ('127.0.0.1', 6379)\"): check that Redis runs, and that INNERLOOP_REDIS_URL is "
                "its address, then try again"
            ),
        ),
        (
            "The time in `X-Timeout-Ms` passed before the answer was ready.",
            DeadlinePassed(LATE),
        ),
        (
            "The quota of adaptations or of bytes is used up. Delete adaptations, or wait until some expire.",
            QuotaExceeded(10_000_000, "adaptations"),
        ),
    )
}
"""What each error that a client can meet means, and an example of it."""
