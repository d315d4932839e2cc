"""The wire: every body that a client sends or receives, as msgspec types. They also make the OpenAPI document.

msgspec decodes a small body five times as fast as pydantic (1.2 against 5.6 us for 10 examples), refuses booleans,
strings and nulls where numbers belong, and names the place. Descriptions do not slow it down: they are only read for
the document, which shows each of them alone.
"""

# the OpenAPI document has this order
# isort: off
from app.api.schemas.body_types import RequestBody, ResponseBody
from app.api.schemas.raw_array import RawArray
from app.api.schemas.support import ActionValues, PerStep, Episode, Support, MoreSupport
from app.api.schemas.requests import AdaptRequest, EditRequest, PredictRequest
from app.api.schemas.quality import Quality
from app.api.schemas.adaptations import AdaptResponse, AdaptationList, RevisionView, History
from app.api.schemas.support_view import SupportView, EpisodeView
from app.api.schemas.stream_events import Step
from app.api.schemas.predictions import PredictResponse
from app.api.schemas.proposals import ProposeRequest, Proposal, ProposeResponse
from app.api.schemas.models import InnerLoopBounds, ActionSpace, ModelSummary, ModelDetail, RefusedBundle, ModelList
from app.api.schemas.health import Live, Ready
from app.api.schemas.problem import Problem
# isort: on

__all__ = [
    "ActionSpace",
    "ActionValues",
    "AdaptRequest",
    "AdaptResponse",
    "AdaptationList",
    "EditRequest",
    "Episode",
    "EpisodeView",
    "History",
    "InnerLoopBounds",
    "Live",
    "ModelDetail",
    "ModelList",
    "ModelSummary",
    "MoreSupport",
    "PerStep",
    "PredictRequest",
    "PredictResponse",
    "Problem",
    "Proposal",
    "ProposeRequest",
    "ProposeResponse",
    "Quality",
    "RawArray",
    "Ready",
    "RefusedBundle",
    "RequestBody",
    "ResponseBody",
    "RevisionView",
    "Step",
    "Support",
    "SupportView",
]
