"""Which rows each task has, and in which order."""

import numpy as np

from app.errors import DataError
from app.families.tables.column_data import ColumnData, read_column
from app.families.tables.order_column import check_sorts, read_order
from app.families.tables.raw_table import RawTable
from app.families.tables.table_spec import TableSpec


def rows_by_task(
    raw: RawTable, spec: TableSpec, names: np.ndarray, kept: np.ndarray
) -> tuple[dict[str, np.ndarray], int]:
    """The indices of each task's rows, sorted by `--order` if there is one, else as they are in the file.

    Returns also in how many tasks the order leaves open which row is first.
    """
    places = np.flatnonzero(kept)
    ranks = np.zeros(raw.rows, np.int64)
    if spec.order:
        ranks = read_order(raw, _order_column(raw, spec), kept)
        places = places[np.argsort(ranks[places], kind="stable")]
    distinct, codes = np.unique(names[places].astype(str), return_inverse=True)
    by_task = places[np.argsort(codes, kind="stable")]
    parts = np.split(by_task, np.cumsum(np.bincount(codes))[:-1])
    tied = check_sorts(spec.order, [ranks[part] for part in parts]) if spec.order else 0
    return dict(zip(distinct.tolist(), parts, strict=True)), tied


def _order_column(raw: RawTable, spec: TableSpec) -> ColumnData:
    """As a column of codes alone where --categories says so and it is not all numbers."""
    try:
        return read_column(raw, spec.order, decimal=spec.decimal)
    except DataError:
        if spec.order not in spec.categories:
            raise
        return read_column(raw, spec.order, category=True)
