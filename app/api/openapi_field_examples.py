"""An example of each field of the wire, for the OpenAPI document: taken from the examples of bodies."""

from typing import Any

import msgspec
from msgspec import UNSET

from app.api import openapi_examples as examples
from app.api import schemas

_EPISODE = {
    "observations": [[0.1, -0.4], [0.2, -0.3]],
    "actions": [0, 1],
    "rewards": [0.5, 1.0],
    "propensities": [0.6, 0.8],
}
_ROWS = [{"age": 61, "smoker": True, "target": 1.5}, {"age": 47.5, "smoker": False, "target": 0.5}]
_SUPPORT = {"episodes": [_EPISODE], "rows": _ROWS, "weights": [1, 0.5], "labels": ["alpha", "beta"]}
_RAW = {"shape": [2, 1], "data": "AACAPwAAAEA=", "dtype": "float32"}
_REQUESTS: list[msgspec.Struct] = [
    msgspec.convert(_RAW, schemas.RawArray),
    msgspec.convert(_SUPPORT, schemas.Support),
    msgspec.convert(examples.MORE | _SUPPORT | {"model_digest": examples.ADAPTED.model_digest}, schemas.MoreSupport),
    msgspec.convert(
        examples.ADAPT
        | {
            "steps": 5,
            "learning_rate": 0.01,
            "label_names": True,
            "ttl_s": 86_400,
            "assess": "leave_one_out",
            "reuse": True,
            "pinned": True,
            "model_digest": examples.ADAPTED.model_digest,
        },
        schemas.AdaptRequest,
    ),
    msgspec.convert(
        examples.PREDICT
        | {"adaptation_id": examples.ADAPTED.adaptation_id, "steps": 5, "learning_rate": 0.01, "pinned": True}
        | {"label_names": True}
        | {"interval": 0.9, "sample": True, "seed": 7, "model_digest": examples.ADAPTED.model_digest},
        schemas.PredictRequest,
    ),
    msgspec.convert(
        examples.PROPOSE
        | {"adaptation_id": examples.ADAPTED.adaptation_id, "steps": 1, "learning_rate": 0.01, "pinned": True}
        | {"label_names": True}
        | {"target": "temperature", "model_digest": examples.ADAPTED.model_digest},
        schemas.ProposeRequest,
    ),
    msgspec.convert(examples.EDIT, schemas.EditRequest),
]
_FULL = "The disk that holds the folder `state` is full (0.0 MiB free): make room, then try again"
_MODEL: dict[str, Any] = {
    "model": "letters",
    "model_digest": examples.ADAPTED.model_digest,
}
_OTHERS: list[msgspec.Struct] = [
    schemas.Quality(
        method="leave_one_out",
        folds=5,
        error=0.0142,
        initial_error=9.31,
        errors=[0.0021, 0.0384, 0.0107, 0.0093, 0.0105],
        helped=True,
        unlike_training=False,
        worst_example=1,
        message="Adapting helps: the error on examples left out falls from 9.31 to 0.0142. Example 1 fits worst (error "
        "0.0384). The support set looks like what the model was trained on.",
        accuracy=0.8,
    ),
    msgspec.structs.replace(
        examples.ADAPTED,
        labels=["alpha", "beta"],
        pinned=True,
        label_names=True,
        cut_examples=[2],
        lineage=[examples.ADAPTED.model_digest],
        change="Removed the example that was added last.",
    ),
    schemas.AdaptationList(adaptations=[], next=examples.ADAPTED.adaptation_id),
    schemas.RevisionView(
        revision=3,
        change="forgot",
        support_size=5,
        model_digest=examples.ADAPTED.model_digest,
        at=examples.ADAPTED.created_at,
        added=[],
        forgotten=5,
    ),
    msgspec.structs.replace(examples.EXAMPLES, weights=[1, 1, 0.5, 2, 1], labels=["alpha", "beta"]),
    schemas.EpisodeView(stage=1, **_EPISODE),
    schemas.Step(step=1, loss=0.0097),
    schemas.ProposeResponse(
        proposals=[schemas.Proposal(index=1, score=0.4, prediction="alpha")],
        **_MODEL,
        cut_candidates=[0],
        cut_examples=[2],
    ),
    schemas.PredictResponse(
        predictions=["alpha"],
        **_MODEL,
        labels=["alpha", "beta"],
        probabilities=[[0.93, 0.07]],
        unlike=[False],
        similarity=[0.71],
        nearest_examples=[2],
        cut_queries=[0],
        cut_examples=[2],
    ),
    schemas.PredictResponse(
        predictions=[[3.41]],
        **_MODEL,
        lower=[[3.17]],
        upper=[[3.65]],
        std=[[0.12]],
        mean=[[3.41]],
        adaptation_id=examples.ADAPTED.adaptation_id,
        revision=1,
    ),
    msgspec.structs.replace(examples.PROPOSED, adaptation_id=examples.ADAPTED.adaptation_id, revision=1),
    schemas.InnerLoopBounds(steps=5, max_steps=50, learning_rate=0.01, max_learning_rate=0.1),
    schemas.ActionSpace(
        form="discrete", count=5, low=[-0.1, -0.1], high=[0.1, 0.1], names=["x", "y"], units=["m", "m"]
    ),
    msgspec.structs.replace(
        examples.ONE_MODEL,
        shape=[28, 28],
        max_classes=5,
        image="ink",
        label_names=True,
        target_columns=[{"name": "temperature", "type": "number", "unit": "K", "min": 300.0, "max": 900.0}],
    ),
    msgspec.structs.replace(examples.MODELS.models[0], shape=[28, 28], max_classes=5, image="ink", label_names=True),
    schemas.Ready(
        status="ready",
        device="cpu",
        models=["linear", "sinusoid"],
        compiled=True,
        compiling=False,
        degraded={"disk": _FULL},
        failing={"sweep": f"StoreFailed: {_FULL}"},
    ),
    schemas.Problem(
        type="urn:problem-type:innerloop:invalid",
        title="Invalid request",
        status=422,
        detail="support.inputs[4]: expected 1 number, got 2: send 1 number in each row",
        place="support.inputs[4]",
        losses=[0.5, 12.4, 980.1],
        models=["linear", "sinusoid"],
        model_digest=examples.ADAPTED.model_digest,
    ),
]
"""Bodies with the fields that the examples of requests and answers do not have."""


def field_examples() -> dict[str, dict[str, Any]]:
    """The example of each field, by the name of its schema and its own."""
    by_type: dict[str, dict[str, Any]] = {}
    bodies = (examples.ADAPTED, examples.PREDICTED, examples.HISTORY, examples.EXAMPLES, examples.MODELS, examples.LIVE)
    for body in (*bodies, *_REQUESTS, *_OTHERS):
        _add(body, by_type)
    return by_type


def _add(value: Any, by_type: dict[str, dict[str, Any]]) -> None:
    """Add the fields of a body, and of the bodies in it, that have no example yet."""
    if isinstance(value, list | tuple):
        for each in value:
            _add(each, by_type)
    if isinstance(value, msgspec.Struct):
        fields = by_type.setdefault(type(value).__name__, {})
        for name in value.__struct_fields__:
            part = getattr(value, name)
            if part is not UNSET:
                fields.setdefault(name, msgspec.to_builtins(part))
                _add(part, by_type)
