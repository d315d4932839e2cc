"""Calibrating bundles of texts: by the cosine to the nearest example, with names as examples."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from app.bundles.bundle import Bundle
from app.families.text import Text
from app.learn.query_ood import similarity_threshold
from app.training.recipes.registry import recipe_for
from app.training.similarity_calibration import (
    FALSE_ALARM_RATE,
    Compared,
    calibrate_texts,
    compare,
    measure_similarity,
    nameless,
)
from app.training.tasks import Setting
from app.training.train_to_end import make_run
from service_tests.sentence_models import write_sentence_model
from service_tests.training.texts.made_up_texts import made_up_texts, options, write_csv

pytest.importorskip("pyarrow", reason="an extra: pip install 'innerloop-server[text]'")


@pytest.fixture(scope="module")
def problem(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Text]:
    folder = tmp_path_factory.mktemp("texts")
    model = write_sentence_model(folder / "sentences")
    family = Text(**options(model), ways=3, data=write_csv(folder / "tickets.csv", made_up_texts()))
    recipe = replace(recipe_for("text"), ways=(3, 3), outer_steps=1)
    run = make_run(recipe, torch.device("cpu"), compiled=False, family=family)
    return run.as_bundle("texts", 1.0), family


def test_sizes_count_names(problem: tuple[Bundle, Text]) -> None:
    bundle, family = problem
    calibration = calibrate_texts(bundle, family)
    assert calibration.shots == (1, 2, 3, 4, 6, 11)
    assert calibration.similarity == tuple(sorted(calibration.similarity or ()))
    assert calibration.fits(3)
    without = calibrate_texts(bundle, nameless(family))
    assert without.shots == (1, 2, 3, 5, 10)


def test_the_rate_of_false_alarms_holds_where_it_was_measured(problem: tuple[Bundle, Text]) -> None:
    bundle, family = problem
    calibration = calibrate_texts(bundle, family)
    compared = compare(bundle, family, Setting(5, 3), "validation")
    flagged = compared.similarities < similarity_threshold(calibration, 6)
    assert flagged[~compared.absent].double().mean() <= FALSE_ALARM_RATE
    assert flagged[compared.absent].double().mean() > 0.5
    assert (compared.absent.sum(1) == 5).all()


def compared_by(similarities: Tensor) -> Compared:
    """similarities: [label, query]"""
    labels = torch.arange(len(similarities)).unsqueeze(1).expand_as(similarities)
    none = torch.zeros(*similarities.shape, 1)
    return Compared(none, none, similarities, torch.zeros_like(similarities, dtype=torch.bool), labels)


def test_a_threshold_allows_for_labels_that_differ() -> None:
    """40 labels of 100 queries each; either each has queries that are little alike, or a few labels have them all."""
    each = torch.linspace(0, 1, 100).expand(40, 100)
    few = torch.linspace(0, 1, 4000).reshape(40, 100)
    assert compared_by(each).threshold == pytest.approx(FALSE_ALARM_RATE, abs=0.01)
    assert compared_by(few).threshold < FALSE_ALARM_RATE / 2
    assert (few < compared_by(few).threshold).any()


def test_queries_have_the_labels_of_their_texts(problem: tuple[Bundle, Text]) -> None:
    _, family = problem
    for number, label in enumerate(family.splits["validation"]):
        rows = torch.from_numpy(family.encoder.encode(family.read.texts[label]))
        assert family.labels_of(rows, "validation").tolist() == [number] * len(rows)


def test_it_is_measured_on_test_tasks(problem: tuple[Bundle, Text]) -> None:
    bundle, family = problem
    bundle = replace(bundle, manifest=replace(bundle.manifest, calibration=calibrate_texts(bundle, family)))
    targets = torch.eye(3).expand(2, 3, 3)
    measures = measure_similarity(bundle, family, Setting(1, 3), 5 * targets, targets)
    assert measures.keys() == {"nll", "ece", "false_alarms", "unfamiliar_found"}
    assert 0 <= measures["false_alarms"] < 0.3 < measures["unfamiliar_found"]
