"""Which type a column has by the values of its training rows."""

from datetime import date
from typing import Any

import numpy as np
import pytest

from app.encoders.columns.types import TYPES, infer


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2.5, None], "number"),
        ([np.float32(1), np.int64(2)], "number"),
        ([True, np.False_, None], "boolean"),
        ([True, 1], "category"),
        (["2026-03-31", "2026-03-31T12:00:00Z", date(2026, 1, 1)], "date"),
        (["2026-03-31", "never"], "category"),
        (["20260331"], "category"),
        (["1", 2], "category"),
    ],
)
def test_the_type_fits_all_values(values: list[Any], expected: str) -> None:
    assert infer("a", values) == expected
    assert expected in TYPES
