import pytest
import torch

from app.bundles import Bundle, load
from app.families.registry import make
from app.learn.losses import mean_squared_error
from app.training.evaluation import Curve, as_text, curve, evaluation_tasks, task_scores
from app.training.report import largest_rate, largest_steps


@pytest.fixture(scope="module")
def bundle(models_dir: object) -> Bundle:
    return load(models_dir / "sinusoid")  # type: ignore[operator]


@pytest.mark.parametrize("name", ["sinusoid", "linear"])
def test_the_bundle_scores_what_its_manifest_says(models_dir: object, name: str) -> None:
    bundle = load(models_dir / name)  # type: ignore[operator]
    manifest = bundle.manifest
    family = bundle.family
    for shots, said in manifest.evaluation["by_shots"].items():
        held_out = evaluation_tasks(family, int(shots), torch.device("cpu"))
        rate = manifest.inner_loop.learning_rate
        found = curve(bundle.inner_loop(), mean_squared_error, bundle.meta, held_out, rate, 10, manifest.untouched_loss)
        assert found.mean == pytest.approx(said["mean"], rel=1e-3)
        assert found.half_width == pytest.approx(said["half_width_95"], rel=1e-2)


def test_a_refused_task_counts_with_its_untouched_error(bundle: Bundle) -> None:
    held_out = evaluation_tasks(make("sinusoid", {}), 5, torch.device("cpu"), tasks=20)
    found = curve(bundle.inner_loop(), mean_squared_error, bundle.meta, held_out, 50.0, 3, untouched_loss=3.0)
    assert found.refused == [0.0, 1.0, 1.0, 1.0]
    assert found.mean[1:] == [found.mean[0]] * 3


def test_scores_are_those_of_a_task_alone(bundle: Bundle) -> None:
    held_out = evaluation_tasks(make("sinusoid", {}), 5, torch.device("cpu"), tasks=5)
    alone = type(held_out)(*(type(part)(*(tensor[2:3] for tensor in part)) for part in held_out))
    _, together = task_scores(bundle.inner_loop(), mean_squared_error, bundle.meta, held_out, 0.01, 3)
    _, single = task_scores(bundle.inner_loop(), mean_squared_error, bundle.meta, alone, 0.01, 3)
    torch.testing.assert_close(together[:, 2], single[:, 0], rtol=1e-5, atol=1e-5)


def made_up(*mean: float) -> Curve:
    return Curve(list(mean), [0.1] * len(mean), [0.0] * len(mean))


def test_the_step_bound_is_the_largest_count_no_worse_than_the_default() -> None:
    falling_then_rising = [3.0, 2.0, 1.0, 0.9, 1.0, *[1.1] * 96]
    assert largest_steps({5: made_up(*falling_then_rising)}, default=2) == 4
    always_better = [1 / (step + 1) for step in range(101)]
    assert largest_steps({5: made_up(*falling_then_rising), 10: made_up(*always_better)}, default=2) == 4


def test_the_rate_bound_is_the_last_that_helps() -> None:
    assert largest_rate(0.1, lambda rate: {5: made_up(3.0, 1.0 if rate < 0.2 else 9.0)}) == 0.2
    assert largest_rate(0.1, lambda rate: {5: made_up(3.0, 9.0)}) == 0.1


def test_as_text() -> None:
    assert as_text({5: made_up(3.0, 1.0)}, range(2)).splitlines()[-1] == "| 5 | 3 ± 0.1 | 1 ± 0.1 |"
