"""The wire: every body that a client sends or receives, as msgspec types. The OpenAPI document is made from them.

msgspec decodes a small body five times as fast as pydantic (1.2 against 5.6 us for 10 examples), refuses booleans,
strings and nulls where numbers belong, and names the place.
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
        description="Whether the adaptation stays with this bundle, while that is there, when a newer one has its name"
    ),
]
_NUMBERS = {"type": "array", "items": {"type": "number"}}
Array = Annotated[Any, Meta(extra_json_schema={"type": "array", "items": _NUMBERS})]
Losses = Annotated[Any, Meta(extra_json_schema={"type": "array", "items": {"type": ["number", "null"]}})]
Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
Steps = Annotated[int, Meta(description="Inner steps; the bundle's default where none are given", ge=0)]
Rate = Annotated[float, Meta(description="Inner learning rate; the bundle's default where none is given", gt=0)]


class RequestBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What a client sends. Unknown fields are refused, and so is `null` for a field that is left out."""


class ResponseBody(msgspec.Struct, kw_only=True):
    """What a client receives. A field that does not apply is left out."""


class RawArray(RequestBody):
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

    def __len__(self) -> int:
        """The number of rows."""
        return self.shape[0]


ActionValues = (
    Annotated[
        list[float | list[float]],
        Meta(description="[step]: an action by its number, 0, 1, ..., or [step][number]", min_length=1),
    ]
    | RawArray
)
PerStep = Annotated[list[float], Meta(min_length=1)] | RawArray


class Episode(RequestBody):
    """Decisions one after another, each with the observation before it. Episodes may differ in length."""

    observations: Inputs | RawArray
    actions: ActionValues
    rewards: Annotated[
        PerStep, Meta(description="[step]: the reward of each action; without rewards the actions are imitated")
    ] | (UnsetType) = UNSET
    propensities: (
        Annotated[
            PerStep, Meta(description="[step]: the probability with which each action was taken, where it was logged")
        ]
        | UnsetType
    ) = UNSET


class Support(RequestBody):
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


class AdaptRequest(RequestBody):
    """Adapt a model to a support set."""

    model: str
    support: Support
    steps: Steps | UnsetType = UNSET
    learning_rate: Rate | UnsetType = UNSET
    ttl_s: Annotated[int, Meta(description="Seconds to live", ge=1)] | UnsetType = UNSET
    label: Annotated[str, Meta(description="Your own name for it", max_length=200)] | UnsetType = UNSET
    assess: (
        Annotated[
            Literal["leave_one_out", "k_fold"],
            Meta(description="Measure the error on examples left out; above 64 examples always in 10 folds"),
        ]
        | UnsetType
    ) = UNSET
    reuse: Annotated[
        bool, Meta(description="Return an earlier adaptation to the same content that was made with `reuse`")
    ] = False
    pinned: Pinned | UnsetType = UNSET


class PredictRequest(RequestBody):
    """Answer queries, in one of three forms.

    With `adaptation_id`: by that adaptation. With `model` and `support`: adapt and predict in one call, and keep
    nothing. With `model` alone: by the initialization itself, to compare with.
    """

    queries: Inputs | RawArray
    adaptation_id: str | UnsetType = UNSET
    model: str | UnsetType = UNSET
    support: Support | UnsetType = UNSET
    steps: Steps | UnsetType = UNSET
    learning_rate: Rate | UnsetType = UNSET
    pinned: Pinned | UnsetType = UNSET
    interval: (
        Annotated[float, Meta(description="The share of true values that `lower` to `upper` should cover", gt=0, lt=1)]
        | UnsetType
    ) = UNSET
    sample: Annotated[
        bool, Meta(description="Draw actions from the policy instead of taking the most probable ones")
    ] = False
    seed: (
        Annotated[
            int,
            Meta(
                description="Of the draws: those for a query depend on the seed and on the place of the query alone; "
                "without a seed they differ each time",
                ge=0,
                le=2**63 - 1,
            ),
        ]
        | UnsetType
    ) = UNSET


class Quality(ResponseBody):
    """How well adapting works, measured on examples that were left out.

    Errors are in the units of the kind's loss. An error is null where the inner loop diverged without the example, or
    where the example is the only one of its class. The initialization of a classifier has no classes, and guesses
    evenly.
    """

    method: Annotated[str, Meta(description="The method that was used: `leave_one_out` or `k_fold`")]
    folds: int
    error: Annotated[float | None, Meta(description="The mean of `errors`")]
    initial_error: Annotated[float | None, Meta(description="The error of the initialization on the same examples")]
    errors: Annotated[list[float | None], Meta(description="By example, in their order")]
    helped: Annotated[bool | None, Meta(description="Whether adapting lowers the error; null if it may be chance")]
    unlike_training: Annotated[
        bool | None,
        Meta(
            description="Whether the support set is unlike those of training; null if the bundle has no OOD reference"
        ),
    ]
    worst_example: Annotated[int | None, Meta(description="The number of the example that fits worst")]
    message: Annotated[str, Meta(description="All of it in words")]
    accuracy: Annotated[float, Meta(description="The share of labels found, of those not null")] | UnsetType = UNSET


class AdaptResponse(ResponseBody):
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


class AdaptationList(ResponseBody):
    """Adaptations that are alive, the newest first; `next` is the cursor of the page after, where there is one."""

    adaptations: list[AdaptResponse]
    next: str | UnsetType = UNSET


class RevisionView(ResponseBody):
    """A change. `added` and `forgotten` are numbers of examples; forgotten ones are no longer among the added."""

    revision: int
    change: str
    support_size: int
    model_digest: str
    at: Time
    added: list[int]
    forgotten: int | UnsetType = UNSET


class History(ResponseBody):
    """How an adaptation came to what it is, the first revision first."""

    adaptation_id: str
    revisions: list[RevisionView]


class SupportView(ResponseBody):
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


class EpisodeView(ResponseBody):
    """An episode as it was posted. stage: the revision that it came with."""

    stage: int
    observations: Array
    actions: Annotated[Any, Meta(extra_json_schema={"type": "array"})]
    rewards: Annotated[Any, Meta(extra_json_schema=_NUMBERS)] | UnsetType = UNSET
    propensities: Annotated[Any, Meta(extra_json_schema=_NUMBERS)] | UnsetType = UNSET


class Step(ResponseBody):
    """An event of a stream: the support loss before the first step, or after one."""

    step: int
    loss: float | None


class PredictResponse(ResponseBody):
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


class InnerLoopBounds(ResponseBody):
    """What a request may ask of the inner loop, and what it gets when it does not ask."""

    steps: int
    max_steps: int
    learning_rate: float
    max_learning_rate: float


class ActionSpace(ResponseBody):
    """What an action is: one of `count`, by its number from 0 on, or numbers (`box`).

    low, high: where the environment clips each number; without `sample`, `predictions` are within them
    """

    form: Literal["discrete", "box"]
    count: int | UnsetType = UNSET
    low: list[float] | UnsetType = UNSET
    high: list[float] | UnsetType = UNSET


class ModelSummary(ResponseBody, kw_only=True):
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
    actions: Annotated[ActionSpace, Meta(description="Where it predicts decisions")] | UnsetType = UNSET
    intervals: (
        Annotated[list[float], Meta(description="The least and the largest `interval` that can be asked")] | UnsetType
    ) = UNSET


class ModelDetail(ModelSummary, kw_only=True):
    """A bundle that serves, with how well it adapts and how it was made."""

    family_options: dict[str, Any] | UnsetType = UNSET
    evaluation: dict[str, Any]
    training: dict[str, Any]


class RefusedBundle(ResponseBody):
    """A bundle that does not serve, and why."""

    name: str
    file: str
    reason: str


class ModelList(ResponseBody):
    """The bundles of the models folder."""

    models: list[ModelSummary]
    refused: list[RefusedBundle]


class Live(ResponseBody):
    """The process answers."""

    status: str


class Ready(ResponseBody):
    """Whether the server can adapt.

    compiled: whether the compiled inner loop of every model serves; until then the eager one does. Classifiers stay
        eager, and do not count
    compiling: whether something is being compiled, which takes time from requests
    failing: background tasks that failed within the last minute and were started again, with the reason
    """

    status: str
    device: str
    models: list[str]
    compiled: bool
    compiling: bool
    failing: dict[str, str] | UnsetType = UNSET


class Problem(ResponseBody):
    """What went wrong (RFC 9457): `detail` names the place and the cure."""

    type: str
    title: str
    status: int
    detail: str
    place: str | UnsetType = UNSET
    losses: Losses | UnsetType = UNSET
    models: list[str] | UnsetType = UNSET
