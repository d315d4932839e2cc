"""The events of a stream."""

from typing import Annotated

from msgspec import Meta

from app.api.schemas.body_types import ResponseBody


class Step(ResponseBody):
    """The event `step` of a stream: a support loss as soon as it is known."""

    step: Annotated[int, Meta(description="Number of steps taken: 0 before the first step")]
    loss: Annotated[float | None, Meta(description="Support loss after these steps; null if not finite")]
