"""What `predict` returns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from innerloop_client.output_forms import Form, scalars, width


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
    revision: int | None = None
    losses: list[float | None] | None = None
    status: str | None = None


QUERIES = ("predictions", "lower", "upper", "std", "mean", "probabilities", "unlike")
"""The fields that have a value for each query."""


def read_prediction(body: Mapping[str, Any], form: Form, queries: int, targets: Sequence[str] = ()) -> Prediction:
    """An answer in the form of the queries. Raises any error where it is no answer to them.

    queries: how many there are
    targets: the names of the columns of numbers
    """
    rows = "mean" in body  # of actions that are a box, which stay rows even of one number
    values = dict(body)
    labels = scalars(values.get("labels") or [])
    for name in ("predictions", "lower", "upper", "std", "mean"):
        if name in values:
            is_column = name == "predictions" and ("probabilities" in values)
            read = form.column if is_column else form.rows if rows else form.numbers
            values[name] = read(values[name], *([targets] if not is_column else targets[:1]))
    if "probabilities" in values:
        values["probabilities"] = form.rows(values["probabilities"], labels)
        if labels and width(values["probabilities"]) != len(labels):
            raise ValueError(f"{len(labels)} labels for other probabilities")
    if "unlike" in values:
        values["unlike"] = form.column(values["unlike"], "unlike")
    if "losses" in values:
        values["losses"] = form.plain(values["losses"])
    for name in QUERIES:
        if name in values and len(values[name]) != queries:
            raise ValueError(f"{len(values[name])} {name} for {queries} queries")
    fields = Prediction.__dataclass_fields__
    return Prediction(**{name: value for name, value in values.items() if name in fields})
