"""Makes models/pharmacokinetics: the concentration of a drug in a patient's blood, from a few samples.

python -m app.training.tables.pharmacokinetics --data FOLDER
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

from app.bundles.folder import load
from app.bundles.manifest import FamilySpec
from app.errors import DataError, expectation
from app.training.family_and_network import family_of
from app.training.publish import write_with_card
from app.training.tables.train_table import train_table

NAME = "pharmacokinetics"
FILE = "remifentanil.csv.gz"
URL = "https://vincentarelbundock.github.io/Rdatasets/csv/nlme/Remifentanil.csv"
TASK, TARGET = "patient", "log concentration (ln ng/mL)"
COLUMNS = {
    "ID": TASK,
    "Time": "time (min)",
    "Rate": "rate (µg/min)",
    "Age": "age (years)",
    "Sex": "sex",
    "Ht": "height (cm)",
    "Wt": "weight (kg)",
}
SO_FAR = "amount so far (µg)"
SOURCE = (
    "1,992 concentrations of the painkiller remifentanil in the arterial blood of 65 healthy adults, during and after "
    "an infusion (Minto et al. 1997, Anesthesiology 86), from the package nlme of R. The time is since the infusion "
    "began, the rate is that of the infusion at the sample, and the amount is what was infused before it. A prediction "
    "is the natural logarithm of the concentration."
)
NOT_FOR = (
    "Choosing doses. The 65 adults of the study were healthy and had an infusion of one drug: nothing is known about "
    "ill people, children, repeated infusions or other drugs."
)
COMMAND = "python -m app.training.tables.pharmacokinetics --data FOLDER"


def read_samples(data: Path) -> Any:
    """The samples of all patients that have a concentration, as a DataFrame.

    Raises DataError where the file is missing.
    """
    import pandas as pd  # nothing else of training needs it

    file = data / FILE
    if not file.exists():
        fix = f"download {URL} and compress it with gzip"
        raise DataError(expectation("--data", f"a folder with {FILE}", data, fix))
    frame = pd.read_csv(file)
    # the amount of a row is infused until the next one
    frame[SO_FAR] = frame.groupby("ID")["Amt"].cumsum() - frame["Amt"]
    frame = frame[frame["conc"] > 0].rename(columns=COLUMNS)
    frame[TARGET] = np.log(frame["conc"])
    return frame[[*COLUMNS.values(), SO_FAR, TARGET]].reset_index(drop=True)


def train(data: Path, models_dir: Path, runs_dir: Path, console: Console) -> None:
    """Train the bundle, and say in it where its data are from and how it was made."""
    train_table(
        read_samples(data),
        task=TASK,
        target=TARGET,
        name=NAME,
        models_dir=models_dir,
        runs_dir=runs_dir,
        console=console,
    )
    bundle = load(models_dir / NAME)
    family, training = bundle.manifest.family, {**bundle.manifest.training, "command": COMMAND}
    assert family is not None, "it was trained on a table"
    texts = {"source": SOURCE, "not_for": NOT_FOR, "licence": "gpl-2.0"}
    described = FamilySpec(family.name, {**family.options, **texts})
    bundle = replace(bundle, manifest=replace(bundle.manifest, family=described, training=training))
    write_with_card(bundle, family_of(bundle), models_dir / NAME)


def main(
    data: Annotated[Path, typer.Option(help=f"The folder of {FILE}.")],
    models_dir: Annotated[Path, typer.Option(help="Where the bundle is written.")] = Path("models"),
    runs_dir: Annotated[Path, typer.Option(help="Where interrupted training continues from.")] = Path("runs"),
    csv: Annotated[Path | None, typer.Option(help="Write the table, for innerloop evaluate; train nothing.")] = None,
) -> None:
    """Train the bundle."""
    if csv is not None:
        read_samples(data).to_csv(csv, index=False)
        return
    train(data, models_dir, runs_dir, Console())


if __name__ == "__main__":
    typer.run(main)
