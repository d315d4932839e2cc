"""Fixtures of ensembles that are fitted quickly."""

from collections.abc import Iterator

import pytest

from app.training.tables.baselines import boosting
from app.training.tables.ensemble import pooled


@pytest.fixture(scope="module")
def little_work() -> Iterator[None]:
    """Little training of the pooled model."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boosting, "MAX_ITERATIONS", 5)
        patch.setattr(pooled, "MAX_EPOCHS", 3)
        yield
