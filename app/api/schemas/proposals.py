"""The body and the answer of `POST /propose`."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from app.api.schemas.body_types import RequestBody, ResponseBody
from app.api.schemas.fields import (
    LABEL,
    NUMBERS,
    CutExamples,
    Digest,
    ExampleNumbers,
    Inputs,
    LabelNames,
    Losses,
    Numbers,
    Rate,
    Steps,
    WantedDigest,
)
from app.api.schemas.raw_array import RawArray
from app.api.schemas.support import Support


class ProposeRequest(RequestBody):
    """The candidates, and the adaptation or model that chooses among them.

    Send `adaptation_id` to use an adaptation. Send `model` and `support` to adapt in the same call, which stores
    nothing. Send `model` alone to use the initialization.
    """

    candidates: Annotated[
        Inputs | RawArray,
        Meta(
            description="[candidate][number], or an image or an object with columns for each candidate: the inputs "
            "whose targets you could measure or label next"
        ),
    ]
    count: Annotated[int, Meta(description="How many of the candidates to propose", ge=1)]
    goal: Annotated[
        Literal["learn", "maximize", "minimize"],
        Meta(
            description="`learn` proposes the candidates whose targets teach the model most. `maximize` and `minimize` "
            "look for the candidate with the largest or smallest target; for labels, for those most or least likely to "
            "have the label `target`"
        ),
    ]
    target: (
        Annotated[
            str | int | bool,
            Meta(
                description="If the model predicts several numbers: the one that matters, by its index from 0 or its "
                "name in `target_columns`; `learn` can do without. If the model predicts labels: the label to look "
                "for; not with `learn`"
            ),
        ]
        | UnsetType
    ) = UNSET
    adaptation_id: (
        Annotated[str, Meta(description="Id of the adaptation that chooses. Send either this or `model`")] | UnsetType
    ) = UNSET
    model: (
        Annotated[
            str,
            Meta(
                description="Name of the model that chooses, after adapting to `support` if there is one. Send either "
                "this or `adaptation_id`"
            ),
        ]
        | UnsetType
    ) = UNSET
    support: (
        Annotated[
            Support,
            Meta(description="The examples to adapt `model` to. Without it, the initialization chooses"),
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
                description="Only with `adaptation_id`: `true` uses the version of the model that the adaptation was "
                "made with, if the server still has it; `false` uses the newest version. Without it, `pinned` of the "
                "adaptation applies"
            ),
        ]
        | UnsetType
    ) = UNSET
    model_digest: WantedDigest | UnsetType = UNSET


class Proposal(ResponseBody):
    """A candidate to measure or label next."""

    index: Annotated[int, Meta(description="Which of the candidates, counted from 0")]
    score: Annotated[
        float,
        Meta(
            description="How much the candidate is worth, as if the proposals before it had been measured: larger is "
            "better. Compare scores within one answer only. Numbers: for `learn` the standard deviation, otherwise the "
            "logarithm of the expected improvement over the best example. Labels: for `learn` the distance from the "
            "nearest example or earlier proposal, weighted by the entropy of the probabilities; otherwise the "
            "probability that the candidate has the label (`maximize`) or has it not (`minimize`)"
        ),
    ]
    prediction: Annotated[
        Any,
        Meta(
            description="What `POST /predict` predicts for the candidate: [number], or the most probable label",
            extra_json_schema={"anyOf": [NUMBERS, LABEL]},
        ),
    ]
    std: (
        Annotated[
            Numbers,
            Meta(
                description="[number]: standard deviation of the prediction, before any of the proposals is measured. "
                "Left out for labels"
            ),
        ]
        | UnsetType
    ) = UNSET
    nearest_example: (
        Annotated[
            int,
            Meta(
                description="The example nearest to the candidate: its number in the adaptation, or its row in "
                "`support`. Left out if there are no examples"
            ),
        ]
        | UnsetType
    ) = UNSET
    unlike: (
        Annotated[
            bool,
            Meta(
                description="`true` if the prediction is a guess, as in the answer of `POST /predict`. Left out if the "
                "model has nothing to compare candidates with"
            ),
        ]
        | UnsetType
    ) = UNSET


class ProposeResponse(ResponseBody):
    """The proposals, and the model that made them. In msgpack, each array of numbers is a `RawArray`."""

    proposals: Annotated[list[Proposal], Meta(description="The proposals, in the order in which to measure them")]
    model: Annotated[str, Meta(description="Name of the model that made the proposals")]
    model_digest: Digest
    adaptation_id: (
        Annotated[str, Meta(description="Id of the adaptation that chose, if the request had one")] | UnsetType
    ) = UNSET
    revision: (
        Annotated[int, Meta(description="Revision of the adaptation that chose, if the request had one")] | UnsetType
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
    cut_candidates: (
        Annotated[
            ExampleNumbers,
            Meta(
                description="The numbers of the candidates, counted from 0, that are longer than the `max_tokens` of "
                "the model's inputs: the model reads only their beginning. Left out if there are none"
            ),
        ]
        | UnsetType
    ) = UNSET
    cut_examples: CutExamples | UnsetType = UNSET
