"""The models that the server serves."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from app.api.schemas.body_types import ResponseBody
from app.api.schemas.fields import Digest, KindName


class InnerLoopBounds(ResponseBody):
    """The steps and the learning rate of the inner loop: the defaults, and the limits of a request."""

    steps: Annotated[int, Meta(description="Number of inner steps if a request does not set `steps`")]
    max_steps: Annotated[int, Meta(description="Largest `steps` of a request")]
    learning_rate: (
        Annotated[
            float,
            Meta(
                description="Learning rate if a request does not set `learning_rate`; left out if the model has "
                "learned rates or adapts in closed form, so that a request cannot set it"
            ),
        ]
        | UnsetType
    ) = UNSET
    max_learning_rate: (
        Annotated[
            float,
            Meta(description="Largest `learning_rate` of a request; left out if a request cannot set it"),
        ]
        | UnsetType
    ) = UNSET


class ActionSpace(ResponseBody):
    """What an action of a decision model is."""

    form: Annotated[
        Literal["discrete", "box"],
        Meta(
            description="`discrete`: one of `count` actions, by its number, counted from 0. `box`: an array of numbers"
        ),
    ]
    count: Annotated[int, Meta(description="Number of actions; only for `discrete`")] | UnsetType = UNSET
    low: (
        Annotated[
            list[float],
            Meta(
                description="[number]: lower bound of each number of an action, only for `box`. Predictions without "
                "`sample` stay within the bounds"
            ),
        ]
        | UnsetType
    ) = UNSET
    high: (
        Annotated[
            list[float],
            Meta(
                description="[number]: upper bound of each number of an action, only for `box`. Predictions without "
                "`sample` stay within the bounds"
            ),
        ]
        | UnsetType
    ) = UNSET
    names: (
        Annotated[
            list[str],
            Meta(description="The name of each action, for `discrete`, or of each number of an action, for `box`"),
        ]
        | UnsetType
    ) = UNSET
    units: (
        Annotated[
            list[str | None],
            Meta(description="[number]: the unit of each number of an action; null where it has none, only for `box`"),
        ]
        | UnsetType
    ) = UNSET


class ModelSummary(ResponseBody, kw_only=True):
    """A model that the server serves, and the requests that it takes."""

    name: Annotated[str, Meta(description="Name of the model, for `model` in a request")]
    digest: Digest
    kind: KindName
    algorithm: Annotated[
        str,
        Meta(
            description="How the model adapts, such as `maml` (gradient steps on all parameters) or `protonet` (the "
            "network turns inputs into embeddings, and a query gets the class whose mean embedding is nearest)"
        ),
    ]
    features: Annotated[
        int, Meta(description="How many numbers an input has; for decisions, how many an observation has")
    ]
    targets: Annotated[
        int,
        Meta(
            description="Regression: how many numbers a target has. Classification: how many classes a training task "
            "has. Decisions: how many actions there are, or how many numbers an action of a `box` has"
        ),
    ]
    inner_loop: Annotated[InnerLoopBounds, Meta(description="Defaults and limits of `steps` and `learning_rate`")]
    compiled: Annotated[
        bool,
        Meta(
            description="Whether the model runs compiled, which is faster (for policies, only the prediction). "
            "Classifiers are never compiled"
        ),
    ]
    family: (
        Annotated[
            str,
            Meta(
                description="Family of tasks that the model was trained on; left out for weights imported without one"
            ),
        ]
        | UnsetType
    ) = UNSET
    shape: (
        Annotated[
            list[int],
            Meta(description="Shape that an input may be nested in, such as [28, 28]; left out if inputs are flat"),
        ]
        | UnsetType
    ) = UNSET
    max_classes: (
        Annotated[
            int,
            Meta(description="Classification only: the most classes in a support set; left out if there is no limit"),
        ]
        | UnsetType
    ) = UNSET
    image: (
        Annotated[
            str,
            Meta(
                description="How a PNG becomes an input. `ink`: shrunk to `shape`, where 0 is paper and 1 is ink. Left "
                "out if the model takes no images"
            ),
        ]
        | UnsetType
    ) = UNSET
    actions: Annotated[ActionSpace, Meta(description="Decisions only: what an action is")] | UnsetType = UNSET
    label_names: (
        Annotated[
            bool,
            Meta(
                description="Whether the words of each label count as one more example of its class if a request does "
                "not set `label_names`; left out if the inputs are no texts"
            ),
        ]
        | UnsetType
    ) = UNSET
    intervals: (
        Annotated[
            list[float],
            Meta(description="[smallest, largest] `interval` of a request; left out if the model has no intervals"),
        ]
        | UnsetType
    ) = UNSET


class ModelDetail(ModelSummary, kw_only=True):
    """A model that the server serves: what an input is, its scores and how it was trained."""

    inputs: Annotated[
        dict[str, Any],
        Meta(
            description="What an input is: `encoder`, the `shape` of its features, `columns` with name, type, unit and "
            "the range or the categories of training where they are known, and an `example` that the model takes. "
            "`ignore_extra`: whether other columns are ignored instead of refused, for a table. `scale`: true if the "
            "model standardises numbers"
        ),
    ]
    target_columns: (
        Annotated[
            list[dict[str, Any]],
            Meta(
                description="What each number of a target is, or the label: `name` (that of its column in `rows` and "
                "in a CSV), `type`, `unit`, and the range of training (`min`, `max`) where it is known. Targets, "
                "predictions, intervals and `std` are in this unit, losses and errors in its square. Left out for "
                "decisions"
            ),
        ]
        | UnsetType
    ) = UNSET
    example: Annotated[
        dict[str, Any],
        Meta(description="A body that `POST /predict` takes; without `queries`, `POST /adapt` takes it"),
    ]
    family_options: (
        Annotated[dict[str, Any], Meta(description="Options of the family, by name; left out without a family")]
        | UnsetType
    ) = UNSET
    evaluation: Annotated[
        dict[str, Any],
        Meta(description="Scores on held-out tasks, by number of examples and steps, with 95 % intervals"),
    ]
    training: Annotated[
        dict[str, Any], Meta(description="How the model was trained: recipe, command, device and versions")
    ]


class RefusedBundle(ResponseBody):
    """A bundle that the server cannot load, and the reason."""

    name: Annotated[str, Meta(description="Name of the bundle")]
    file: Annotated[str, Meta(description="File that is wrong, as a path in the models folder")]
    reason: Annotated[str, Meta(description="What is wrong with the file")]


class ModelList(ResponseBody):
    """The models that the server serves, and the bundles that it cannot load."""

    models: Annotated[list[ModelSummary], Meta(description="The models that the server serves")]
    refused: Annotated[
        list[RefusedBundle],
        Meta(description="Bundles that the server cannot load; an older version of one may still be among `models`"),
    ]
