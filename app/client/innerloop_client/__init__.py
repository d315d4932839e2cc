"""The Python client of Innerloop, the server for models that learn from a handful of examples.

    with Client() as innerloop:
        pump = innerloop.adapt("sinusoid", x, y, label="pump 17")
        pump.predict(queries)

`AsyncClient` has the same methods for asyncio.
"""

from innerloop_client.adapt_request import Task
from innerloop_client.adaptation import Adaptation, AsyncAdaptation
from innerloop_client.client import AsyncClient, Client
from innerloop_client.descriptions import Health, Model, Quality, RefusedBundle, Revision
from innerloop_client.errors import (
    Conflict,
    ConnectionFailed,
    DeadlinePassed,
    Diverged,
    Expired,
    FileNotWritten,
    InnerloopError,
    InvalidRequest,
    MissingExtra,
    NotFound,
    OtherVersion,
    Overloaded,
    QuotaExceeded,
    ServerError,
    Unauthorized,
    UnexpectedAnswer,
    UnsupportedInput,
)
from innerloop_client.policy import AsyncPolicy, Policy, PolicyRun
from innerloop_client.prediction import Prediction
from innerloop_client.proposals import Proposal
from innerloop_client.streams import AdaptStream, AsyncAdaptStream

__version__ = "0.2.0.dev0"

__all__ = [
    "AdaptStream",
    "Adaptation",
    "AsyncAdaptStream",
    "AsyncAdaptation",
    "AsyncClient",
    "AsyncPolicy",
    "Client",
    "Conflict",
    "ConnectionFailed",
    "DeadlinePassed",
    "Diverged",
    "Expired",
    "FileNotWritten",
    "Health",
    "InnerloopError",
    "InvalidRequest",
    "MissingExtra",
    "Model",
    "NotFound",
    "OtherVersion",
    "Overloaded",
    "Policy",
    "PolicyRun",
    "Prediction",
    "Proposal",
    "Quality",
    "QuotaExceeded",
    "RefusedBundle",
    "Revision",
    "ServerError",
    "Task",
    "Unauthorized",
    "UnexpectedAnswer",
    "UnsupportedInput",
]
