"""Cards: what they say is in the bundle, and their example is what the server answers."""

import copy
import json
import re
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient

from app.bundles.folder import load, write
from app.families.family import HasDescription
from app.service.cross_validation import MAX_LEFT_OUT_ALONE
from app.training.card import card
from app.training.card_example import Example, policy_example
from app.training.evaluation_tables import with_interval
from app.training.family_and_network import family_of
from app.training.on_policy import OnPolicyRun
from app.training.publish import PLOT
from app.training.recipes.recipe import Recipe
from app.training.training_text import MEANINGS
from service_tests.processes import ROOT, SHIPPED

PLACES = [(ROOT / "models" / name) for name in SHIPPED]
each_bundle = pytest.mark.parametrize("folder", PLACES, ids=SHIPPED)


@each_bundle
def test_the_card_is_that_of_its_bundle(folder: Path) -> None:
    bundle = load(folder)
    family = family_of(bundle)
    assert isinstance(family, HasDescription)
    assert (folder / "CARD.md").read_text() == card(folder.name, bundle.manifest, family.description, PLOT)


@each_bundle
def test_its_numbers_are_for_people(folder: Path) -> None:
    text = (folder / "CARD.md").read_text()
    assert text.startswith("---\nlicense: ")
    shown = text.partition("<details>")[0]
    assert not re.findall(r"\d[eE][+-]?\d", shown), "no powers of ten"
    assert not re.findall(r"\b1 steps|\(s\)", shown)


def test_a_classifier_without_useful_unlike_says_so() -> None:
    warning = (
        "Do not rely on `unlike` of this bundle to find queries of other classes: it misses 92 % of them. "
        "Try `omniglot`, the bundle from which its training started. `unlike` does mark images that are no drawings."
    )
    assert warning in (ROOT / "models/omniglot-maml/CARD.md").read_text()
    assert "Do not rely" not in (ROOT / "models/omniglot/CARD.md").read_text()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("omniglot", "Guessing gets 20 % with 5 classes and 5 % with 20 classes."),
        ("omniglot", "A server gives the same scores over HTTP."),
        ("omniglot-maml", "3 steps score no better than 0 steps"),
        ("driving", "Before adapting, the policy is confident in wrong actions, so it scores worse than guessing."),
        ("driving", "The actions that were taken are 2 (`right`), 4 (`slower`), 1 (`keep`)."),
        ("linear", "The model was trained with 1 step; the default is 20."),
        ("sinusoid-bayes", "`std` is the standard deviation of each prediction. It is not calibrated"),
        ("sinusoid-bayes", "| 0.40 ± 0.12 millionths |"),
        ("choices", "Log-likelihood of the actions that were taken"),
        ("pharmacokinetics", "An input is a row of 7 columns, and a prediction is 1 number."),
        ("pharmacokinetics", "A target is `log concentration (ln ng/mL)`, -2.303 to 5.503 in training."),
        ("pharmacokinetics", "not for\n\nChoosing doses."),
    ],
)
def test_it_says_what_the_figures_show(name: str, sentence: str) -> None:
    text = (ROOT / "models" / name / "CARD.md").read_text()
    assert sentence in text
    assert not re.search(r"\d%", text.partition("<details>")[0])


def test_scores_that_differ_over_http_are_shown() -> None:
    bundle = load(ROOT / "models/choices")
    other = copy.deepcopy(dict(bundle.manifest.evaluation))
    other["over_http"]["by_shots"]["10"]["mean"][0] -= 1
    text = card("choices", replace(bundle.manifest, evaluation=other), None, PLOT)
    assert "Scores of the same tasks over HTTP:" in text
    assert "A server gives the same scores over HTTP" not in text


def test_scores_of_fewer_tasks_over_http_say_so() -> None:
    bundle = load(ROOT / "models/choices")
    other = copy.deepcopy(dict(bundle.manifest.evaluation))
    other["over_http"]["tasks"] = 3
    text = card("choices", replace(bundle.manifest, evaluation=other), None, PLOT)
    assert "Scores over HTTP, the mean over 3 tasks of the test split" in text
    assert "the same" not in text.partition("Scores over HTTP")[2].partition("\n\n")[0]
    policy = load(ROOT / "models/navigation")
    returns = copy.deepcopy(dict(policy.manifest.evaluation))
    returns["over_http"]["trial"]["tasks"] = 2
    text = card("navigation", replace(policy.manifest, evaluation=returns), None, PLOT)
    assert "Returns over HTTP. Mean return of an episode, with 95 % intervals over 2 worlds" in text
    assert "in the same worlds over HTTP" not in text


def test_it_says_whether_the_order_of_examples_makes_a_difference() -> None:
    manifest = load(ROOT / "models/pharmacokinetics").manifest
    options = copy.deepcopy(dict(manifest.network.options))
    options["members"][0]["discount"] = 0.5
    forecaster = replace(manifest, network=replace(manifest.network, options=options))
    assert "Send them from the first to the last" in card("forecaster", forecaster, None, PLOT)
    assert "from the first to the last" not in card("plain", manifest, None, PLOT)


def test_every_field_of_a_recipe_is_explained() -> None:
    assert set(MEANINGS) == {each.name for each in fields(Recipe)} - {"variants"}


def test_the_number_of_examples_that_are_left_out_one_by_one_is_that_of_the_server() -> None:
    assert f"more than {MAX_LEFT_OUT_ALONE} examples" in (ROOT / "models/sinusoid/CARD.md").read_text()


@each_bundle
def test_the_example_is_what_the_server_answers(folder: Path, serve: Callable[..., TestClient]) -> None:
    example = Example.from_json(load(folder).manifest.evaluation)
    assert example is not None
    if "..." in example.request or "<PNG" in example.request:
        pytest.skip("the card shows this request in part")
    response = serve(models_dir=ROOT / "models").post("/predict", json=json.loads(example.request)).json()
    expected = json.loads(example.answer)
    for field, value in expected.items():
        if np.array(value).dtype.kind == "U":
            assert response[field] == value
        else:
            np.testing.assert_allclose(response[field], value, atol=2e-3)


@pytest.mark.parametrize("form", ["discrete", "box"])
def test_the_example_of_a_policy_is_taken_by_the_server(
    tmp_path: Path, serve: Callable[..., TestClient], form: str
) -> None:
    pytest.importorskip("gymnasium", reason="an extra: pip install 'innerloop-server[driving]'")
    env = f"service_tests.families.corridors:{'make_env' if form == 'discrete' else 'make_metres'}"
    recipe = Recipe("environments", {"env": env, "longest": 5}, tasks=2, episodes=2, stages=1)
    bundle = OnPolicyRun(recipe, torch.device("cpu"), compiled=False).as_bundle("corridors", initial_loss=1.0)
    example = policy_example(bundle)
    request = json.loads(example.request.replace(", ...]", "]"))
    actions = request["support"]["episodes"][0]["actions"]
    assert {type(action) for action in actions} == {int if form == "discrete" else list}
    write(tmp_path / "corridors", bundle.manifest, bundle.meta)
    client = serve(models_dir=tmp_path)
    answer = client.post("/predict", json=request).raise_for_status().json()
    assert answer.keys() >= json.loads(example.answer).keys()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.6, "took 1 second on"),
        (1.4, "took 1 second on"),
        (2.0, "took 2 seconds on"),
        (99.0, "took 99 seconds on"),
        (119.0, "took 2 minutes on"),
    ],
)
def test_one_second_is_singular(seconds: float, text: str) -> None:
    manifest = load(ROOT / "models/sinusoid").manifest
    training = copy.deepcopy(dict(manifest.training))
    training["cost"]["seconds"] = seconds
    assert text in card("sinusoid", replace(manifest, training=training), None, PLOT)


@pytest.mark.parametrize(
    ("mean", "half_width", "percentage", "text"),
    [
        (0.2841, 0.0331, False, "0.284 ± 0.033"),
        (3.09, 0.24, False, "3.09 ± 0.24"),
        (3.3e-6, 1.1e-6, False, "3.3 ± 1.1 millionths"),
        (-39.83, 4.7, False, "-39.8 ± 4.7"),
        (123.0, 41.0, False, "123 ± 41"),
        (0.0, 0.0, False, "0.000 ± 0.000"),
        (0.9890, 0.0020, True, "98.9 ± 0.2 %"),
        (0.9972, 0.0006, True, "99.72 ± 0.06 %"),
    ],
)
def test_a_mean_has_the_digits_of_its_interval(mean: float, half_width: float, percentage: bool, text: str) -> None:
    assert with_interval(mean, half_width, percentage) == text
