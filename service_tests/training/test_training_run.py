import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from app.bundles.folder import load
from app.errors import TrainingError
from app.families.registry import make
from app.learn.algorithms import ALGORITHMS
from app.learn.inner import Examples
from app.learn.outer_directions import Tasks
from app.training.recipes.recipe import Recipe
from app.training.tasks import draw_tasks
from app.training.training_run import Run

CPU = torch.device("cpu")
FOR_REGRESSION = sorted(name for name, each in ALGORITHMS.items() if "regression" in each.kinds)


def test_each_task_draws_its_own_shots() -> None:
    run = Run(Recipe("sinusoid"), CPU, compiled=False)
    drawn = draw_tasks(run.family, 500, shots=(5, 10), queries=7, generator=torch.Generator().manual_seed(0))
    counts = drawn.support.mask.sum(1)
    assert set(counts.tolist()) == {5, 6, 7, 8, 9, 10}
    assert drawn.query.mask.all()
    assert drawn.query.inputs.shape == (500, 7, 1)


def test_each_task_draws_its_own_ways_and_shots_of_each() -> None:
    family, generator = make("blobs", {}), torch.Generator().manual_seed(0)
    drawn = draw_tasks(family, 500, shots=(1, 3), queries=2, generator=generator, ways=(2, 4))
    assert drawn.support.targets.shape == (500, 3 * 4, 4)
    assert drawn.query.inputs.shape == (500, 2 * 4, 2)
    shots = (drawn.support.targets * drawn.support.mask[..., None]).sum(1)
    queries = (drawn.query.targets * drawn.query.mask[..., None]).sum(1)
    assert torch.equal(shots > 0, queries > 0), "queries are of the classes of the support set"
    assert set((shots > 0).sum(1).tolist()) == {2, 3, 4}
    assert set(shots.max(1).values.tolist()) == {1, 2, 3}
    assert torch.equal(shots, shots[:, :1] * (shots > 0)), "as many of each class"
    assert set(queries.unique().tolist()) == {0, 2}


def perceptron(family: str, algorithm: str, **changes: Any) -> Recipe:
    """A recipe for a small network that fits the algorithm."""
    problem, chosen = make(family, {}), ALGORITHMS[algorithm]
    return Recipe(
        family,
        network="context_mlp" if algorithm == "cavia" else "mlp",
        network_options={
            "inputs": problem.features,
            "outputs": 8 if chosen.embeds else problem.targets,
            "hidden": [16],
        },
        algorithm=algorithm,
        inner_steps=(1, 2),
        **changes,
    )


@pytest.mark.parametrize("algorithm", FOR_REGRESSION)
def test_the_seed_decides(algorithm: str) -> None:
    recipe = perceptron("sinusoid", algorithm, tasks=4)
    one, two, other = (Run(dataclasses.replace(recipe, seed=seed), CPU, compiled=False) for seed in (0, 0, 1))
    assert one.advance(5) == two.advance(5) != other.advance(5)
    assert all(torch.equal(value, two.meta[name]) for name, value in one.meta.items())


@pytest.mark.parametrize("algorithm", ["averaging", "fomaml", "maml", "reptile"])
def test_training_lowers_the_loss(algorithm: str) -> None:
    """The linear family: from a start far off, an algorithm finds the way to where its tasks are."""
    run = Run(
        Recipe("linear", algorithm=algorithm, inner_rate=0.1, outer_rate=OUTER_RATE[algorithm]), CPU, compiled=False
    )
    for value in run.meta.values():
        value += 5
    first = run.advance(20)
    run.advance(300)
    assert run.advance(20) < first / 4


OUTER_RATE = {"maml": 0.05, "fomaml": 0.05, "reptile": 0.5, "averaging": None}


@pytest.mark.parametrize("algorithm", FOR_REGRESSION)
def test_training_a_perceptron_lowers_the_loss(algorithm: str) -> None:
    outer_rate = 1.0 if algorithm in ("reptile", "averaging") else 0.01
    run = Run(perceptron("linear", algorithm, inner_rate=0.1, outer_rate=outer_rate), CPU, compiled=False)
    first = run.advance(10)
    run.advance(60)
    assert run.advance(10) < first


def test_the_derivatives_of_the_steps_come_in_when_their_time_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """MAML++ begins as FOMAML does."""
    recipe = Recipe("sinusoid", algorithm="mamlpp", tasks=3, outer_steps=10, inner_steps=(2, 2))
    run = Run(recipe, CPU, compiled=False)
    seen = []
    find = run._direction

    def watched(*arguments: Any) -> Any:
        seen.append(arguments[-1])
        return find(*arguments)

    monkeypatch.setattr(run, "_direction", watched)
    run.advance(10)
    assert seen == [True] * 3 + [False] * 7


def test_a_network_that_does_not_fit_is_refused() -> None:
    with pytest.raises(
        TrainingError,
        match=r"--algorithm: expected an algorithm that can adapt the network 'mlp', got cavia: network: expected a "
        r"parameter `context`, got none",
    ):
        Run(Recipe("sinusoid", algorithm="cavia"), CPU, compiled=False)
    with pytest.raises(TrainingError, match=r"as many outputs as a target has numbers \(1\), got 2"):
        Run(Recipe("sinusoid", network="mlp", network_options={"inputs": 1, "outputs": 2}), CPU, compiled=False)
    with pytest.raises(TrainingError, match=r"network: expected one of .*, got 'unheard-of'"):
        Run(Recipe("sinusoid", network="unheard-of"), CPU, compiled=False)
    with pytest.raises(TrainingError, match=r"--set network_options: expected the number of features .*, got 1: the"):
        Run(Recipe("sinusoid", network="mlp", network_options={"inputs": 2, "outputs": 1}), CPU, compiled=False)


def test_settings_that_an_algorithm_refuses_are_refused_before_training() -> None:
    with pytest.raises(TrainingError, match=r"--set outer_rate: expected 1\.0 for the algorithm averaging, got 0\.5"):
        Run(Recipe("linear", algorithm="averaging", outer_rate=0.5), CPU, compiled=False)
    with pytest.raises(TrainingError, match="--set inner_steps: expected at least 1 step for the algorithm mamlpp"):
        Run(Recipe("linear", algorithm="mamlpp", inner_steps=(0, 0)), CPU, compiled=False)


def test_an_algorithm_of_another_kind_is_refused() -> None:
    with pytest.raises(
        TrainingError, match="expected an algorithm for regression, got protonet, which is for classification"
    ):
        Run(Recipe("sinusoid", algorithm="protonet"), CPU, compiled=False)


@pytest.mark.compiled
def test_the_compiled_step_is_the_eager_one() -> None:
    recipe = Recipe("linear", inner_steps=(1, 2))
    eager, compiled = Run(recipe, CPU, compiled=False), Run(recipe, CPU, compiled=True)
    assert compiled.advance(20) == pytest.approx(eager.advance(20), rel=1e-4)
    for name, value in eager.meta.items():
        torch.testing.assert_close(compiled.meta[name], value, rtol=1e-4, atol=1e-4)


@pytest.mark.compiled
def test_any_number_of_runs_can_be_compiled_in_a_process() -> None:
    """`compare` and `--algorithm auto` train more than torch compiles one function for."""
    with torch._dynamo.config.patch(recompile_limit=1):
        for algorithm in ("maml", "fomaml", "reptile"):
            Run(Recipe("linear", algorithm=algorithm, inner_rate=0.1, outer_rate=0.1), CPU, compiled=True).advance(2)


def test_the_rate_follows_its_schedule() -> None:
    recipe = Recipe("linear", outer_rate=0.5, outer_steps=10, warmup_steps=2, decay="cosine")
    assert [recipe.rate_factor(step) for step in (0, 1, 2, 6)] == pytest.approx([0.5, 1.0, 1.0, 0.5])
    run = Run(recipe, CPU, compiled=False)
    run.advance(7)
    assert run.optimizer.param_groups[0]["lr"] == pytest.approx(0.25)


@pytest.mark.parametrize("algorithm", FOR_REGRESSION)
def test_mixed_precision_is_close_and_keeps_float32(algorithm: str) -> None:
    recipe = perceptron("linear", algorithm, inner_rate=0.1)
    mixed = Run(dataclasses.replace(recipe, precision="bfloat16"), CPU, compiled=False)
    assert mixed.advance(5) == pytest.approx(Run(recipe, CPU, compiled=False).advance(5), rel=0.05)
    assert all(value.dtype == torch.float32 for value in mixed.meta.values())


def test_the_best_meta_parameters_can_be_taken_again() -> None:
    run = Run(Recipe("linear"), CPU, compiled=False)
    run.keep_if_best(1.0)
    best = {name: value.clone() for name, value in run.meta.items()}
    run.advance(3)
    run.keep_if_best(2.0)
    assert not all(torch.equal(value, run.meta[name]) for name, value in best.items())
    run.take_best()
    assert all(torch.equal(value, run.meta[name]) for name, value in best.items())


def test_a_large_task_alone_gives_what_it_gives_in_a_batch() -> None:
    """One task of convolutions runs without `vmap`, in another order of the channels."""
    conv = {"network": "stem_conv4", "network_options": {"side": 12, "filters": (4, 6)}, "ways": (3, 3)}
    recipe = Recipe("blobs", {"features": 144}, algorithm="protonet", shots=(2, 2), queries=2, tasks=2, **conv)  # type: ignore[arg-type]
    run = Run(recipe, CPU, compiled=False)
    tasks = draw_tasks(run.family, 2, (2, 2), 2, torch.Generator().manual_seed(1), ways=(3, 3))
    one, other = (Tasks(*(Examples(*(each[[at]] for each in part[:3])) for part in tasks)) for at in range(2))
    steps, share = torch.ones(2, dtype=torch.int64), torch.tensor(0.0)
    together, loss = run._find_direction(run.meta, tasks, steps, share, False)
    apart = [run._find_direction(run.meta, each, steps[:1], share, False) for each in (one, other)]
    torch.testing.assert_close(loss, (apart[0][1] + apart[1][1]) / 2)
    for name, value in together.items():
        torch.testing.assert_close(value, (apart[0][0][name] + apart[1][0][name]) / 2, rtol=1e-4, atol=1e-5)
        assert apart[0][0][name].is_contiguous(), "the optimizer reads them side by side"


def test_training_starts_from_another_bundle(models_dir: Path, tmp_path: Path) -> None:
    start = load(models_dir / "sinusoid")
    run = Run(Recipe("sinusoid", algorithm="metasgd", start=str(models_dir / "sinusoid")), CPU, compiled=False)
    assert all(torch.equal(run.meta[name], value) for name, value in start.meta.items())
    assert run.meta.keys() > start.meta.keys(), "what an algorithm learns besides is fresh"
    with pytest.raises(TrainingError, match="start: expected a bundle with the network mlp of this recipe, got linear"):
        Run(Recipe("sinusoid", start=str(models_dir / "linear")), CPU, compiled=False)
    with pytest.raises(TrainingError, match=r"^--set start: expected the folder of a bundle, got 'foo': name a folder"):
        Run(Recipe("sinusoid", start="foo"), CPU, compiled=False)
    (tmp_path / "bundle.json").write_text("{}")
    with pytest.raises(TrainingError, match=r"^--set start: .*bundle\.json: "):
        Run(Recipe("sinusoid", start=str(tmp_path)), CPU, compiled=False)


@pytest.mark.compiled
@pytest.mark.parametrize("algorithm", ["maml", "metasgd", "reptile"])
def test_compiled_outer_steps_are_the_eager_ones(algorithm: str) -> None:
    recipe = perceptron("sinusoid", algorithm)
    runs = [Run(recipe, CPU, compiled=compiled) for compiled in (True, False)]
    losses = [run.advance(5) for run in runs]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    for name, value in runs[0].meta.items():
        torch.testing.assert_close(value, runs[1].meta[name], rtol=1e-3, atol=1e-5)
