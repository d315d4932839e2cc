"""Errors."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from app.api.schemas.body_types import ResponseBody
from app.api.schemas.fields import Digest, Losses


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
    model_digest: Digest | UnsetType = UNSET
