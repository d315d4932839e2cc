"""What the engine is asked to do, and what it answers."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from app.learn.adaptation_outcome import Adapted
from app.learn.support_ood import OODReference
from app.service.model import Model
from app.service.nearest_example import Distances, quick_nearest_distances
from app.service.task import Task, rows_bytes
from app.service.work_cost import LARGE, PASSES, PRICE_A_SECOND, distance_price

INITIAL = None
"""The key of the initialization, whose fast weights are those before any step."""
PARTS = 4
"""The queries of large work are divided into so many parts for each `LARGE`: with fewer parts it takes more memory."""


@dataclass(eq=False, slots=True)
class Job:
    """Adapt to `task` unless its fast weights are cached under `key`, then answer `queries`.

    key: the key of the fast weights in the cache; an adaptation with its revision, or anything unique
    task: None for the initialization, whose key is INITIAL
    queries: float32 [query, feature], or what the worker encodes, [query] of objects; None to adapt only
    keep: whether the fast weights stay cached
    weights: whether the result includes the parameters
    reference: where queries are compared with the support set, statistics of the inputs of training; otherwise None
    similar: whether the result says how alike queries and the support set are
    features: whether the result includes the features of the support set
    place: what the request calls the queries
    variant: that of the model for the task's number of classes
    support_seconds, query_seconds: about how long encoding the support set and the queries takes; 0 where they are
        features, or the task has these
    query_price: what the answer to one query costs, without encoding it, in multiply-adds
    answer_price: what the answer costs once the fast weights are cached, in multiply-adds (`app.service.work_cost`)
    price: what adapting, with encoding, and the answer cost together
    """

    model: Model
    key: Hashable
    task: Task | None
    queries: np.ndarray | None = None
    keep: bool = True
    weights: bool = False
    reference: OODReference | None = None
    similar: bool = False
    features: bool = False
    place: str = "queries"
    variant: Model = field(init=False)
    support_seconds: float = field(default=0.0, init=False)
    query_seconds: float = field(init=False)
    query_price: int = field(init=False)
    answer_price: int = field(init=False)
    price: int = field(init=False)

    def __post_init__(self) -> None:
        task = self.task
        self.variant = variant = self.model if self.model.ways is None else self.model.for_task(task)
        posted = self.queries if self.asks_posted else None
        self.query_seconds = 0.0 if posted is None else self.model.bundle.encoder.seconds(posted)
        self.query_price = variant.answer_price
        if task is not None and self.reference is not None:
            self.query_price += task.rows * distance_price(len(self.reference.input_scale))
        if task is not None and self.similar:
            self.query_price += task.rows * self.model.bundle.manifest.schema.features
        self.answer_price = 0
        if self.queries is not None:
            self.answer_price = len(self.queries) * self.query_price + int(self.query_seconds * PRICE_A_SECOND)
        self.price = self.answer_price
        if task is not None:
            self.price += task.rows * (PASSES * task.steps + 1) * variant.row_price
            if self.model.encodes:
                self.support_seconds = self.model.encoding_seconds(task)
                encoding = int(self.support_seconds * PRICE_A_SECOND)
                self.price += encoding
                self.answer_price += encoding if self.compares else 0

    @property
    def compares(self) -> bool:
        """Whether the features of the support set are needed even where the fast weights are cached."""
        return self.reference is not None or self.similar or self.features

    @property
    def asks_posted(self) -> bool:
        """Whether the worker has to encode the queries."""
        return self.queries is not None and self.queries.dtype == object

    @property
    def owner(self) -> str:
        """Whose queries they are that the worker encodes."""
        return "" if self.task is None else self.task.kept_by or ""

    def distances(self) -> Distances | None:
        """How far each query is from the nearest support example, where they are compared.

        Infinitely far from a support set beyond the inputs of training, where errors were not measured. An example of
        less than half of the mean weight is left out: it hardly tells what is near it.
        """
        task = self.task
        if self.reference is None or task is None or self.queries is None or not task.rows:
            return None
        if task.has_far_inputs(self.reference):
            return [float("inf")] * len(self.queries)
        support = task.inputs
        if task.weights is not None:
            support = support[task.weights >= task.weights.mean(dtype=np.float64) / 2]
        return quick_nearest_distances(self.queries, support, self.reference.input_scale)

    @property
    def queries_at_once(self) -> int:
        """The number of queries whose answer, without encoding, costs no more than `LARGE / PARTS`."""
        return max(1, LARGE // PARTS // self.query_price)

    @property
    def bytes(self) -> int:
        """The size of its arrays."""
        size = 0 if self.task is None else self.task.bytes
        return size if self.queries is None else size + rows_bytes(self.queries)

    def rows(self, adapted: bool) -> int:
        """The number of rows that the network processes: the measure of the work.

        adapted: whether the fast weights are cached
        """
        rows = 0 if adapted or self.task is None else self.task.rows * (self.task.steps + 1)
        return rows if self.queries is None else rows + len(self.queries)


class Result(NamedTuple):
    """The result of a job.

    adapted: the outcome of the inner loop; None where the fast weights were cached
    predictions: float32 [query, target], or logits [query, class] where targets are labels; None where the job has no
        queries, or `adapted` is not usable
    weights: the parameters by name, where the job asks for them
    spread: the standard deviation of each prediction, where the algorithm gives it
    finite: whether it is known that all predictions are finite; they were looked at together with those of other jobs
    distances: how far each query is from the nearest support example, where the job has a reference
    features: of the support set, float32 [row, feature], where the job asks for them
    similarity, nearest: how alike each query and the support set are, float32 [query], and the row of the example that
        is nearest to it, int [query], where the job asks for them (`app.service.similar_examples`)
    """

    adapted: Adapted | None
    predictions: np.ndarray | None
    weights: dict[str, np.ndarray] | None
    spread: np.ndarray | None = None
    finite: bool = False
    distances: Distances | None = None
    features: np.ndarray | None = None
    similarity: np.ndarray | None = None
    nearest: np.ndarray | None = None
