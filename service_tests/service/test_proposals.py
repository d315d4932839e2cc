"""Proposals: each is the best one given those before, and ten of them teach more than ten random rows."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from app.bundles.folder import load
from app.errors import Invalid
from app.learn.calibration_table import Calibration
from app.service.commands import Goal, PredictCommand, ProposeCommand, ProposeResult
from app.service.engine import Engine
from app.service.job import Job
from app.service.label_proposals import choose_labels
from app.service.lanes import Lanes
from app.service.model import Model
from app.service.prediction_jobs import query_job
from app.service.proposals import Proposals, price_of
from app.service.task import Task
from app.service.uncertainty import calibrated_std
from app.service.work_queue import WorkQueue
from service_tests.device import DEVICE

ROOM = 1 << 30
WAVES = 20


@pytest.fixture(scope="module")
def bayesian(models_dir: Path) -> Model:
    return Model(load(models_dir / "sinusoid-bayes"), DEVICE)


@pytest.fixture(scope="module")
def blobs(classifiers: Path) -> Model:
    return Model(load(classifiers / "blobs"), DEVICE)


def propose(
    model: Model,
    task: Task | None,
    candidates: np.ndarray,
    count: int,
    goal: Goal = Goal.learn,
    target: int | None = None,
    max_price: int = 10**12,
) -> ProposeResult:
    command = ProposeCommand(PredictCommand(model, candidates, task), count, goal, target)

    async def run() -> ProposeResult:
        engine = Engine(1 << 20)
        small, large = (WorkQueue(engine, 100, ROOM) for _ in range(2))
        async with Lanes(engine, small, large, max_price, ROOM) as lanes:
            return await Proposals(lanes).propose(command)

    return asyncio.run(run())


def chosen(model: Model, task: Task | None, candidates: np.ndarray, count: int, *goal: Any) -> list[int]:
    """The indices of the proposals."""
    return [each.index for each in propose(model, task, candidates, count, *goal).proposals]


def answers(model: Model, task: Task, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """The predictions and their standard deviations."""
    (result,) = Engine(1 << 24).run([Job(model, object(), task, queries, keep=False)])
    assert result.predictions is not None
    return result.predictions, result.spread


def wave(rng: np.random.Generator) -> Any:
    amplitude, phase = rng.uniform(0.1, 5), rng.uniform(0, np.pi)
    return lambda x: (amplitude * np.sin(x - phase)).astype(np.float32)


def points(function: Any, x: np.ndarray) -> Task:
    x = x.astype(np.float32)[:, None]
    return Task(x, function(x), 1, 0.01)


def column(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float32)[:, None]


class TestNumbers:
    def test_each_is_the_one_of_the_largest_variance_once_those_before_are_known(self, bayesian: Model) -> None:
        """For Bayesian linear regression that is exact, whatever their labels will be."""
        rng = np.random.default_rng(0)
        function, pool = wave(rng), column(rng.uniform(-5, 5, 40))
        task = points(function, np.array([-1.0, 0.5]))
        result = propose(bayesian, task, pool, 5)
        left = np.ones(len(pool), bool)
        for proposal in result.proposals:
            _, std = answers(bayesian, task, pool)
            assert std is not None
            assert proposal.index == np.where(left, std[:, 0], -1).argmax()
            assert proposal.score == pytest.approx(std[proposal.index, 0], rel=1e-3)
            left[proposal.index] = False
            row, label = pool[proposal.index : proposal.index + 1], rng.normal(0, 3, (1, 1)).astype(np.float32)
            task = replace(
                task, inputs=np.concatenate([task.inputs, row]), targets=np.concatenate([task.targets, label])
            )

    def test_predictions_are_those_before_any_proposal(self, bayesian: Model) -> None:
        rng = np.random.default_rng(1)
        task, pool = points(wave(rng), np.array([-1.0, 0.5])), column(rng.uniform(-5, 5, 40))
        predictions, std = answers(bayesian, task, pool)
        assert std is not None
        for proposal in propose(bayesian, task, pool, 4, Goal.minimize).proposals:
            assert proposal.prediction == pytest.approx(predictions[proposal.index], abs=1e-5)
            assert proposal.std == pytest.approx(std[proposal.index], rel=1e-5)
            assert proposal.nearest_example == int(pool[proposal.index, 0] > -0.25)

    def test_the_initialization_proposes_too(self, bayesian: Model) -> None:
        pool = column(np.linspace(-5, 5, 21))
        proposals = propose(bayesian, None, pool, 3).proposals
        assert len({each.index for each in proposals}) == 3
        assert [each.nearest_example for each in proposals] == [None] * 3

    def test_a_row_that_is_proposed_teaches_more_than_a_random_one(self, bayesian: Model) -> None:
        ratios = [self._ratio(bayesian, np.random.default_rng(seed), count=1, spread=60) for seed in range(WAVES)]
        assert np.exp(np.mean(np.log(ratios))) < 0.5
        assert np.mean(np.array(ratios) < 1) > 0.75

    def test_ten_rows_that_are_proposed_teach_more_than_ten_random_ones(self, bayesian: Model) -> None:
        """Of many candidates that are alike, and a few others."""
        ratios = [self._ratio(bayesian, np.random.default_rng(seed), count=10, spread=5) for seed in range(WAVES)]
        assert np.exp(np.mean(np.log(ratios))) < 0.2
        assert np.mean(np.array(ratios) < 1) > 0.75

    @staticmethod
    def _ratio(model: Model, rng: np.random.Generator, count: int, spread: int) -> float:
        """The squared error after rows that are proposed, divided by that after random ones (mean of 4 draws).

        spread: candidates from the whole range; there are 60 in all
        """
        function = wave(rng)
        pool = np.concatenate([rng.uniform(-5, -4, 60 - spread), rng.uniform(-5, 5, spread)])
        known = rng.uniform(-5, -4, 2) if spread < 60 else rng.uniform(-5, 5, 3)
        queries = column(np.linspace(-5, 5, 100))

        def error(more: np.ndarray) -> float:
            predictions, _ = answers(model, points(function, np.concatenate([known, more])), queries)
            return float(np.square(predictions - function(queries), dtype=np.float64).mean())

        ours = error(pool[chosen(model, points(function, known), column(pool), count)])
        return ours / float(np.mean([error(rng.choice(pool, count, replace=False)) for _ in range(4)]))

    def test_the_best_of_ten_proposals_is_better_than_that_of_ten_random_rows(self, bayesian: Model) -> None:
        misses = []
        for seed in range(WAVES):
            rng = np.random.default_rng(seed)
            function, pool = wave(rng), rng.uniform(-5, 5, 200)
            task, targets = points(function, rng.uniform(-5, 5, 3)), function(pool)
            for goal, best, among in ((Goal.maximize, targets.max(), np.max), (Goal.minimize, targets.min(), np.min)):
                ours = among(targets[chosen(bayesian, task, column(pool), 10, goal)])
                random = np.mean([among(rng.choice(targets, 10, replace=False)) for _ in range(4)])
                misses.append((abs(ours - best), abs(random - best)))
        ours, random = np.mean(misses, axis=0)
        assert ours < 0.05 * random

    @pytest.mark.parametrize("goal", list(Goal))
    @pytest.mark.parametrize("wrong", [1e3, 1e30])
    def test_a_candidate_in_a_wrong_unit_comes_last_and_spoils_no_other(
        self, bayesian: Model, goal: Goal, wrong: float
    ) -> None:
        rng = np.random.default_rng(3)
        task, pool = points(wave(rng), np.array([-1.0, 0.5])), column(rng.uniform(-5, 5, 8))
        spoiled = np.concatenate([pool[:1] * np.float32(wrong), pool])
        for given in (task, None):
            usual = propose(bayesian, given, pool, 8, goal).proposals
            *others, last = propose(bayesian, given, spoiled, 9, goal).proposals
            assert [each.index - 1 for each in others] == [each.index for each in usual]
            assert [each.score for each in others] == pytest.approx([each.score for each in usual], rel=1e-3, abs=1e-6)
            assert (last.index, last.unlike) == (0, True)

    def test_if_all_candidates_are_outside_of_the_range_the_score_decides(self, bayesian: Model) -> None:
        task = points(wave(np.random.default_rng(3)), np.array([-1.0, 0.5]))
        proposals = propose(bayesian, task, column(np.array([6.0, 9.0, 7.0])), 3).proposals
        assert {each.index for each in proposals} == {0, 1, 2}
        assert [each.score for each in proposals] == sorted((each.score for each in proposals), reverse=True)

    def test_far_from_the_examples_is_what_learning_looks_for(self, models_dir: Path) -> None:
        """Where it is in the range of training."""
        model = Model(load(models_dir / "linear"), DEVICE)
        inner = model.bundle.manifest.inner_loop
        x = np.full((5, 1), -0.9, np.float32)
        found = propose(model, Task(x, 2 * x, inner.steps, inner.learning_rate), column(np.array([-0.8, 1.0])), 1)
        assert [(each.index, each.unlike) for each in found.proposals] == [(1, True)]

    def test_without_variance_the_calibration_says_how_sure_the_model_is(self, models_dir: Path) -> None:
        """A gradient step has no variance; candidates far from the examples and from each other are proposed."""
        model = Model(load(models_dir / "linear"), DEVICE)
        inner = model.bundle.manifest.inner_loop
        x = np.array([[-0.9], [-0.8], [-0.85], [-0.75], [-0.7]], np.float32)
        task = Task(x, 2 * x, inner.steps, inner.learning_rate)
        pool = np.array([[-0.8], [0.1], [0.9], [0.88], [-0.72]], np.float32)
        assert chosen(model, task, pool, 2) == [2, 1]
        assert chosen(model, task, pool, 1, Goal.maximize) == [2]

    def test_one_standard_deviation_is_that_of_the_calibrated_interval(self) -> None:
        widths = (((1.0, 1.645), (2.0, 3.29)),)
        calibration = Calibration(tasks=1, shots=(5,), levels=(0.6826894921370859, 0.9), half_widths=widths)
        np.testing.assert_allclose(calibrated_std(calibration, 5, [0.0, 3.0]), [[1, 2], [1, 2]], rtol=1e-6)
        wide = Calibration(tasks=1, shots=(5,), levels=(0.9, 0.95), half_widths=(((1.645, 1.96),),))
        np.testing.assert_allclose(calibrated_std(wide, 5, [0.0]), [[1.0]], rtol=1e-3)
        near_and_far = replace(calibration, distances=((0.0, 1.0),), stretch=(((0.5, 2.0), (0.5, 4.0)),))
        np.testing.assert_allclose(calibrated_std(near_and_far, 5, [0.0, 9.0]), np.array([[0.5, 1], [2, 8]]), rtol=1e-6)

    def test_the_price_counts_every_proposal(self, bayesian: Model) -> None:
        pool, task = column(np.linspace(-5, 5, 50)), points(np.sin, np.array([0.5]))
        predict = PredictCommand(bayesian, pool, task)
        job = query_job(predict, bayesian.bundle.manifest)
        one, eleven = (price_of(ProposeCommand(predict, count, Goal.learn), job) for count in (1, 11))
        assert job.price < one < 1.5 * job.price
        assert eleven > 11 * job.price
        with pytest.raises(Invalid, match=r"candidates: expected work .* send fewer candidates, or a smaller count"):
            propose(bayesian, task, pool, 11, max_price=eleven - 1)
        assert len(propose(bayesian, task, pool, 11, max_price=eleven).proposals) == 11


class TestLabels:
    def test_ten_proposed_rows_teach_more_than_ten_random_ones(self, blobs: Model) -> None:
        """Of candidates most of which are of one class."""
        gains = [self._gain(blobs, np.random.default_rng(seed)) for seed in range(60)]
        assert np.mean(gains) > 0.03
        assert np.mean(gains) > 3 * np.std(gains) / np.sqrt(len(gains))

    @staticmethod
    def _gain(model: Model, rng: np.random.Generator) -> float:
        """By how much the accuracy is better after rows that are proposed than after random ones (mean of 4 draws)."""
        centers = np.array([[0, 2.5], [-2.5, -1.5], [2.5, -1.5]])
        labels = np.array(["a", "b", "c"], object)

        def draw(sizes: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
            inputs = np.repeat(centers, sizes, axis=0)
            return (inputs + rng.normal(0, 2, inputs.shape)).astype(np.float32), np.repeat(labels, sizes)

        support, pool, queries = draw((1, 1, 1)), draw((100, 6, 6)), draw((60, 60, 60))

        def accuracy(more: Any) -> float:
            inputs, targets = (np.concatenate([known, new[more]]) for known, new in zip(support, pool, strict=True))
            logits, _ = answers(model, Task(inputs, targets, 1, 0.1), queries[0])
            return float(np.mean(labels[logits.argmax(1)] == queries[1]))

        random = [accuracy(rng.choice(len(pool[0]), 10, replace=False)) for _ in range(4)]
        return accuracy(chosen(model, Task(*support, 1, 0.1), pool[0], 10)) - float(np.mean(random))

    def test_the_label_to_find_is_the_most_likely_one(self, blobs: Model) -> None:
        support = np.array([[-3, 0], [3, 0]], np.float32)
        task = Task(support, np.array(["no", "yes"], object), 1, 0.1)
        pool = np.array([[0, 0], [2.9, 0.1], [-2.9, 0.1], [1, 0]], np.float32)
        found = propose(blobs, task, pool, 2, Goal.maximize, 1).proposals
        assert [each.index for each in found] == [1, 3]
        assert [each.prediction for each in found] == ["yes", "yes"]
        assert [each.nearest_example for each in found] == [1, 1]
        avoided = propose(blobs, task, pool, 1, Goal.minimize, 1).proposals[0]
        assert (avoided.index, avoided.std) == (2, None)
        assert found[0].score + propose(blobs, task, pool, 4, Goal.minimize, 1).proposals[3].score == pytest.approx(1)

    def test_unsure_and_new_candidates_come_first_and_no_copy_of_an_earlier_one(self) -> None:
        likely = np.array([[0.5, 0.5], [0.5, 0.5], [0.9, 0.1], [0.5, 0.5]], np.float32)
        features = np.array([[2, 0], [2, 0], [0, 2], [0, 1]], np.float32)
        support = np.zeros((1, 2), np.float32)
        choices = choose_labels(likely, features, support, [1.0, 1.0], 4, Goal.learn, None, None)
        assert [index for index, _ in choices] == [0, 2, 3, 1]
        assert choices[0][1] == pytest.approx(1.5 * 2)
        assert choices[-1][1] == 0
        far = [False, False, False, True]
        choices = choose_labels(likely, features, support, [1.0, 1.0], 4, Goal.learn, None, far)
        assert [index for index, _ in choices] == [0, 2, 1, 3]
        for goal in (Goal.maximize, Goal.minimize):
            assert choose_labels(likely, features, support, [1.0, 1.0], 4, goal, 0, far)[-1][0] == 3
        alone = choose_labels(likely, features, None, [1.0, 1.0], 2, Goal.learn, None, None)
        assert [index for index, _ in alone] == [0, 3]
        assert torch.isfinite(torch.tensor([score for _, score in alone])).all()
