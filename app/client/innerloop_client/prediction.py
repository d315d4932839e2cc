"""What `predict` returns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from innerloop_client.descriptions import check_expected
from innerloop_client.errors import shown
from innerloop_client.field_types import check_types
from innerloop_client.output_forms import (
    ACTIONS,
    LABELS,
    REALS,
    TRUTHS,
    Form,
    are_above,
    are_outside,
    lack_numbers,
    scalars,
    width,
)


@dataclass(frozen=True)
class Prediction:
    """Predictions and all that the server says beside them; None where it says nothing.

    Values have the form of the queries: lists, arrays, tensors, or Series and DataFrames with their index. Numbers of
    a single target are [query], those of several [query, target].

    predictions: numbers, labels or actions
    lower, upper: ends of the interval, if you asked for one; None or NaN for a query that is `unlike`
    std: standard deviation of each prediction
    mean: mean of the policy, for actions that are a `box`
    probabilities: [query, label], in the order of `labels`
    labels: the classes
    unlike: whether the prediction is a guess, because the query is unlike what the model knows
    similarity: how alike the query and the examples are, from -1 to 1, for a model of texts
    nearest_examples: the number of the example that is most like the query, for a model of texts
    cut_queries: the numbers of the queries that are longer than a model of texts reads; it read their beginning
    cut_examples: the same of the examples, if they came with the queries
    revision: of the adaptation that answered
    losses, status: of adapting, if the same call adapted
    """

    predictions: Any
    model: str
    model_digest: str
    lower: Any = None
    upper: Any = None
    std: Any = None
    mean: Any = None
    probabilities: Any = None
    labels: list[Any] | None = None
    unlike: Any = None
    similarity: Any = None
    nearest_examples: Any = None
    cut_queries: list[int] | None = None
    cut_examples: list[int] | None = None
    revision: int | None = None
    losses: list[float | None] | None = None
    status: str | None = None


NUMERIC = ("predictions", "lower", "upper", "std", "mean")
QUERIES = (*NUMERIC, "probabilities", "unlike", "similarity", "nearest_examples")
"""The fields that have a value for each query."""


def read_prediction(body: Mapping[str, Any], form: Form, queries: int, model: str) -> Prediction:
    """What an answer says, with rows and columns as `form` reads them. Raises an error if it answers something else.

    queries: how many there were
    model: the name of the model that was asked
    """
    values = {name: value for name, value in body.items() if name in Prediction.__dataclass_fields__}
    columns = {"unlike": TRUTHS, "nearest_examples": ACTIONS, "similarity": REALS}
    if "probabilities" in values:
        columns["predictions"] = ACTIONS if values.get("labels") is None else LABELS
    for name in QUERIES:
        if name in values:
            is_column = name in columns
            values[name] = form.read_column(values[name], columns[name]) if is_column else form.read_rows(values[name])
            if len(values[name]) != queries:
                raise ValueError(f"the number of {name} is {len(values[name])} instead of {queries}")
    if "losses" in values:
        values["losses"] = form.read_losses(values["losses"])
    check_types(Prediction, values)
    check_expected(values, {"model": model})
    _check_widths(values)
    return Prediction(**values)


def in_form(prediction: Prediction, form: Form, targets: Sequence[str] = ()) -> Prediction:
    """The same in the form of the queries. targets: the names of the columns of numbers"""
    read = (
        form.numbers if prediction.mean is None else form.rows
    )  # actions that are a box stay rows, even of one number
    columns = () if prediction.probabilities is None else ("predictions",)
    present = [name for name in NUMERIC if name not in columns and getattr(prediction, name) is not None]
    values = {name: read(getattr(prediction, name), targets) for name in present}
    if prediction.probabilities is not None:
        values["predictions"] = form.column(prediction.predictions, *targets[:1])
        values["probabilities"] = form.rows(prediction.probabilities, prediction.labels or ())
    if prediction.unlike is not None:
        values["unlike"] = form.column(prediction.unlike, "unlike")
    if prediction.similarity is not None:
        values["similarity"] = form.column(prediction.similarity, "similarity")
    if prediction.nearest_examples is not None:
        values["nearest_examples"] = form.column(prediction.nearest_examples, "nearest_example")
    return replace(prediction, **values)


def _check_widths(values: Mapping[str, Any]) -> None:
    """Raise ValueError unless all columns fit: of numbers, or of the choices that have a probability."""
    if "probabilities" in values:
        _check_choices(values, width(values["probabilities"]))
        return
    if values.get("labels") is not None:
        raise ValueError("there are labels without probabilities")
    lower, upper = values.get("lower"), values.get("upper")
    if (lower is None) != (upper is None) or (lower is not None and are_above(lower, upper)):
        raise ValueError(f"the intervals are from {shown(lower)} to {shown(upper)}")
    widths = {name: width(values[name]) for name in NUMERIC if name in values}
    if len(set(widths.values())) != 1:
        raise ValueError(f"the numbers for each query are {widths}")


def _check_choices(values: Mapping[str, Any], choices: int) -> None:
    """Raise ValueError unless each of so many choices, labels or actions, has its name or number, and a probability."""
    probabilities = values["probabilities"]
    if lack_numbers(probabilities) or are_outside(probabilities, 0, 1):
        raise ValueError(f"the probabilities are {shown(probabilities)}")
    labels = values.get("labels")
    if labels is None:
        predictions = list(values["predictions"])
        if not all(0 <= action < choices and int(action) == action for action in predictions):
            raise ValueError(f"the actions are {shown(predictions)}, of {choices}")
        return
    distinct = set(zip(map(type, scalars(labels, LABELS)), labels, strict=True))  # 1 and True are different labels
    if not len(distinct) == len(labels) == choices or not set(values["predictions"]) <= set(labels):
        raise ValueError(f"there are {choices} probabilities for the labels {shown(labels)}")
