"""Whether the server works."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from app.api.schemas.body_types import ResponseBody


class Live(ResponseBody):
    """The server answers requests."""

    status: Annotated[str, Meta(description="Always `live`")]


class Ready(ResponseBody):
    """Whether the server can answer requests."""

    status: Annotated[
        str,
        Meta(
            description="`ready`, or `degraded` if some parts do not work. With status code 503: `no bundle is "
            "loaded`, `the store cannot be read` or `the worker does not answer`"
        ),
    ]
    device: Annotated[str, Meta(description="Device that computes: `cpu` or `cuda`")]
    models: Annotated[list[str], Meta(description="Names of the models that the server serves")]
    compiled: Annotated[
        bool,
        Meta(
            description="Whether every model runs compiled (for policies, only the prediction). Classifiers are never "
            "compiled and are left out"
        ),
    ]
    compiling: Annotated[bool, Meta(description="Whether a model is being compiled now, which slows requests down")]
    failing: (
        Annotated[
            dict[str, str],
            Meta(
                description="Background tasks that failed within the last minute and were started again: maps the "
                "name of each task to the reason. Left out if there are none"
            ),
        ]
        | UnsetType
    ) = UNSET
    degraded: (
        Annotated[
            dict[str, str],
            Meta(
                description="The parts that do not work: maps the name of each part (`store`, `disk`, `database`, "
                "`cache`, `compiler`, `worker`, `models`, `pinned`, `reload`, `watch`) to the reason and what to do. "
                "Left out if all parts work"
            ),
        ]
        | UnsetType
    ) = UNSET
