"""The family of texts: labels are split by name, and names come beside the texts."""

from pathlib import Path

import pytest
import torch

from app.errors import DataError
from app.families.family import NamedSamples
from app.families.text import Text
from app.training.tasks import draw_tasks
from service_tests.sentence_models import write_sentence_model
from service_tests.training.texts.made_up_texts import TEXTS, made_up_texts, options, write_csv

pytest.importorskip("pyarrow", reason="an extra: pip install 'innerloop-server[text]'")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sentence_model(tmp_path_factory.mktemp("sentences"))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_csv(tmp_path_factory.mktemp("texts") / "tickets.csv", made_up_texts())


@pytest.fixture(scope="module")
def family(model: Path, file: Path) -> Text:
    return Text(**options(model), data=file)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_each_label_is_in_one_split(family: Text) -> None:
    splits = family.splits
    assert {name: len(labels) for name, labels in splits.items()} == {"training": 22, "validation": 4, "test": 4}
    assert len({label for labels in splits.values() for label in labels}) == 30
    assert family.max_shots == TEXTS - 1


def test_splits_can_be_given(model: Path, file: Path) -> None:
    labels = sorted({label for _, label in made_up_texts()})
    classes = {"training": labels[:10], "validation": labels[10:12], "test": labels[12:14]}
    assert Text(**options(model), classes=classes, data=file).splits == classes


def test_names_are_the_words_of_the_labels(family: Text) -> None:
    samples = family.sample(2, 3, generator(), ways=3, split="test")
    assert isinstance(samples, NamedSamples)
    assert samples.has_name.all()
    known = family.encoder.encode([f"{label.split('_')[0]} topic" for label in family.splits["test"]])
    distances = torch.cdist(samples.names.flatten(0, 1), torch.from_numpy(known))
    assert (distances.amin(1) < 1e-3).all()


def test_a_name_is_one_more_support_example(family: Text) -> None:
    tasks = draw_tasks(family, 3, (2, 2), 4, generator(), ways=(3, 3), split="validation")
    assert tasks.support.inputs.shape == (3, 3 * 2 + 3, family.features)
    assert torch.equal(tasks.support.targets[0, -3:], torch.eye(3))
    assert tasks.support.mask.all()
    assert tasks.query.inputs.shape[1] == 12


def test_half_of_the_training_tasks_have_no_names(family: Text) -> None:
    tasks = draw_tasks(family, 200, (1, 2), 1, generator(), ways=(2, 4))
    named = tasks.support.mask[:, -4:]
    classes = tasks.query.mask.sum(1)
    assert ((named.sum(1) == 0) | (named.sum(1) == classes)).all()
    assert 70 < (named.sum(1) > 0).sum() < 130


def test_without_names_there_are_none(model: Path, file: Path) -> None:
    plain = Text(**options(model), label_names=False, data=file)
    assert not isinstance(plain.sample(1, 2, generator(), ways=2), NamedSamples)


def test_embeddings_are_kept_between_runs(model: Path, file: Path, tmp_path: Path) -> None:
    one, two = (Text(**options(model), data=file, cache=tmp_path) for _ in range(2))
    first = one.sample(1, 2, generator(), ways=2)
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(kept) == 3
    torch.testing.assert_close(two.sample(1, 2, generator(), ways=2).inputs, first.inputs)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == kept


def test_other_texts_than_those_of_the_bundle_are_refused(model: Path, file: Path) -> None:
    with pytest.raises(DataError, match="--data: expected the texts that the bundle was trained on, got others"):
        Text(**options(model), fingerprint="0", data=file).sample(1, 1, generator())


def test_too_many_are_refused(family: Text) -> None:
    with pytest.raises(DataError, match="expected at most 4 labels in the test split and 24 texts of each, got 5 and"):
        family.sample(1, 2, generator(), ways=5, split="test")
