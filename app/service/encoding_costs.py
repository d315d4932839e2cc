"""What encoding costs for jobs: nothing again for rows whose features the cache has."""

from app.service.feature_cache import FeatureCache
from app.service.job import Job
from app.service.stored_examples import object_rows
from app.service.work_cost import PRICE_A_SECOND


class EncodingCosts:
    """What encoding costs for jobs, with a cache of features."""

    def __init__(self, features: FeatureCache) -> None:
        self._features = features

    def support_seconds(self, job: Job) -> float:
        """About how long encoding the support set takes."""
        model, task = job.model, job.task
        seconds, encoder = model.encoding_seconds(task), model.bundle.encoder
        if not seconds or task is None or not encoder.slow:
            return seconds
        parts = [rows for stage in task.stages for rows in (stage.inputs, object_rows([*stage.names.values()]))]
        return sum(encoder.seconds(self._features.missing(model.digest, job.owner, rows)) for rows in parts)

    def query_seconds(self, job: Job) -> float:
        """About how long encoding the queries takes."""
        if job.queries is None or not job.query_seconds:
            return 0.0
        encoder = job.model.bundle.encoder
        return encoder.seconds(self._features.missing(job.model.digest, job.owner, job.queries))

    def price(self, job: Job) -> int:
        """What adapting and the answer cost together, in multiply-adds."""
        return job.price - self._saved_on_support(job) - self._saved_on_queries(job)

    def answer_price(self, job: Job) -> int:
        """What the answer costs once the fast weights are cached, in multiply-adds."""
        return job.answer_price - self._saved_on_queries(job) - (self._saved_on_support(job) if job.compares else 0)

    def _saved_on_support(self, job: Job) -> int:
        """The part of the price of a job for what the cache has of its support set."""
        if not job.model.bundle.encoder.slow:
            return 0
        return int((job.support_seconds - self.support_seconds(job)) * PRICE_A_SECOND)

    def _saved_on_queries(self, job: Job) -> int:
        """The part of the price of a job for what the cache has of its queries."""
        if not job.model.bundle.encoder.slow:
            return 0
        return int((job.query_seconds - self.query_seconds(job)) * PRICE_A_SECOND)
