"""What the evaluation says of `unlike` is what the server does, and what the shipped bundles say of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient

from app.bundles.folder import load
from app.learn.inner import Examples
from app.learn.outer_directions import Tasks
from app.learn.support_ood import OODReference
from app.service.unlike_queries import is_beyond
from app.training.calibration import distances_of, half_widths_of
from app.training.family_and_network import family_of
from app.training.ood_evaluation import (
    FURTHEST,
    NEAREST,
    SEED,
    _marked_images,
    measure_intervals,
    measure_unlike,
    move_outside,
)
from app.training.predictor import offline, predict_in_portions
from app.training.tasks import Setting, draw_held_out
from service_tests.learn.test_image_ood import strokes
from service_tests.processes import ROOT, SHIPPED

REFERENCE = OODReference(
    1, 0, (0.0, 15.0, 3.0), (1.0, 5.0, 1.0), 1.0, input_low=(-1.0, 10.0, 3.0), input_high=(1.0, 20.0, 3.0)
)


def test_one_number_is_moved_beyond_twice_its_range() -> None:
    inputs = torch.tensor([0.5, 12.0, 3.0]).expand(4, 500, 3)
    moved = move_outside(inputs, REFERENCE)
    changed = moved != inputs
    assert (changed.sum(-1) == 1).all()
    assert changed.flatten(0, 1).double().mean(0).tolist() == pytest.approx([1 / 3] * 3, abs=0.05)
    times = ((moved - torch.tensor([0.0, 15.0, 3.0])) / torch.tensor([1.0, 5.0, 1.0]))[changed]
    assert times.abs().min() >= NEAREST - 1e-4
    assert times.abs().max() <= FURTHEST + 1e-2
    assert (times > 0).double().mean().item() == pytest.approx(0.5, abs=0.05)
    assert REFERENCE.is_beyond(moved).all()
    assert not REFERENCE.is_beyond(inputs).any()


def test_rows_are_beyond_for_the_evaluation_where_they_are_for_the_server() -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.tensor([0.0, 15.0, 3.0]) + torch.randn(300, 3, generator=generator) * torch.tensor([0.6, 3.0, 0.0])
    ends = torch.tensor(REFERENCE.input_bounds).T
    rows = torch.cat([rows, ends, ends.nextafter(torch.tensor([[-1e9], [1e9]]))])
    expected = is_beyond(rows.numpy(), REFERENCE.input_bounds)
    assert REFERENCE.is_beyond(rows).tolist() == expected
    assert 0 < sum(expected) < len(rows)


def test_the_interval_score_is_that_of_its_definition() -> None:
    errors = torch.tensor([[0.0], [1.0], [2.0], [3.5]])
    measures = measure_intervals(torch.full((4, 1), 2.0), errors)
    assert measures["coverage_90"] == 0.75
    assert measures["interval_score_90"] == pytest.approx(np.mean([4, 4, 4, 4 + 20 * 1.5]))


def test_intervals_score_best_at_the_calibrated_width(models_dir: Path) -> None:
    """The score is proper: it is lowest at the quantiles, so wider and narrower intervals score worse."""
    bundle = load(models_dir / "linear")
    steps = bundle.manifest.inner_loop.steps
    tasks = draw_held_out(family_of(bundle), Setting(10), torch.device("cpu"), tasks=600, seed=SEED)
    outputs = predict_in_portions(offline(bundle), tasks, [steps]).outputs[0]
    errors = (outputs - tasks.query.targets).abs().flatten(0, 1)
    half_widths = half_widths_of(bundle, 10, tasks, distances_of(bundle, tasks)).flatten(0, 1)

    def score(factor: float) -> float:
        return measure_intervals(factor * half_widths, errors)["interval_score_90"]

    assert score(1.0) < min(score(0.5), score(2.0))


def test_marked_images_are_those_that_the_server_marks(client: TestClient, models_dir: Path) -> None:
    drawings = strokes(12).reshape(12, -1)
    queries = torch.cat([drawings[4:], 1 - drawings[4:], torch.zeros_like(drawings[:1])])
    support = Examples(drawings[None, :4], torch.eye(2).repeat_interleave(2, 0)[None], torch.ones(1, 4).bool())
    tasks = Tasks(support, Examples(queries[None], torch.zeros(1, len(queries), 2), torch.ones(1, len(queries)).bool()))
    body = {
        "model": "omniglot",
        "support": {"inputs": drawings[:4].tolist(), "targets": ["a", "a", "b", "b"]},
        "queries": queries.tolist(),
    }
    marked = _marked_images(load(models_dir / "omniglot"), tasks, shots=2)[0].tolist()
    assert marked == client.post("/predict", json=body).json()["unlike"]
    assert all(marked[8:])


def test_a_bundle_with_nothing_to_compare_has_no_figures(models_dir: Path) -> None:
    bundle = load(models_dir / "linear")
    measured = measure_unlike(bundle, family_of(bundle), [Setting(5)], tasks=20)
    assert measured is not None
    assert measured["by_setting"].keys() == {"5-shot"}
    bare = replace(bundle, manifest=replace(bundle.manifest, ood_reference=OODReference()))
    assert measure_unlike(bare, family_of(bundle), [Setting(5)], tasks=20) is None


WITH_REFERENCE = [name for name in SHIPPED if name != "intents"]
"""Bundles of texts compare queries with the support set alone."""


@pytest.mark.parametrize("name", WITH_REFERENCE)
def test_shipped_bundles_mark_what_is_outside_and_little_else(name: str) -> None:
    manifest = load(ROOT / "models" / name).manifest
    unlike, few = manifest.evaluation["unlike"], manifest.family is not None and manifest.family.name == "table"
    # a table has few test tasks, so their share inside of intervals varies more
    tasks, tolerance = (60, 0.08) if few else (300, 0.02)
    assert (unlike["tasks"], unlike["seed"]) == (tasks, SEED)
    for setting, measures in unlike["by_setting"].items():
        assert measures["false_alarms"] <= 0.05, setting
        assert all(share >= 0.95 for key, share in measures.items() if key.endswith("_marked")), setting
        assert measures.get("outside_intervals", 0.0) == 0.0
        assert measures.get("coverage_90", 0.9) == pytest.approx(0.9, abs=tolerance)
