"""What the commands read of a server's answers. Another server's answer, of other fields or types, is an error."""

from typing import Annotated, Any, NotRequired, TypedDict

import httpx
import msgspec
from msgspec import Meta

from innerloop_client import UnexpectedAnswer
from innerloop_client.answers import decoded

Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[\w.-]+$")]
"""An id or the name of a model."""
Losses = Annotated[list[float | None], Meta(min_length=1)]


class Column(TypedDict):
    """A column of inputs or targets. name: None where columns have their order alone"""

    name: str | None


class TargetColumn(TypedDict):
    """A column of targets."""

    name: str


class Inputs(TypedDict):
    """What an input of a model is."""

    columns: list[Column]


class ListedModel(TypedDict):
    """A model in a list."""

    name: Name


class Models(TypedDict):
    """The models of a server."""

    models: list[ListedModel]


class Model(ListedModel):
    """What a model takes."""

    inputs: Inputs
    target_columns: NotRequired[list[TargetColumn]]


class Quality(TypedDict):
    """Whether adapting helps."""

    message: str


class Listed(TypedDict):
    """An adaptation in a list."""

    adaptation_id: Name
    model: Name
    label: NotRequired[str]
    support_size: int
    revision: int
    status: str
    expires_at: str


class Listing(TypedDict):
    """A page of adaptations."""

    adaptations: list[Listed]
    next: NotRequired[str | None]


class Adaptation(Listed):
    """An adaptation."""

    model_digest: str
    pinned: NotRequired[bool]
    labels: NotRequired[list[Any]]
    kind: str
    examples: list[int]
    steps: int
    losses: Losses
    message: str
    quality: NotRequired[Quality]
    created_at: str
    lineage: NotRequired[list[str]]


class Revision(TypedDict):
    """A change of an adaptation."""

    revision: int
    at: str
    change: str
    support_size: int
    forgotten: NotRequired[int]
    added: NotRequired[list[int]]


class History(TypedDict):
    """The revisions of an adaptation."""

    revisions: list[Revision]


class Support(TypedDict):
    """The examples of an adaptation."""

    examples: list[int]
    episodes: NotRequired[list[dict[str, Any]]]
    inputs: NotRequired[list[Any]]
    targets: NotRequired[list[Any]]


class Predictions(TypedDict):
    """Predictions in JSON."""

    predictions: list[Any]


def body_of(response: httpx.Response, form: type) -> Any:
    """The decoded body of an answer. Raises UnexpectedAnswer if it lacks what `form` has."""
    body = decoded(response)
    try:
        msgspec.convert(body, form)
    except msgspec.ValidationError as error:
        url = response.url.copy_with(userinfo=b"")
        raise UnexpectedAnswer(
            f"{url}: expected an answer from Innerloop, got another ({error}): check the URL"
        ) from error
    return body
