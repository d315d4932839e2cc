"""The answer of `POST /predict`."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from app.api.schemas.body_types import ResponseBody
from app.api.schemas.fields import (
    LABEL,
    NUMBERS,
    Array,
    Bounds,
    CutExamples,
    Digest,
    ExampleNumbers,
    Labels,
    Losses,
    Numbers,
)


class PredictResponse(ResponseBody):
    """The predictions, and the model that made them. In msgpack, each array of numbers is a `RawArray`."""

    predictions: Annotated[
        Any,
        Meta(
            description="One prediction for each query. Regression: [query][number]. Classification: [query], the most "
            "probable label. Decisions: [query], the number of an action, or [query][number] if actions are a `box`",
            extra_json_schema={"type": "array", "items": {"anyOf": [NUMBERS, LABEL]}},
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
                description="[query]: `true` if the prediction is a guess. Classification: the query is unlike every "
                "class of the support set, or is an image unlike the images of training. Regression: a number of the "
                "query lies outside of its range in training, the query is far from every example, or more than 1 % of "
                "the support inputs lie outside of training's range (of fewer than 100 with equal weights, one is "
                "enough). Decisions: a number of the observation lies outside of its range in training. Left out if "
                "the model has nothing to compare queries with",
                extra_json_schema={"type": "array", "items": {"type": "boolean"}},
            ),
        ]
        | UnsetType
    ) = UNSET
    lower: (
        Annotated[
            Bounds,
            Meta(
                description="[query][number]: lower end of the interval, if the request had `interval`. Null for a "
                "query that is `unlike`"
            ),
        ]
        | UnsetType
    ) = UNSET
    upper: (
        Annotated[
            Bounds,
            Meta(
                description="[query][number]: upper end of the interval, if the request had `interval`. Null for a "
                "query that is `unlike`"
            ),
        ]
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
    similarity: (
        Annotated[
            Numbers,
            Meta(
                description="[query]: the largest cosine of the query to an example, or to the mean of a class, from "
                "-1 to 1, for models whose inputs are texts. `unlike` is true below a threshold"
            ),
        ]
        | UnsetType
    ) = UNSET
    nearest_examples: (
        Annotated[
            ExampleNumbers,
            Meta(
                description="[query]: the number of the example that is most like the query, for models whose inputs "
                "are texts. With `support` in the request, examples are counted from 0"
            ),
        ]
        | UnsetType
    ) = UNSET
    cut_queries: (
        Annotated[
            ExampleNumbers,
            Meta(
                description="The numbers of the queries, counted from 0, that are longer than the `max_tokens` of the "
                "model's inputs: the model reads only their beginning. Left out if there are none"
            ),
        ]
        | UnsetType
    ) = UNSET
    cut_examples: CutExamples | UnsetType = UNSET
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
