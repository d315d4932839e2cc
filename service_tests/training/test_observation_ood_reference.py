"""The range of a policy's observations: of the decisions that it imitates, or of its own episodes."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from app.bundles.folder import load
from app.families.choices_data import SOURCE
from app.families.navigation import Navigation
from app.training.family_and_network import family_of
from app.training.observation_ood_reference import (
    WORLDS,
    draw_observations,
    learns_by_acting,
    make_observation_reference,
)
from app.training.on_policy import OnPolicyRun
from app.training.publish import write_bundle
from app.training.recipes.recipe import Recipe
from service_tests.cli.point import MAX_STEPS, write_point
from service_tests.processes import DATA


def test_the_bundle_holds_the_range_of_the_decisions_that_it_imitates(models_dir: Path) -> None:
    if not (DATA / "decisions").is_dir():
        pytest.skip(f"no decisions here: {SOURCE}")
    bundle = load(models_dir / "choices")
    family = family_of(bundle, DATA / "decisions")
    reference = make_observation_reference(bundle, family)
    assert reference == bundle.manifest.ood_reference
    fresh = draw_observations(bundle, family, 50, "training", seed=1)
    assert fresh.shape == (50 * 100, 4)
    assert not reference.is_beyond(fresh).any()


def test_a_policy_that_acts_makes_its_own_observations(tmp_path: Path) -> None:
    bundle = load(write_point(tmp_path) / "point")
    family = family_of(bundle)
    rows = draw_observations(bundle, family, 3, "training", seed=1)
    assert rows.shape[1] == 2
    assert 3 * 5 * 2 <= len(rows) <= 3 * 5 * 2 * MAX_STEPS
    assert (rows == 0).all(1).sum() >= 3 * 5 * 2, "each episode begins at the origin"
    assert rows.abs().max() <= 0.1 * MAX_STEPS + 1e-6
    assert torch.equal(rows, draw_observations(bundle, family, 3, "training", seed=1))


@pytest.mark.parametrize(
    ("training", "acts"), [({}, True), ({"recipe": {"episodes": 20}}, True), ({"recipe": {"episodes": None}}, False)]
)
def test_a_policy_that_was_trained_by_imitation_does_not_act(
    tmp_path: Path, training: dict[str, object], acts: bool
) -> None:
    bundle = load(write_point(tmp_path) / "point")
    bundle = replace(bundle, manifest=replace(bundle.manifest, training=training))
    assert learns_by_acting(bundle, Navigation()) == acts


def test_training_by_acting_writes_the_range_and_its_figures(tmp_path: Path) -> None:
    options = {"inputs": 2, "actions": 2, "hidden": [8], "deviation": 0.05}
    recipe = Recipe("navigation", family_options={"longest": 4}, network="gaussian_mlp", network_options=options)
    run = OnPolicyRun(replace(recipe, episodes=2, stages=1, tasks=2), torch.device("cpu"))
    manifest = write_bundle(run, tmp_path / "point", "", "")
    assert load(tmp_path / "point").manifest.ood_reference == manifest.ood_reference
    assert manifest.ood_reference.tasks == WORLDS
    measures = manifest.evaluation["unlike"]["by_setting"]["observations"]
    assert measures["outside_marked"] == 1
    assert measures["false_alarms"] <= 0.05
    assert "marks an observation `unlike`" in (tmp_path / "point/CARD.md").read_text()
