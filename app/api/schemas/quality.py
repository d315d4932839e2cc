"""The result of cross-validation."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from app.api.schemas.body_types import ResponseBody


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
            description="Whether the support set is unlike the support sets of training. Regression: whether more than "
            "1 % of the inputs lie outside of training's range, or the error on examples left out is larger than in "
            "98 % of training tasks. Classifier of images: whether more than 1 % of the images do not look like the "
            "images of training. Of fewer than 100 examples with equal weights, one such input or image is enough. "
            "Null for a classifier of numbers, and for a bundle without the statistics for this comparison: "
            "`innerloop calibrate` adds them"
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
