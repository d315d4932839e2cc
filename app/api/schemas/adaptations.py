"""Adaptations and their history."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from app.api.schemas.body_types import ResponseBody
from app.api.schemas.fields import AdaptationId, Digest, ExampleNumbers, KindName, Labels, Losses, Time
from app.api.schemas.quality import Quality


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
    label_names: (
        Annotated[
            bool,
            Meta(
                description="`true` if the words of each label count as one more example of its class, for models "
                "whose inputs are texts; left out otherwise"
            ),
        ]
        | UnsetType
    ) = UNSET
    cut_examples: (
        Annotated[
            ExampleNumbers,
            Meta(
                description="The numbers of the examples that are longer than the `max_tokens` of the model's inputs: "
                "the model reads only their beginning. Left out if there are none, and in lists of adaptations"
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
