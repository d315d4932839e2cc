"""The examples that a client sends."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from app.api.schemas.body_types import RequestBody
from app.api.schemas.fields import COLUMNS_REF, NUMBERS, Classes, Inputs, SupportInputs, Targets, WantedDigest
from app.api.schemas.raw_array import RawArray

ActionValues = (
    Annotated[list[Any], Meta(min_length=1, extra_json_schema={"items": {"anyOf": [{"type": "number"}, NUMBERS]}})]
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
            SupportInputs | RawArray,
            Meta(
                description="[example][number], or an image or an object with columns for each example: the inputs. "
                "Required for regression and classification, unless you send `rows` or only `labels`"
            ),
        ]
        | UnsetType
    ) = UNSET
    targets: (
        Annotated[
            Targets | RawArray,
            Meta(
                description="One target for each input. Regression: [example][number], or [example] if a target is a "
                "single number. Classification: [example] with labels: strings, whole "
                'numbers, or true and false. `1`, `true` and `"1"` are three labels'
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
                "has already. Without it, the classes are those of the examples. You can send `labels` alone, "
                "without any example, if the network has an output for each class, as in MAML, or if the algorithm is "
                "`ridge`"
            ),
        ]
        | UnsetType
    ) = UNSET
    rows: (
        Annotated[
            list[Annotated[dict[str, Any], Meta(extra_json_schema=COLUMNS_REF)]],
            Meta(
                description="[example]: an object with the columns of the input and of the target, in any order, "
                "instead of `inputs` and `targets`. For models whose inputs have columns with names; "
                "`GET /models/{name}` lists them, and under `target_columns` the targets",
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


class MoreSupport(Support):
    """The examples to add to an adaptation."""

    model_digest: WantedDigest | UnsetType = UNSET
