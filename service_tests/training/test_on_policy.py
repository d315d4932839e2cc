import dataclasses
from pathlib import Path

import pytest
import torch

from app.bundles.bundle import Bundle
from app.errors import TrainingError
from app.families.navigation import Navigation, Points
from app.learn.update_rules import Params
from app.training.checkpoints import restore_checkpoint, save_checkpoint
from app.training.data_parallel import Processes
from app.training.on_policy import Acted, OnPolicyRun
from app.training.recipes.recipe import Recipe
from app.training.returns import Trial, mean_returns
from app.training.rollouts import local_learner
from app.training.validation import validation_of

CPU = torch.device("cpu")
SMALL = Recipe(
    "navigation",
    family_options={"longest": 20},
    network="gaussian_mlp",
    network_options={"inputs": 2, "actions": 2, "hidden": [16], "deviation": 0.05, "gain": 0.1},
    algorithm="metasgdpp",
    tasks=8,
    episodes=10,
    stages=2,
    outer_rate=1e-2,
    inner_rate=5e-3,
    divergence=0.05,
    adapt_steps=1,
    validation_tasks=20,
)


def gained(bundle: Bundle) -> list[float]:
    """The mean return on fresh goals, before the first stage and after each."""
    run = OnPolicyRun(SMALL, CPU)
    return [each.mean for each in mean_returns(Trial(20, 20, 2).run_bundle(run.worlds, bundle))]


def test_training_raises_what_adapting_gains() -> None:
    """A point that stays where it is loses .38 a step: a policy that is untrained gains nothing by a stage."""
    run = OnPolicyRun(SMALL, CPU)
    initial, *_, before = gained(run.as_bundle())
    run.advance(40)
    *_, after = gained(run.as_bundle())
    assert before < -6
    assert after > before + 2
    assert after > initial + 2


def test_the_seed_decides() -> None:
    one, two, other = (OnPolicyRun(dataclasses.replace(SMALL, seed=seed), CPU) for seed in (0, 0, 1))
    assert one.advance(2) == two.advance(2) != other.advance(2)
    assert all(torch.equal(value, two.meta[name]) for name, value in one.meta.items())


@pytest.mark.parametrize("divergence", [0.05, 0.001])
def test_no_step_leaves_the_trust_region(divergence: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """At an outer rate that is far too large, so that it is the region that holds the policies back."""
    run = OnPolicyRun(dataclasses.replace(SMALL, outer_rate=0.1, divergence=divergence), CPU)
    divergences, stay_near = [], run._stay_near

    def watched(before: Params, acted: Acted) -> None:
        too_far = run.divergence(acted)
        stay_near(before, acted)
        divergences.append((too_far, run.divergence(acted)))

    monkeypatch.setattr(run, "_stay_near", watched)
    run.advance(4)
    assert all(too_far > divergence for too_far, _ in divergences)
    assert all(0 < near <= divergence for _, near in divergences)


def test_what_is_not_finite_is_not_taken() -> None:
    run = OnPolicyRun(dataclasses.replace(SMALL, outer_rate=1e6), CPU)
    run.advance(1)
    assert all(value.isfinite().all() for value in run.meta.values())


def test_worlds_that_reward_nothing_teach_nothing_and_break_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    run = OnPolicyRun(SMALL, CPU)
    step = Navigation.step

    def unrewarded(self: Navigation, state: Points, actions: torch.Tensor) -> tuple[Points, torch.Tensor, torch.Tensor]:
        after, rewards, over = step(self, state, actions)
        return after, torch.zeros_like(rewards), over

    with monkeypatch.context() as patched:
        patched.setattr(Navigation, "step", unrewarded)
        run.advance(2)
    before = {name: value.clone() for name, value in run.meta.items()}
    run.advance(2)
    assert all(value.isfinite().all() for value in run.meta.values())
    assert any(not torch.equal(value, before[name]) for name, value in run.meta.items()), "it learns again"


def test_a_loss_is_of_returns() -> None:
    """A task counts in a stage what its advantages are worth: the deviation of its gains times its decisions."""
    run = OnPolicyRun(SMALL, CPU)
    acted, _ = run._act()
    assert acted.worth.mean() == pytest.approx(1.0)
    parts = torch.cat([part.worth for part in acted.portions()], 1)
    assert torch.equal(parts, acted.worth)


def test_stages_are_added_one_after_the_other() -> None:
    recipe = dataclasses.replace(SMALL, stages=3, stage_steps=10)
    assert [recipe.stages_at(step) for step in (0, 9, 10, 19, 20, 1000)] == [1, 1, 2, 2, 3, 3]
    assert SMALL.stages_at(0) == 2


def test_it_learns_from_no_more_decisions_than_it_should() -> None:
    run = OnPolicyRun(dataclasses.replace(SMALL, decisions=50), CPU)
    acted, _ = run._act()
    assert [stage.mask.shape for stage in acted.stages] == [(8, 50)] * 3
    assert all(stage.mask.all() for stage in acted.stages)


def test_training_and_serving_learn_the_same_of_the_same_episodes() -> None:
    """The surrogate in training, the weighted surprise in the bundle: the same weights after two stages."""
    run = OnPolicyRun(SMALL, CPU)
    generator = torch.Generator().manual_seed(3)
    learner = local_learner(run.as_bundle(), 4, generator)
    trained = run.learner(4, generator)
    for episodes in Trial(4, 5, 2).run(run.worlds, lambda _: learner, CPU)[:2]:
        trained.learn(episodes)
    for name, value in learner.state.fast.items():
        torch.testing.assert_close(trained.state.fast[name], value, msg=name)


def test_a_run_goes_on_where_its_checkpoint_is(tmp_path: Path) -> None:
    whole, first, second = (OnPolicyRun(SMALL, CPU) for _ in range(3))
    whole.advance(3)
    first.advance(2)
    validation_of(first).validate()
    save_checkpoint(first, tmp_path / "checkpoint.safetensors")
    restore_checkpoint(second, tmp_path / "checkpoint.safetensors")
    second.advance(1)
    assert all(torch.equal(value, second.meta[name]) for name, value in whole.meta.items())
    assert second.best is not None
    assert second.best.step == 2


def test_only_worlds_can_be_acted_in() -> None:
    with pytest.raises(TrainingError, match="episodes: expected a family with worlds to act in, got linear"):
        OnPolicyRun(Recipe("linear", episodes=5), CPU)
    with pytest.raises(TrainingError, match="one process"):
        OnPolicyRun(SMALL, CPU, processes=Processes(rank=0, count=2))
