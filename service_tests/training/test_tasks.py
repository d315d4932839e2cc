"""Tasks of any sizes: what is drawn from them, and what training makes of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from app import plugins
from app.bundles.folder import load
from app.errors import TrainingError
from app.families.family import PaddedSamples, Samples, Split, stack_tasks
from app.learn.networks import NetworkSpec
from app.training.publish import write_bundle
from app.training.recipes.recipe import Recipe
from app.training.tasks import Setting, draw_held_out, draw_tasks, sample
from app.training.training_run import Run
from app.training.validation import Validation

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Wards:
    """Recorded tasks: row number i of ward w is the input i with the target i + 100 * w. sizes: the rows of each."""

    sizes: Sequence[int] = (71,)
    kind = "regression"
    features = 1
    targets = 1
    network = NetworkSpec("linear", {"inputs": 1, "outputs": 1})

    def sample(
        self,
        tasks: int,
        examples: int,
        generator: torch.Generator,
        ways: int | None = None,
        split: Split = "training",
    ) -> Samples:
        drawn = []
        for ward in torch.randint(len(self.sizes), (tasks,), generator=generator).tolist():
            rows = torch.randperm(self.sizes[ward], generator=generator)[:examples, None].float()
            drawn.append((rows, rows + 100 * ward))
        return self.stack(drawn)

    def stack(self, tasks: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> Samples:
        return stack_tasks(tasks)


@dataclass(frozen=True)
class Unequal(Wards):
    def stack(self, tasks: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> Samples:
        return Samples(*(torch.stack([each[part] for each in tasks]) for part in range(2)))


@dataclass(frozen=True)
class Mismatched(Wards):
    def stack(self, tasks: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> Samples:
        return Samples(torch.zeros(len(tasks), 3, 1), torch.zeros(len(tasks), 2, 1))


@pytest.mark.parametrize("sizes", [(71,), (3, 9, 71, 500)])
def test_support_and_queries_are_rows_of_the_task_and_never_the_same(sizes: Sequence[int]) -> None:
    drawn = draw_tasks(Wards(sizes), 40, (4, 8), 100, torch.Generator().manual_seed(0))
    assert drawn.query.mask.all()
    assert drawn.query.inputs.shape == (40, 100, 1)
    for inputs, targets, mask, queries, truth in zip(*drawn.support[:3], *drawn.query[:2], strict=True):
        (ward,) = {*((targets - inputs) / 100).flatten().tolist(), *((truth - queries) / 100).flatten().tolist()}
        size, support, asked = sizes[int(ward)], set(inputs[mask].flatten().tolist()), set(queries.flatten().tolist())
        assert len(support) == mask.sum()
        assert min(4, size - 1) <= len(support) <= min(8, size - 1)
        assert not support & asked
        assert not set(inputs.flatten().tolist()) & asked, "padding is no query either, which would be at distance 0"
        assert len(asked) == min(100, size - min(8, size - 1)), "each of the others is asked about"


def test_tasks_that_are_large_enough_are_drawn_as_before() -> None:
    family, one, two = Wards((500, 900)), torch.Generator().manual_seed(3), torch.Generator().manual_seed(3)
    drawn, samples = draw_tasks(family, 6, (5, 5), 10, one), family.sample(6, 15, two)
    assert not isinstance(samples, PaddedSamples)
    assert torch.equal(torch.cat([drawn.support.inputs, drawn.query.inputs], 1), samples.inputs)


def test_a_task_of_one_example_is_refused() -> None:
    with pytest.raises(
        TrainingError, match=r"^the family Wards: expected at least 2 examples in each task, got 1: leave"
    ):
        draw_held_out(Wards((1, 71)), Setting(5), CPU, tasks=20)


def test_tasks_that_cannot_be_stacked_name_the_family_and_the_fix() -> None:
    generator, fix = torch.Generator(), "put tasks of different sizes together with `app.families.family.stack_tasks`"
    with pytest.raises(
        TrainingError, match=rf"^the family Unequal raised RuntimeError: stack expects each tensor.*: {fix}$"
    ):
        sample(Unequal((5, 9)), 20, 20, generator)
    with pytest.raises(
        TrainingError,
        match=r"^the family Mismatched: expected 4 tasks of 20 examples in inputs and targets, got the shapes "
        rf"\[4, 3, 1\] and \[4, 2, 1\]: {fix}$",
    ):
        sample(Mismatched(), 4, 20, generator)


@pytest.mark.parametrize(("sizes", "referenced", "calibrated"), [((71,), 19, 20), ((3, 9), 6, 7), ((8, 8), 6, 7)])
def test_a_family_of_small_tasks_trains_and_becomes_a_bundle(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sizes: Sequence[int], referenced: int, calibrated: int
) -> None:
    point: Any = SimpleNamespace(name="wards", load=lambda: lambda: Wards(sizes))
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point] if group == "innerloop.families" else [])
    recipe = Recipe("wards", outer_steps=10, tasks=4, inner_rate=1e-4, validation_tasks=5, scale_targets=True)
    run = Run(recipe, CPU, compiled=False)
    run.advance(10)
    assert Validation(run).validate() > 0
    write_bundle(run, tmp_path / "wards", "", "")
    manifest = load(tmp_path / "wards").manifest
    calibration = manifest.calibration
    assert calibration.has_intervals
    assert calibration.shots[-1] == calibrated, "more examples than a task has leave nothing to measure"
    assert all(calibration.largest_distance(examples) > 0 for examples in (*calibration.shots[1:], 50))
    assert f"For more than {calibrated} examples" in (tmp_path / "wards" / "CARD.md").read_text()
    assert max(manifest.ood_reference.support_sizes) == referenced, "the largest set that tasks have, one left out"
