"""The bodies of `POST /adapt` and `POST /predict`."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from app.api.schemas.body_types import RequestBody
from app.api.schemas.fields import Inputs, LabelNames, Rate, Steps, WantedDigest
from app.api.schemas.raw_array import RawArray
from app.api.schemas.support import Support


class AdaptRequest(RequestBody):
    """A model, and the support set to adapt it to."""

    model: Annotated[str, Meta(description="Name of the model; `GET /models` lists the models")]
    support: Annotated[Support, Meta(description="The examples to adapt to")]
    steps: Steps | UnsetType = UNSET
    learning_rate: Rate | UnsetType = UNSET
    label_names: LabelNames | UnsetType = UNSET
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
            "there is one, instead of creating another. The default is `false`"
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
    model_digest: WantedDigest | UnsetType = UNSET


class EditRequest(RequestBody):
    """What an adaptation is called, and when it expires. What is left out stays as it is."""

    label: Annotated[
        Annotated[str, Meta(max_length=200)] | UnsetType | None, Meta(description="The new label; `null` removes it")
    ] = UNSET
    ttl_s: (
        Annotated[int, Meta(description="Seconds from now until the adaptation expires, such as 86400 for a day", ge=1)]
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
    label_names: LabelNames | UnsetType = UNSET
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
            "or the mean if actions are a `box`. The default is `false`"
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
    model_digest: WantedDigest | UnsetType = UNSET
