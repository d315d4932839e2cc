"""Makes the bundle intents: which intent a sentence has, for intents of your own.

python -m app.training.texts.intents --data FOLDER
"""

import csv
import gzip
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console

from app.bundles.folder import load
from app.errors import DataError, expectation
from app.training.family_and_network import family_of
from app.training.publish import write_with_card
from app.training.texts.text_settings import TextSettings
from app.training.texts.train_texts import run_texts

NAME = "intents"
FILE = "clinc150.csv.gz"
URL = "https://github.com/clinc/oos-eval"
SPLITS = ("train", "val")
"""Of the data set. Its official test sentences are left to benchmarks."""
SOURCE = (
    "The sentences of CLINC150's training and validation split: 18,000 questions to a virtual assistant with 150 "
    'intents of 10 domains, 120 of each (Larson et al. 2019, "An Evaluation Dataset for Intent Classification and '
    'Out-of-Scope Prediction"). Its 4,500 test sentences and its out-of-scope sentences are not used.'
)
COMMAND = "python -m app.training.texts.intents --data FOLDER"


def read_sentences(data: Path, splits: Sequence[str] = SPLITS) -> list[tuple[str, str]]:
    """The sentences of these splits with their intents. Raises DataError where the file is missing."""
    file = data / FILE
    if not file.exists():
        fix = f"get the data set from {URL}, and write its columns text, intent and split as a CSV"
        raise DataError(expectation("--data", f"a folder with {FILE}", data, fix))
    with gzip.open(file, "rt", encoding="utf-8", newline="") as lines:
        return [(row["text"], row["intent"]) for row in csv.DictReader(lines) if row["split"] in splits]


def write_sentences(rows: Sequence[tuple[str, str]], file: Path) -> None:
    """Write sentences with their intents as a CSV with the columns text and intent."""
    with file.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerows([("text", "intent"), *rows])


def train(data: Path, models_dir: Path, runs_dir: Path, console: Console) -> None:
    """Train the bundle, and say in it how it was made."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / f"{NAME}.csv"
        write_sentences(read_sentences(data), file)
        settings = TextSettings(file, "text", "intent", name=NAME, source=SOURCE, licence="cc-by-3.0")
        run_texts(settings, models_dir, runs_dir, console)
        bundle = load(models_dir / NAME)
        training = {**bundle.manifest.training, "command": COMMAND}
        bundle = replace(bundle, manifest=replace(bundle.manifest, training=training))
        write_with_card(bundle, family_of(bundle, file), models_dir / NAME)


def main(
    data: Annotated[Path, typer.Option(help=f"The folder of {FILE}.")],
    models_dir: Annotated[Path, typer.Option(help="Where the bundle is written.")] = Path("models"),
    runs_dir: Annotated[Path, typer.Option(help="Where interrupted training continues from.")] = Path("runs"),
    csv_file: Annotated[
        Path | None, typer.Option("--csv", help="Write the sentences, for innerloop evaluate; train nothing.")
    ] = None,
) -> None:
    """Train the bundle."""
    if csv_file is not None:
        write_sentences(read_sentences(data), csv_file)
        return
    train(data, models_dir, runs_dir, Console())


if __name__ == "__main__":
    typer.run(main)
