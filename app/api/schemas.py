"""The wire: every body that a client sends or receives, as msgspec types. The OpenAPI document is made from them.

msgspec because it decodes a small body five times faster than pydantic (1.2 against 5.6 us for 10 examples), refuses
booleans, strings and nulls where numbers belong without being told, and names the place.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

Inputs = Annotated[
    list[
        Annotated[
            list[float | list[float | list[float]]],
            Meta(description="Numbers, [feature], or nested in the model's `shape`"),
        ]
        | Annotated[bytes, Meta(description="A PNG, for a model that takes images: binary in msgpack, base64 in JSON")]
    ],
    Meta(description="[row]", min_length=1),
]
Labels = Annotated[Any, Meta(extra_json_schema={"type": "array", "items": {"type": "string"}})]
Pinned = Annotated[
    bool,
    Meta(
        description="Whether it stays with this bundle, as long as it is there, when there is a newer one of the name"
    ),
]
_NUMBERS = {"type": "array", "items": {"type": "number"}}
Array = Annotated[Any, Meta(extra_json_schema={"type": "array", "items": _NUMBERS})]
Losses = Annotated[Any, Meta(extra_json_schema={"type": "array", "items": {"type": ["number", "null"]}})]
Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
Steps = Annotated[int, Meta(description="Inner steps; the bundle's default where none are given", ge=0)]
Rate = Annotated[float, Meta(description="Inner learning rate; the bundle's default where none is given", gt=0)]


class Request(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What a client sends: unknown fields are refused, and `null` is no way to leave a field out."""


class Answer(msgspec.Struct, kw_only=True):
    """What a client receives. A field that does not apply is left out."""


class RawArray(Request):
    """Numbers as raw little-endian bytes, row after row: binary in msgpack, base64 in JSON."""

    shape: Annotated[
        list[Annotated[int, Meta(ge=0)]],
        Meta(
            description="[rows, columns], [rows] for a number a row, or [rows, ...] with the model's `shape`",
            min_length=1,
            max_length=4,
        ),
    ]
    data: bytes
    dtype: Literal["float32", "float64", "int32", "int64"] = "float32"


Decided = (
    Annotated[
        list[float | list[float]],
        Meta(description="[step]: an action by its number, 0, 1, ..., or [step][number]", min_length=1),
    ]
    | RawArray
)
Told = Annotated[list[float], Meta(min_length=1)] | RawArray


class Episode(Request):
    """Decisions one after another, each with what was seen before it. Episodes may differ in length."""

    observations: Inputs | RawArray
    actions: Decided
    rewards: Annotated[Told, Meta(description="[step]: what came of each; without any, the actions are imitated")] | (
        UnsetType
    ) = UNSET
    propensities: (
        Annotated[Told, Meta(description="[step]: how probable each was to be taken, where that was logged")]
        | UnsetType
    ) = UNSET


class Support(Request):
    """The labelled examples to adapt from: `inputs` and `targets`, or `episodes` for a model of decisions."""

    inputs: Inputs | RawArray | UnsetType = UNSET
    targets: (
        Annotated[
            list[float | list[float] | str],
            Meta(
                description="[example][target] for regression, where a target of one number may be written without its "
                "brackets; [example] for classification: labels, any strings",
                min_length=1,
            ),
        ]
        | RawArray
        | UnsetType
    ) = UNSET
    episodes: (
        Annotated[
            list[Episode], Meta(description="A stage: it begins with the weights after the one before", min_length=1)
        ]
        | UnsetType
    ) = UNSET


class AdaptRequest(Request):
    """Adapt a model to a support set."""

    model: str
    support: Support
    steps: Steps | UnsetType = UNSET
    learning_rate: Rate | UnsetType = UNSET
    ttl_s: Annotated[int, Meta(description="Seconds to live", ge=1)] | UnsetType = UNSET
    label: Annotated[str, Meta(description="Yours to recognise it by", max_length=200)] | UnsetType = UNSET
    assess: (
        Annotated[
            Literal["leave_one_out", "k_fold"],
            Meta(description="Measure the error on examples left out; above 64 examples always in 10 folds"),
        ]
        | UnsetType
    ) = UNSET
    reuse: Annotated[bool, Meta(description="An adaptation to the same content made with `reuse` will do")] = False
    pinned: Pinned | UnsetType = UNSET


class PredictRequest(Request):
    """Answer queries, in one of three forms.

    With `adaptation_id`: by that adaptation. With `model` and `support`: adapt and predict in one call, nothing is
    kept. With `model` alone: by the initialization itself, to compare with.
    """

    queries: Inputs | RawArray
    adaptation_id: str | UnsetType = UNSET
    model: str | UnsetType = UNSET
    support: Support | UnsetType = UNSET
    steps: Steps | UnsetType = UNSET
    learning_rate: Rate | UnsetType = UNSET
    pinned: Pinned | UnsetType = UNSET
    interval: (
        Annotated[float, Meta(description="The share of true values that `lower` to `upper` is to hold", gt=0, lt=1)]
        | UnsetType
    ) = UNSET
    sample: Annotated[
        bool, Meta(description="Draw actions from the policy instead of taking the most probable ones")
    ] = False
    seed: (
        Annotated[
            int,
            Meta(
                description="Of the draws: those for a query depend on it and on the query's place alone; without it "
                "they are others each time",
                ge=0,
                le=2**63 - 1,
            ),
        ]
        | UnsetType
    ) = UNSET


class Quality(Answer):
    """What assessing found, on examples that the inner loop had not seen.

    Errors are of the kind's loss, in its units; an error is null where the inner loop diverged without the example, or
    where the example is the only one of its class. A classifier's initialization knows no class, and so guesses evenly.
    """

    method: Annotated[str, Meta(description="The one really used: `leave_one_out` or `k_fold`")]
    folds: int
    error: Annotated[float | None, Meta(description="The mean of `errors`")]
    initial_error: Annotated[float | None, Meta(description="Of the initialization itself, on the same examples")]
    errors: Annotated[list[float | None], Meta(description="By example, in their order")]
    helped: Annotated[bool | None, Meta(description="Whether adapting lowers the error; null if it may be chance")]
    unlike_training: Annotated[
        bool | None,
        Meta(description="Whether the support set is unlike those of training; null if the bundle has no calibration"),
    ]
    worst_example: Annotated[int | None, Meta(description="The number of the example that fits worst")]
    message: Annotated[str, Meta(description="All of it in words")]
    accuracy: Annotated[float, Meta(description="The share of labels found, of those not null")] | UnsetType = UNSET


class AdaptResponse(Answer):
    """An adaptation."""

    adaptation_id: str
    revision: Annotated[int, Meta(description="1 at first; each change makes the next")]
    model: str
    model_digest: str
    kind: str
    support_size: int
    examples: Annotated[Any, Meta(extra_json_schema={"type": "array", "items": {"type": "integer"}})]
    steps: int
    learning_rate: float
    losses: Annotated[Losses, Meta(description="The support loss before the first step and after each")]
    status: str
    message: Annotated[str, Meta(description="What the status means")]
    created_at: Time
    expires_at: Time
    label: str | UnsetType = UNSET
    labels: Annotated[Labels, Meta(description="The classes, as they first came")] | UnsetType = UNSET
    pinned: bool | UnsetType = UNSET
    quality: Quality | UnsetType = UNSET
    lineage: Annotated[list[str], Meta(description="The bundles before this one, by digest")] | UnsetType = UNSET


class AdaptationList(Answer):
    """Adaptations that are alive, the newest first; `next` is the cursor of the page after, where there is one."""

    adaptations: list[AdaptResponse]
    next: str | UnsetType = UNSET


class RevisionView(Answer):
    """A change. `added` and `forgotten` are numbers of examples; forgotten ones are no longer among the added."""

    revision: int
    change: str
    support_size: int
    model_digest: str
    at: Time
    added: list[int]
    forgotten: int | UnsetType = UNSET


class History(Answer):
    """How an adaptation came to what it is, the first revision first."""

    adaptation_id: str
    revisions: list[RevisionView]


class SupportView(Answer):
    """The examples of an adaptation: `examples` are their numbers. Those of a model of decisions are episodes."""

    adaptation_id: str
    revision: int
    examples: list[int]
    inputs: Array | UnsetType = UNSET
    targets: (
        Annotated[Any, Meta(description="Numbers [example][target], or labels", extra_json_schema={"type": "array"})]
        | UnsetType
    ) = UNSET
    episodes: list["EpisodeView"] | UnsetType = UNSET


class EpisodeView(Answer):
    """An episode as it was posted. stage: the revision that it came with."""

    stage: int
    observations: Array
    actions: Annotated[Any, Meta(extra_json_schema={"type": "array"})]
    rewards: Annotated[Any, Meta(extra_json_schema=_NUMBERS)] | UnsetType = UNSET
    propensities: Annotated[Any, Meta(extra_json_schema=_NUMBERS)] | UnsetType = UNSET


class Step(Answer):
    """An event of a stream: the support loss before the first step, or after one."""

    step: int
    loss: float | None


class PredictResponse(Answer):
    """Predictions, [query][target], labels, or actions. `losses` and `status` where the call adapted."""

    predictions: Annotated[
        Any,
        Meta(
            description="Numbers [query][target], labels [query], or actions: which ones [query], or [query][number]",
            extra_json_schema={"type": "array"},
        ),
    ]
    model: str
    model_digest: str
    labels: Annotated[Labels, Meta(description="The classes of the support set")] | UnsetType = UNSET
    probabilities: Annotated[Array, Meta(description="[query][label], or [query][action]")] | UnsetType = UNSET
    unlike: (
        Annotated[
            Any,
            Meta(
                description="By query: whether it is unlike anything in the support set, and its label a guess; left "
                "out where the bundle cannot tell",
                extra_json_schema={"type": "array", "items": {"type": "boolean"}},
            ),
        ]
        | UnsetType
    ) = UNSET
    lower: Annotated[Array, Meta(description="[query][target], where `interval` was asked")] | UnsetType = UNSET
    upper: Annotated[Array, Meta(description="[query][target], where `interval` was asked")] | UnsetType = UNSET
    std: (
        Annotated[
            Array,
            Meta(
                description="[query][target]: the algorithm's own standard deviation, if it has one, or the policy's "
                "of the numbers of an action"
            ),
        ]
        | UnsetType
    ) = UNSET
    mean: Annotated[Array, Meta(description="[query][number]: the policy's, of the numbers of an action")] | (
        UnsetType
    ) = UNSET
    adaptation_id: str | UnsetType = UNSET
    revision: int | UnsetType = UNSET
    losses: Losses | UnsetType = UNSET
    status: str | UnsetType = UNSET


class InnerLoopBounds(Answer):
    """What a request may ask of the inner loop, and what it gets when it does not ask."""

    steps: int
    max_steps: int
    learning_rate: float
    max_learning_rate: float


class ActionSpace(Answer):
    """What an action is: one of `count`, by its number from 0 on, or numbers (`box`).

    low, high: where the environment clips each number; without `sample`, `predictions` are within them
    """

    form: Literal["discrete", "box"]
    count: int | UnsetType = UNSET
    low: list[float] | UnsetType = UNSET
    high: list[float] | UnsetType = UNSET


class ModelSummary(Answer, kw_only=True):
    """A bundle that serves."""

    name: str
    digest: str
    kind: str
    algorithm: str
    features: Annotated[int, Meta(description="Numbers in an input, which of decisions is an observation")]
    targets: Annotated[
        int, Meta(description="Numbers in a target, classes of a training task, or actions, or numbers of an action")
    ]
    inner_loop: InnerLoopBounds
    compiled: bool
    family: Annotated[str, Meta(description="Left out where the weights came without one")] | UnsetType = UNSET
    shape: Annotated[list[int], Meta(description="Of an input, where it need not be flat")] | UnsetType = UNSET
    max_classes: Annotated[int, Meta(description="Where it cannot tell any number apart")] | UnsetType = UNSET
    image: Annotated[str, Meta(description="How a PNG becomes an input, where it can")] | UnsetType = UNSET
    actions: Annotated[ActionSpace, Meta(description="Of a model of decisions")] | UnsetType = UNSET
    intervals: (
        Annotated[list[float], Meta(description="The least and the largest `interval` that can be asked")] | UnsetType
    ) = UNSET


class ModelDetail(ModelSummary, kw_only=True):
    """A bundle that serves, with how well it adapts and how it was made."""

    family_options: dict[str, Any] | UnsetType = UNSET
    evaluation: dict[str, Any]
    training: dict[str, Any]


class RefusedBundle(Answer):
    """A bundle that does not serve, and why."""

    name: str
    file: str
    reason: str


class ModelList(Answer):
    """The bundles of the models folder."""

    models: list[ModelSummary]
    refused: list[RefusedBundle]


class Live(Answer):
    """The process answers."""

    status: str


class Ready(Answer):
    """The server can adapt.

    compiled: whether every model's compiled inner loop serves; eager serves until then. Classifiers stay eager, and do
        not count
    compiling: whether something is compiled at present, which takes time from requests
    """

    status: str
    device: str
    models: list[str]
    compiled: bool
    compiling: bool


class Problem(Answer):
    """What went wrong (RFC 9457): `detail` names the place and the cure."""

    type: str
    title: str
    status: int
    detail: str
    place: str | UnsetType = UNSET
    losses: Losses | UnsetType = UNSET
    models: list[str] | UnsetType = UNSET
