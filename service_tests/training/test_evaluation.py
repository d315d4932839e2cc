from pathlib import Path

import pytest
import torch

from app.bundles.bundle import Bundle
from app.bundles.folder import load
from app.families.choices import Choices
from app.training.evaluate_bundle import evaluate_bundle
from app.training.evaluation import Curve, curve, score_tasks
from app.training.evaluation_tables import Evaluation, as_json, as_text, from_json, settings_of
from app.training.family_and_network import family_of
from app.training.inner_loop_bounds import find_max_rate, find_max_steps
from app.training.predictor import MAX_NUMBERS, offline, portions, without_last_class
from app.training.recipes.recipe import Recipe
from app.training.tasks import Setting, draw_held_out
from app.training.training_run import Run

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def bundle(models_dir: Path) -> Bundle:
    return load(models_dir / "sinusoid")


@pytest.mark.parametrize("name", ["sinusoid", "linear"])
def test_the_bundle_scores_what_its_manifest_says(models_dir: Path, name: str) -> None:
    bundle = load(models_dir / name)
    shipped = from_json("regression", bundle.manifest.evaluation)
    for setting, expected in shipped.curves.items():
        result = curve(
            score_tasks(offline(bundle), "regression", draw_held_out(family_of(bundle), setting, CPU), shipped.steps)
        )
        assert result.mean == pytest.approx(expected.mean, rel=1e-3)
        assert result.half_width == pytest.approx(expected.half_width, rel=1e-2)


def test_a_refused_task_counts_with_its_initial_predictions(bundle: Bundle) -> None:
    held_out = draw_held_out(family_of(bundle), Setting(5), CPU, tasks=20)
    result = curve(score_tasks(offline(bundle, rate=50.0), "regression", held_out, range(4)))
    assert result.refused == [0.0, 1.0, 1.0, 1.0]
    assert result.mean[1:] == [result.mean[0]] * 3


def test_scores_are_those_of_a_task_alone(bundle: Bundle) -> None:
    held_out = draw_held_out(family_of(bundle), Setting(5), CPU, tasks=5)
    alone = type(held_out)(*(type(part)(*(tensor[2:3] for tensor in part[:3])) for part in held_out))
    together, single = (
        score_tasks(offline(bundle), "regression", tasks, range(4)).scores for tasks in (held_out, alone)
    )
    torch.testing.assert_close(together[:, 2], single[:, 0], rtol=1e-5, atol=1e-5)


def test_only_the_steps_that_are_asked_for_are_scored(bundle: Bundle) -> None:
    held_out = draw_held_out(family_of(bundle), Setting(5), CPU, tasks=5)
    some, all_of_them = (score_tasks(offline(bundle), "regression", held_out, steps) for steps in ([0, 2, 5], range(6)))
    assert torch.equal(some.scores, all_of_them.scores[[0, 2, 5]])
    assert torch.equal(some.outputs, all_of_them.outputs)


def test_portions_are_all_tasks_in_order() -> None:
    run = Run(Recipe("linear", family_options={"features": 2_000}), CPU, compiled=False)
    held_out = draw_held_out(run.family, Setting(5), CPU, tasks=25)
    parts = list(portions(held_out))
    assert len(parts) > 1
    assert all(sum(each.inputs.numel() for each in part) <= MAX_NUMBERS for part in parts)
    assert torch.equal(torch.cat([part.query.inputs for part in parts]), held_out.query.inputs)


def test_a_caveat_of_the_family_stands_in_the_protocol() -> None:
    evaluation = Evaluation("decision", [0], {Setting(10): Curve([-0.5], [0.1], [0.0])}, caveat=Choices().caveat)
    assert evaluation.protocol.endswith(f". {Choices().caveat}")
    assert from_json("decision", as_json(evaluation)).protocol == evaluation.protocol


def test_classes_are_scored_by_accuracy_for_any_number_of_them() -> None:
    recipe = Recipe("blobs", algorithm="protonet", shots=(1, 5), family_options={"spread": 8.0})
    run = Run(recipe, CPU, compiled=False)
    bundle = run.as_bundle("blobs")
    evaluation = evaluate_bundle(bundle, run.family, offline(bundle), [Setting(1, 5), Setting(5, 9)], [0, 1], tasks=20)
    assert evaluation.curves[Setting(1, 5)].mean[0] == pytest.approx(0.2, abs=0.01), "nothing is known before"
    assert evaluation.curves[Setting(5, 9)].mean[1] > 0.5
    assert "Accuracy" in evaluation.protocol
    assert from_json("classification", as_json(evaluation)).curves == evaluation.curves
    assert "| 9-way 5-shot |" in as_text(evaluation)


def test_a_class_can_be_left_out_of_the_support_set() -> None:
    run = Run(Recipe("blobs", algorithm="protonet"), CPU, compiled=False)
    tasks, absent = without_last_class(draw_held_out(run.family, Setting(2, 4), CPU, tasks=3, queries=2))
    assert tasks.support.targets.shape == (3, 8, 3)
    assert tasks.support.mask.sum(1).tolist() == [6, 6, 6]
    assert absent.sum(1).tolist() == [2, 2, 2]
    assert tasks.query.targets[~absent].sum(-1).unique().tolist() == [1.0]


def made_up(*mean: float) -> Curve:
    return Curve(list(mean), [0.1] * len(mean), [0.0] * len(mean))


def less(one: float, two: float) -> bool:
    return one < two


def test_the_step_bound_is_the_largest_count_no_worse_than_the_default() -> None:
    falling_then_rising = made_up(3.0, 2.0, 1.0, 0.9, 1.0, *[1.1] * 96)
    every = range(101)
    assert find_max_steps([falling_then_rising], every, 2, less) == 4
    always_better = made_up(*(1 / (step + 1) for step in range(101)))
    assert find_max_steps([falling_then_rising, always_better], every, 2, less) == 4
    assert find_max_steps([made_up(3.0, 1.0, 0.9, 2.0)], [0, 5, 10, 100], 5, less) == 10


def test_the_rate_bound_is_the_last_that_helps() -> None:
    assert find_max_rate(0.1, lambda rate: [made_up(3.0, 1.0 if rate < 0.2 else 9.0)], less) == 0.2
    assert find_max_rate(0.1, lambda rate: [made_up(3.0, 9.0)], less) == 0.1


def test_a_table_has_a_row_a_setting() -> None:
    one = Evaluation("regression", range(2), {Setting(5): made_up(3.0, 1.0)})
    assert as_text(one).splitlines()[-1] == "| 5-shot | 3.00 ± 0.10 | 1.00 ± 0.10 |"
    assert settings_of(as_json(one)) == [Setting(5)]
