"""The wire: every body that a client sends or receives, as msgspec types. They also make the OpenAPI document.

msgspec decodes a small body five times as fast as pydantic (1.2 against 5.6 us for 10 examples), refuses booleans,
strings and nulls where numbers belong, and names the place. Descriptions do not slow it down: they are only read for
the document, which shows each of them alone.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

_NUMBERS = {"type": "array", "items": {"type": "number"}}
_IMAGE = "A PNG or JPEG, if the model's `image` is set: base64, alone or in a `data:` URL; binary in msgpack"
_INPUT = {
    "anyOf": [
        {
            "type": "array",
            "items": {},
            "description": "Numbers: a flat row, or nested like the model's `shape`",
        },
        {"type": "string", "description": _IMAGE},
        {"type": "object", "description": "Columns by name, in any order, if the model's inputs have columns"},
    ]
}
_TARGET = {"anyOf": [{"type": ["number", "string", "boolean"]}, _NUMBERS]}
Inputs = Annotated[list[Any], Meta(min_length=1, extra_json_schema={"items": _INPUT})]
Targets = Annotated[list[Any], Meta(min_length=1, extra_json_schema={"items": _TARGET})]
_LABEL = {"type": ["string", "integer", "boolean"]}
Classes = Annotated[list[Any], Meta(min_length=1, extra_json_schema={"items": _LABEL})]
Labels = Annotated[Any, Meta(extra_json_schema={"type": "array", "items": _LABEL})]
ExampleNumbers = Annotated[Any, Meta(extra_json_schema={"type": "array", "items": {"type": "integer"}})]
Numbers = Annotated[Any, Meta(extra_json_schema=_NUMBERS)]
Array = Annotated[Any, Meta(extra_json_schema={"type": "array", "items": _NUMBERS})]
ShownInputs = Annotated[
    Any, Meta(extra_json_schema={"type": "array", "items": {"anyOf": [_NUMBERS, {"type": ["object", "string"]}]}})
]
Losses = Annotated[Any, Meta(extra_json_schema={"type": "array", "items": {"type": ["number", "null"]}})]
Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
Steps = Annotated[
    int,
    Meta(
        description="Number of inner steps, from 0 to the model's `max_steps`. Without it, the model's default "
        "applies. Models that adapt in closed form take only their default",
        ge=0,
    ),
]
Rate = Annotated[
    float,
    Meta(
        description="Step size of the inner loop, above 0 and at most the model's `max_learning_rate`. Without it, the "
        "model's default applies. Leave it out for models that have learned rates or adapt in closed form: these have "
        "no `max_learning_rate`",
        gt=0,
    ),
]
Digest = Annotated[str, Meta(description="Version of the model: the digest of its bundle, 64 hexadecimal digits")]
KindName = Annotated[
    str,
    Meta(
        description="What the model predicts: `regression` (numbers), `classification` (labels) or `decision` (actions)"
    ),
]
AdaptationId = Annotated[str, Meta(description="Id of the adaptation, 32 hexadecimal digits")]


class RequestBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What a client sends. The server refuses unknown fields and `null`: leave such a field out."""


class ResponseBody(msgspec.Struct, kw_only=True):
    """What a client receives. A field that does not apply is left out."""


class RawArray(RequestBody):
    """An array as raw bytes in row-major order, instead of nested lists. In msgpack it is smaller and faster."""

    shape: Annotated[
        list[Annotated[int, Meta(ge=0)]],
        Meta(
            description="Length of each axis: [rows, columns], [rows] if a row is a single number, or [rows, ...] with "
            "the model's `shape`",
            min_length=1,
            max_length=4,
        ),
    ]
    data: Annotated[bytes, Meta(description="The numbers as little-endian bytes: binary in msgpack, base64 in JSON")]
    dtype: Annotated[
        Literal[
            "float32",
            "float64",
            "float16",
            "int8",
            "int16",
            "int32",
            "int64",
            "uint8",
            "uint16",
            "uint32",
            "uint64",
            "bool",
        ],
        Meta(
            description="Type of each number in `data`, as numpy names it: `float32` has 4 bytes, `int64` 8 and `bool` "
            "1. The default is `float32`"
        ),
    ] = "float32"

    def __len__(self) -> int:
        """The number of rows."""
        return self.shape[0]


ActionValues = (
    Annotated[list[Any], Meta(min_length=1, extra_json_schema={"items": {"anyOf": [{"type": "number"}, _NUMBERS]}})]
    | RawArray
)
PerStep = Annotated[list[float], Meta(min_length=1)] | RawArray


class Episode(RequestBody):
    """One episode: the observations, the actions taken and, optionally, their rewards and propensities.

    Episodes of a request may differ in length. All of them have rewards, or none has; the same holds for propensities.
    """

    observations: Annotated[Inputs | RawArray, Meta(description="[step][number]: the observation before each action")]
    actions: Annotated[
        ActionValues,
        Meta(
            description="One action for each observation: [step] with its number, counted from 0, if actions are "
            "`discrete`; [step][number] if they are a `box`"
        ),
    ]
    rewards: (
        Annotated[
            PerStep,
            Meta(
                description="[step]: the reward of each action; actions that earned more than expected become more "
                "probable. Without it, the actions are imitated"
            ),
        ]
        | UnsetType
    ) = UNSET
    propensities: (
        Annotated[
            PerStep,
            Meta(
                description="[step]: the probability with which another policy chose each action (for a `box`, the "
                "density), to correct for that policy. Without it, nothing is corrected"
            ),
        ]
        | UnsetType
    ) = UNSET


class Support(RequestBody):
    """The examples to adapt to.

    Regression and classification: `inputs` and `targets`, or `rows` that have both. Decisions: `episodes`. Examples may
    have `weights`; a support set of labelled examples may name its classes in `labels`.
    """

    inputs: (
        Annotated[
            Inputs | RawArray,
            Meta(
                description="[example][number], or an image or an object with columns for each example: the inputs. "
                "Required for regression and classification, unless you send `rows`"
            ),
        ]
        | UnsetType
    ) = UNSET
    targets: (
        Annotated[
            Targets | RawArray,
            Meta(
                description="One target for each input. Regression: [example][number], or [example] if a target is a "
                "single number. Classification: [example] with labels: strings, integers or "
                'booleans. `1`, `true` and `"1"` are three labels'
            ),
        ]
        | UnsetType
    ) = UNSET
    weights: (
        Annotated[
            Annotated[list[float], Meta(min_length=1)] | RawArray,
            Meta(
                description="[example]: how much each example counts, at least 0. Without `weights`, each counts once. "
                "At least one must be above 0. 0 leaves the example out, 2 counts it twice. Not for decisions"
            ),
        ]
        | UnsetType
    ) = UNSET
    labels: (
        Annotated[
            Classes | RawArray,
            Meta(
                description="Classification only: the classes, each once, also those that have no example yet. All "
                "labels in `targets` are in it; if you add examples, you may leave out the classes that the adaptation "
                "has already. Without it, the classes are those of the examples"
            ),
        ]
        | UnsetType
    ) = UNSET
    rows: (
        Annotated[
            list[dict[str, Any]],
            Meta(
                description="[example]: an object with the columns of the input and of the target, in any order, "
                "instead of `inputs` and `targets`. For models whose inputs have columns with names; "
                "`GET /models/{name}` lists them, and under `target_columns` the targets",
                min_length=1,
            ),
        ]
        | UnsetType
    ) = UNSET
    episodes: (
        Annotated[
            list[Episode],
            Meta(
                description="[episode]: the episodes; required for decisions. The episodes of a request form a stage: "
                "its inner steps start from the weights after the previous stage",
                min_length=1,
            ),
        ]
        | UnsetType
    ) = UNSET


class AdaptRequest(RequestBody):
    """A model, and the support set to adapt it to."""

    model: Annotated[str, Meta(description="Name of the model; `GET /models` lists the models")]
    support: Annotated[Support, Meta(description="The examples to adapt to")]
    steps: Steps | UnsetType = UNSET
    learning_rate: Rate | UnsetType = UNSET
    ttl_s: (
        Annotated[
            int,
            Meta(
                description="Seconds until the adaptation expires. Without it, the server's default applies: a day, "
                "unless configured otherwise",
                ge=1,
            ),
        ]
        | UnsetType
    ) = UNSET
    label: (
        Annotated[
            str,
            Meta(
                description="Your own name for the adaptation; `GET /adaptations` finds adaptations by it. Several may "
                "have the same label",
                max_length=200,
            ),
        ]
        | UnsetType
    ) = UNSET
    assess: (
        Annotated[
            Literal["leave_one_out", "k_fold"],
            Meta(
                description="Measure whether adapting helps, by predicting examples that are left out. "
                "`leave_one_out` leaves out one example at a time, `k_fold` a tenth of the examples; above 64 "
                "examples both leave out a tenth. Without it, nothing is measured. Not for decisions"
            ),
        ]
        | UnsetType
    ) = UNSET
    reuse: Annotated[
        bool,
        Meta(
            description="Return the adaptation that an earlier request with `reuse` and the same content created, if "
            "there is one, instead of creating another"
        ),
    ] = False
    pinned: (
        Annotated[
            bool,
            Meta(
                description="`true` keeps the adaptation on this version of the model when a newer one replaces it; "
                "`false` adapts the newer one. Without it, the server's default applies: `false`, unless configured "
                "otherwise"
            ),
        ]
        | UnsetType
    ) = UNSET


class PredictRequest(RequestBody):
    """The queries, and the adaptation or model that answers them.

    Send `adaptation_id` to use an adaptation. Send `model` and `support` to adapt and predict in one call, which stores
    nothing. Send `model` alone to use the initialization, for comparison.
    """

    queries: Annotated[
        Inputs | RawArray,
        Meta(
            description="[query][number], or an image or an object with columns for each query: the inputs to predict"
        ),
    ]
    adaptation_id: (
        Annotated[str, Meta(description="Id of the adaptation that answers. Send either this or `model`")] | UnsetType
    ) = UNSET
    model: (
        Annotated[
            str,
            Meta(
                description="Name of the model that answers, after adapting to `support` if there is one. Send either "
                "this or `adaptation_id`"
            ),
        ]
        | UnsetType
    ) = UNSET
    support: (
        Annotated[
            Support,
            Meta(description="The examples to adapt `model` to. Without it, the initialization answers"),
        ]
        | UnsetType
    ) = UNSET
    steps: Steps | UnsetType = UNSET
    learning_rate: Rate | UnsetType = UNSET
    pinned: (
        Annotated[
            bool,
            Meta(
                description="Only with `adaptation_id`: `true` predicts with the version of the model that the "
                "adaptation was made with, if the server still has it; `false` predicts with the newest version. "
                "Without it, `pinned` of the adaptation applies"
            ),
        ]
        | UnsetType
    ) = UNSET
    interval: (
        Annotated[
            float,
            Meta(
                description="Regression only: the share of true values that lie between `lower` and `upper`, such as "
                "0.9. The model's `intervals` has the limits. Without it, the answer has no `lower` and `upper`",
                gt=0,
                lt=1,
            ),
        ]
        | UnsetType
    ) = UNSET
    sample: Annotated[
        bool,
        Meta(
            description="Decisions only: `true` draws actions from the policy; `false` takes the most probable action, "
            "or the mean if actions are a `box`"
        ),
    ] = False
    seed: (
        Annotated[
            int,
            Meta(
                description="Seed of the draws, with `sample`. A draw depends only on the seed and on the position of "
                "its query. Without it, the draws differ each time",
                ge=0,
                le=2**63 - 1,
            ),
        ]
        | UnsetType
    ) = UNSET


class Quality(ResponseBody):
    """Whether adapting helps, measured on examples that were left out and predicted by an adaptation to the others.

    Errors are squared errors for regression and cross-entropies in nats for classification. The error of an example is
    null if the inner loop diverged when it was left out, if it is the only one of its class, or if its weight is 0.
    """

    method: Annotated[
        str,
        Meta(
            description="`leave_one_out`: each example was left out alone. `k_fold`: a tenth of the examples was left "
            "out at a time"
        ),
    ]
    folds: Annotated[int, Meta(description="Number of adaptations that were made, each without some of the examples")]
    error: Annotated[float | None, Meta(description="Mean of `errors`, by the weights; null if none is known")]
    initial_error: Annotated[
        float | None,
        Meta(
            description="Mean error of the initialization on the same examples, to compare with `error`. For a "
            "classifier, the error of guessing evenly among the classes"
        ),
    ]
    errors: Annotated[list[float | None], Meta(description="[example]: error of each example, in the posted order")]
    helped: Annotated[
        bool | None,
        Meta(
            description="Whether adapting lowers the error; null if the difference is not significant (sign test at "
            "5 %, which needs at least 5 examples)"
        ),
    ]
    unlike_training: Annotated[
        bool | None,
        Meta(
            description="Regression only: whether the support set is unlike those of training; null if unknown. "
            "`innerloop calibrate` adds the statistics that this needs"
        ),
    ]
    worst_example: Annotated[
        int | None, Meta(description="Position of the example with the largest error, counted from 0")
    ]
    message: Annotated[str, Meta(description="The result in words")]
    accuracy: (
        Annotated[
            float,
            Meta(
                description="Classification only: share of the examples whose label was predicted, among those with a "
                "known error"
            ),
        ]
        | UnsetType
    ) = UNSET


class AdaptResponse(ResponseBody):
    """An adaptation: a model adapted to a support set, stored under an id."""

    adaptation_id: AdaptationId
    revision: Annotated[int, Meta(description="Number of the revision: 1 at first, and 1 more after each change")]
    model: Annotated[str, Meta(description="Name of the model")]
    model_digest: Digest
    kind: KindName
    support_size: Annotated[int, Meta(description="Number of examples; for decisions, of episodes")]
    examples: Annotated[
        ExampleNumbers,
        Meta(
            description="[example]: the number of each example, which identifies it, counted from 0. The numbers of "
            "removed examples are not used again"
        ),
    ]
    steps: Annotated[int, Meta(description="Number of inner steps; for decisions, in each stage")]
    learning_rate: Annotated[
        float,
        Meta(description="Inner learning rate. Models that have learned rates or adapt in closed form ignore it"),
    ]
    losses: Annotated[
        Losses,
        Meta(
            description="[step]: the support loss before the first step and after each step; for decisions, of the "
            "last stage. Null if not finite"
        ),
    ]
    status: Annotated[
        str,
        Meta(
            description="`improved`: the support loss fell. `no_progress`: the support loss did not fall. `diverged` "
            "and `not_finite`: the inner loop diverged after an example was deleted; predictions get a 422 until you "
            "change the examples again"
        ),
    ]
    message: Annotated[str, Meta(description="The status in words")]
    created_at: Annotated[Time, Meta(description="Time of creation, RFC 3339 in UTC")]
    expires_at: Annotated[Time, Meta(description="Time when the adaptation expires, RFC 3339 in UTC")]
    label: Annotated[str, Meta(description="Your name for the adaptation, if you gave one")] | UnsetType = UNSET
    labels: (
        Annotated[
            Labels,
            Meta(
                description="Classification only: the classes, in the order of `labels` of the support set, or else of "
                "their first example"
            ),
        ]
        | UnsetType
    ) = UNSET
    pinned: (
        Annotated[
            bool,
            Meta(description="`true` if the adaptation stays on this version of the model; left out otherwise"),
        ]
        | UnsetType
    ) = UNSET
    quality: (
        Annotated[
            Quality,
            Meta(description="Whether adapting helped, if the request had `assess`; left out after any later change"),
        ]
        | UnsetType
    ) = UNSET
    lineage: (
        Annotated[
            list[str],
            Meta(
                description="Digests of the earlier versions of the model that the adaptation was made with, the "
                "oldest first"
            ),
        ]
        | UnsetType
    ) = UNSET
    change: (
        Annotated[
            str,
            Meta(
                description="What the request changed, in words; only in the answers to deleting an example and to undo"
            ),
        ]
        | UnsetType
    ) = UNSET


class AdaptationList(ResponseBody):
    """A page of adaptations that have not expired, newest first."""

    adaptations: Annotated[list[AdaptResponse], Meta(description="The adaptations, newest first")]
    next: Annotated[str, Meta(description="`cursor` of the next page; left out on the last page")] | UnsetType = UNSET


class RevisionView(ResponseBody):
    """A revision of an adaptation, with the change that made it."""

    revision: Annotated[int, Meta(description="Number of the revision, counted from 1")]
    change: Annotated[
        str,
        Meta(
            description="`adapted`: created. `extended`: examples were added. `forgot`: an example was deleted. "
            "`undone`: the examples that were added last were removed. `rederived`: adapted again on a newer version "
            "of the model"
        ),
    ]
    support_size: Annotated[int, Meta(description="Number of examples after the change; for decisions, of episodes")]
    model_digest: Digest
    at: Annotated[Time, Meta(description="Time of the change, RFC 3339 in UTC")]
    added: Annotated[
        list[int], Meta(description="Numbers of the examples that the change added, without those removed since")
    ]
    forgotten: Annotated[int, Meta(description="Number of the deleted example; only for `forgot`")] | UnsetType = UNSET


class History(ResponseBody):
    """All revisions of an adaptation."""

    adaptation_id: AdaptationId
    revisions: Annotated[list[RevisionView], Meta(description="The revisions, oldest first")]


class SupportView(ResponseBody):
    """The examples of an adaptation: `inputs` and `targets`, or `episodes` for decisions."""

    adaptation_id: AdaptationId
    revision: Annotated[int, Meta(description="Number of the revision that has these examples")]
    examples: Annotated[
        list[int],
        Meta(description="[example]: the number of each example, in the order of `inputs` or `episodes`"),
    ]
    inputs: (
        Annotated[
            ShownInputs,
            Meta(
                description="[example]: the inputs as they were posted. Numbers and pixels are flat rows, rows of a "
                "table are objects, and images are files in base64, without metadata and at most 512 pixels a side"
            ),
        ]
        | UnsetType
    ) = UNSET
    targets: (
        Annotated[
            Any,
            Meta(
                description="[example][number] for regression, [example] with labels for classification",
                extra_json_schema={"type": "array", "items": {"anyOf": [_NUMBERS, {"type": "string"}]}},
            ),
        ]
        | UnsetType
    ) = UNSET
    weights: (
        Annotated[Numbers, Meta(description="[example]: the weights, if some were posted and are not 1")] | UnsetType
    ) = UNSET
    labels: (
        Annotated[Labels, Meta(description="Classification only: the classes, if `labels` were posted")] | UnsetType
    ) = UNSET
    episodes: Annotated[list["EpisodeView"], Meta(description="[episode]: the episodes, for decisions")] | UnsetType = (
        UNSET
    )


class EpisodeView(ResponseBody):
    """An episode of an adaptation, as it was posted."""

    stage: Annotated[int, Meta(description="Number of the stage of the episode: that of the revision that added it")]
    observations: Annotated[ShownInputs, Meta(description="[step][number]: the observation before each action")]
    actions: Annotated[
        Any,
        Meta(
            description="[step] with the number of each action, or [step][number] if actions are a `box`",
            extra_json_schema={"type": "array", "items": {"anyOf": [{"type": "number"}, _NUMBERS]}},
        ),
    ]
    rewards: (
        Annotated[Numbers, Meta(description="[step]: the reward of each action, if rewards were posted")] | UnsetType
    ) = UNSET
    propensities: (
        Annotated[
            Numbers, Meta(description="[step]: the probability or density of each action, if propensities were posted")
        ]
        | UnsetType
    ) = UNSET


class Step(ResponseBody):
    """The event `step` of a stream: a support loss as soon as it is known."""

    step: Annotated[int, Meta(description="Number of steps taken: 0 before the first step")]
    loss: Annotated[float | None, Meta(description="Support loss after these steps; null if not finite")]


class PredictResponse(ResponseBody):
    """The predictions, and the model that made them. In msgpack, each array of numbers is a `RawArray`."""

    predictions: Annotated[
        Any,
        Meta(
            description="One prediction for each query. Regression: [query][number]. Classification: [query], the most "
            "probable label. Decisions: [query], the number of an action, or [query][number] if actions are a `box`",
            extra_json_schema={
                "type": "array",
                "items": {"anyOf": [_NUMBERS, {"type": "string"}, {"type": "integer"}]},
            },
        ),
    ]
    model: Annotated[str, Meta(description="Name of the model that made the predictions")]
    model_digest: Digest
    labels: (
        Annotated[Labels, Meta(description="Classification only: the classes, in the order of `probabilities`")]
        | UnsetType
    ) = UNSET
    probabilities: (
        Annotated[
            Array,
            Meta(
                description="[query][label] for classification, [query][action] for `discrete` actions: how probable "
                "each is, from 0 to 1"
            ),
        ]
        | UnsetType
    ) = UNSET
    unlike: (
        Annotated[
            Any,
            Meta(
                description="[query]: `true` if the query is unlike every class of the support set, so that its "
                "label is a guess. Classification only; left out if the model has no calibration",
                extra_json_schema={"type": "array", "items": {"type": "boolean"}},
            ),
        ]
        | UnsetType
    ) = UNSET
    lower: (
        Annotated[Array, Meta(description="[query][number]: lower end of the interval, if the request had `interval`")]
        | UnsetType
    ) = UNSET
    upper: (
        Annotated[Array, Meta(description="[query][number]: upper end of the interval, if the request had `interval`")]
        | UnsetType
    ) = UNSET
    std: (
        Annotated[
            Array,
            Meta(
                description="[query][number]: standard deviation of each prediction, if the model's algorithm "
                "estimates it; for actions that are a `box`, the standard deviation of the policy"
            ),
        ]
        | UnsetType
    ) = UNSET
    mean: (
        Annotated[Array, Meta(description="[query][number]: mean of the policy, for actions that are a `box`")]
        | UnsetType
    ) = UNSET
    adaptation_id: (
        Annotated[str, Meta(description="Id of the adaptation that answered, if the request had one")] | UnsetType
    ) = UNSET
    revision: (
        Annotated[int, Meta(description="Revision of the adaptation that answered, if the request had one")] | UnsetType
    ) = UNSET
    losses: (
        Annotated[
            Losses,
            Meta(
                description="[step]: the support loss before the first step and after each step, if the request had "
                "`support`. Null if not finite"
            ),
        ]
        | UnsetType
    ) = UNSET
    status: (
        Annotated[
            str,
            Meta(
                description="`improved`: the support loss fell. `no_progress`: the support loss did not fall. Left out "
                "unless the request had `support`"
            ),
        ]
        | UnsetType
    ) = UNSET


class InnerLoopBounds(ResponseBody):
    """The steps and the learning rate of the inner loop: the defaults, and the limits of a request."""

    steps: Annotated[int, Meta(description="Number of inner steps if a request does not set `steps`")]
    max_steps: Annotated[int, Meta(description="Largest `steps` of a request")]
    learning_rate: (
        Annotated[
            float,
            Meta(
                description="Learning rate if a request does not set `learning_rate`; left out if the model has "
                "learned rates or adapts in closed form, so that a request cannot set it"
            ),
        ]
        | UnsetType
    ) = UNSET
    max_learning_rate: (
        Annotated[
            float,
            Meta(description="Largest `learning_rate` of a request; left out if a request cannot set it"),
        ]
        | UnsetType
    ) = UNSET


class ActionSpace(ResponseBody):
    """What an action of a decision model is."""

    form: Annotated[
        Literal["discrete", "box"],
        Meta(
            description="`discrete`: one of `count` actions, by its number, counted from 0. `box`: an array of numbers"
        ),
    ]
    count: Annotated[int, Meta(description="Number of actions; only for `discrete`")] | UnsetType = UNSET
    low: (
        Annotated[
            list[float],
            Meta(
                description="[number]: lower bound of each number of an action, only for `box`. Predictions without "
                "`sample` stay within the bounds"
            ),
        ]
        | UnsetType
    ) = UNSET
    high: (
        Annotated[
            list[float],
            Meta(
                description="[number]: upper bound of each number of an action, only for `box`. Predictions without "
                "`sample` stay within the bounds"
            ),
        ]
        | UnsetType
    ) = UNSET
    names: (
        Annotated[
            list[str],
            Meta(description="The name of each action, for `discrete`, or of each number of an action, for `box`"),
        ]
        | UnsetType
    ) = UNSET
    units: (
        Annotated[
            list[str | None],
            Meta(description="[number]: the unit of each number of an action; null where it has none, only for `box`"),
        ]
        | UnsetType
    ) = UNSET


class ModelSummary(ResponseBody, kw_only=True):
    """A model that the server serves, and the requests that it takes."""

    name: Annotated[str, Meta(description="Name of the model, for `model` in a request")]
    digest: Digest
    kind: KindName
    algorithm: Annotated[
        str,
        Meta(
            description="How the model adapts, such as `maml` (gradient steps on all parameters) or `protonet` (the "
            "mean embedding of each class)"
        ),
    ]
    features: Annotated[
        int, Meta(description="How many numbers an input has; for decisions, how many an observation has")
    ]
    targets: Annotated[
        int,
        Meta(
            description="Regression: how many numbers a target has. Classification: how many classes a training task "
            "has. Decisions: how many actions there are, or how many numbers an action of a `box` has"
        ),
    ]
    inner_loop: Annotated[InnerLoopBounds, Meta(description="Defaults and limits of `steps` and `learning_rate`")]
    compiled: Annotated[
        bool,
        Meta(
            description="Whether the model runs compiled, which is faster (for policies, only the prediction). "
            "Classifiers are never compiled"
        ),
    ]
    family: (
        Annotated[
            str,
            Meta(
                description="Family of tasks that the model was trained on; left out for weights imported without one"
            ),
        ]
        | UnsetType
    ) = UNSET
    shape: (
        Annotated[
            list[int],
            Meta(description="Shape that an input may be nested in, such as [28, 28]; left out if inputs are flat"),
        ]
        | UnsetType
    ) = UNSET
    max_classes: (
        Annotated[
            int,
            Meta(description="Classification only: the most classes in a support set; left out if there is no limit"),
        ]
        | UnsetType
    ) = UNSET
    image: (
        Annotated[
            str,
            Meta(
                description="How a PNG becomes an input. `ink`: shrunk to `shape`, where 0 is paper and 1 is ink. Left "
                "out if the model takes no images"
            ),
        ]
        | UnsetType
    ) = UNSET
    actions: Annotated[ActionSpace, Meta(description="Decisions only: what an action is")] | UnsetType = UNSET
    intervals: (
        Annotated[
            list[float],
            Meta(description="[smallest, largest] `interval` of a request; left out if the model has no intervals"),
        ]
        | UnsetType
    ) = UNSET


class ModelDetail(ModelSummary, kw_only=True):
    """A model that the server serves: what an input is, its scores and how it was trained."""

    inputs: Annotated[
        dict[str, Any],
        Meta(
            description="What an input is: `encoder`, the `shape` of its features, `columns` with name, type, unit and "
            "the range or the categories of training where they are known, and an `example` that the model takes. "
            "`ignore_extra`: whether other columns are ignored instead of refused, for a table"
        ),
    ]
    target_columns: (
        Annotated[
            list[dict[str, Any]],
            Meta(
                description="What each number of a target is, or the label: `name` (that of its column in `rows` and "
                "in a CSV), `type`, `unit`, and the range of training (`min`, `max`) where it is known. Targets, "
                "predictions, intervals and `std` are in this unit, losses and errors in its square. Left out for "
                "decisions"
            ),
        ]
        | UnsetType
    ) = UNSET
    example: Annotated[
        dict[str, Any],
        Meta(description="A body that `POST /predict` takes; without `queries`, `POST /adapt` takes it"),
    ]
    family_options: (
        Annotated[dict[str, Any], Meta(description="Options of the family, by name; left out without a family")]
        | UnsetType
    ) = UNSET
    evaluation: Annotated[
        dict[str, Any],
        Meta(description="Scores on held-out tasks, by number of examples and steps, with 95 % intervals"),
    ]
    training: Annotated[
        dict[str, Any], Meta(description="How the model was trained: recipe, command, device and versions")
    ]


class RefusedBundle(ResponseBody):
    """A bundle that the server cannot load, and the reason."""

    name: Annotated[str, Meta(description="Name of the bundle")]
    file: Annotated[str, Meta(description="File that is wrong, as a path in the models folder")]
    reason: Annotated[str, Meta(description="What is wrong with the file")]


class ModelList(ResponseBody):
    """The models that the server serves, and the bundles that it cannot load."""

    models: Annotated[list[ModelSummary], Meta(description="The models that the server serves")]
    refused: Annotated[
        list[RefusedBundle],
        Meta(description="Bundles that the server cannot load; an older version of one may still be among `models`"),
    ]


class Live(ResponseBody):
    """The server answers requests."""

    status: Annotated[str, Meta(description="Always `live`")]


class Ready(ResponseBody):
    """Whether the server can answer requests."""

    status: Annotated[
        str,
        Meta(
            description="`ready`, or `degraded` if some parts do not work. With status code 503: `no bundle is "
            "loaded`, `the store cannot be read` or `the worker does not answer`"
        ),
    ]
    device: Annotated[str, Meta(description="Device that computes: `cpu` or `cuda`")]
    models: Annotated[list[str], Meta(description="Names of the models that the server serves")]
    compiled: Annotated[
        bool,
        Meta(
            description="Whether every model runs compiled (for policies, only the prediction). Classifiers are never "
            "compiled and are left out"
        ),
    ]
    compiling: Annotated[bool, Meta(description="Whether a model is being compiled now, which slows requests down")]
    failing: (
        Annotated[
            dict[str, str],
            Meta(
                description="Background tasks that failed within the last minute and were started again: maps the "
                "name of each task to the reason. Left out if there are none"
            ),
        ]
        | UnsetType
    ) = UNSET
    degraded: (
        Annotated[
            dict[str, str],
            Meta(
                description="The parts that do not work: maps the name of each part (`store`, `disk`, `database`, "
                "`cache`, `compiler`, `worker`, `models`, `pinned`, `reload`, `watch`) to the reason and what to do. "
                "Left out if all parts work"
            ),
        ]
        | UnsetType
    ) = UNSET


class Problem(ResponseBody):
    """An error as a problem document (RFC 9457). `detail` names the field and the fix."""

    type: Annotated[
        str,
        Meta(
            description="Kind of error, such as `urn:problem-type:innerloop:invalid`; `about:blank` if the status code "
            "says enough"
        ),
    ]
    title: Annotated[str, Meta(description="Kind of error in words")]
    status: Annotated[int, Meta(description="Status code of the response")]
    detail: Annotated[str, Meta(description="What is wrong with this request, and how to fix it")]
    place: (
        Annotated[str, Meta(description="Path of the wrong field, such as `support.inputs[4]`, if it is one field")]
        | UnsetType
    ) = UNSET
    losses: (
        Annotated[
            Losses,
            Meta(
                description="[step]: the support loss before the first step and after each step, if the inner loop "
                "diverged. Null if not finite"
            ),
        ]
        | UnsetType
    ) = UNSET
    models: (
        Annotated[list[str], Meta(description="Names of the models that the server serves, if `model` is unknown")]
        | UnsetType
    ) = UNSET
