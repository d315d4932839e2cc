"""The examples of an adaptation, as the server returns them."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from app.api.schemas.body_types import ResponseBody
from app.api.schemas.fields import LABEL, NUMBERS, AdaptationId, Labels, Numbers, ShownInputs


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
                extra_json_schema={"type": "array", "items": {"anyOf": [NUMBERS, LABEL]}},
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
            extra_json_schema={"type": "array", "items": {"anyOf": [{"type": "number"}, NUMBERS]}},
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
