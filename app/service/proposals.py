"""Which row to measure or label next, so that a model learns the most, or finds the largest or smallest target."""

import asyncio
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

import numpy as np

from app.bundles.manifest import Manifest
from app.service.answers import DEFAULT_OPTIONS, QUICK_NUMBERS, Answer, answer_queries
from app.service.commands import Proposal, ProposeCommand, ProposeResult
from app.service.cut_texts import cut_of
from app.service.deadlines import Caller
from app.service.job import Job, Result
from app.service.label_proposals import Choice, choose_labels
from app.service.nearest_example import nearest_examples
from app.service.number_proposals import Beliefs
from app.service.prediction_jobs import checked_predictions, query_job
from app.service.task import Task
from app.service.unlike_queries import Far, far_queries
from app.service.work_cost import PASSES, distance_price
from app.service.worker_protocol import Worker

P = ParamSpec("P")
T = TypeVar("T")
PLACE = "candidates"
"""What a request calls the rows that it asks about."""


class Proposals:
    """Proposes rows. Nothing is kept."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def propose(self, command: ProposeCommand, caller: Caller | None = None) -> ProposeResult:
        """Propose candidates, the best first, each as if those before had been measured.

        Those that are unlike the inputs of training come last, in the order of their scores.

        Raises Diverged; Invalid where the work costs too much, or the prediction of a candidate is not finite.
        """
        predict = command.predict
        manifest = predict.model.bundle.manifest  # one for all, as a reload may exchange its calibration
        job = query_job(predict, manifest, features=True, place=PLACE)
        self._worker.check_price(price_of(command, job), PLACE, f"send fewer {PLACE}, or a smaller count")
        result = await self._worker.submit(job, caller)
        outputs = checked_predictions(result, predict, PLACE)
        inputs = outputs, predict.queries, job.task, manifest, DEFAULT_OPTIONS, result.distances
        answer = await _computed(
            outputs.size + predict.queries.size, answer_queries, *inputs, similarity=result.similarity
        )
        far = await _computed(predict.queries.size, far_queries, predict.queries, manifest)
        if answer.probabilities is not None:
            choices = await self._choose_labels(command, manifest, answer.probabilities, result.features, far)
        else:
            task = None if job.task is None else _with_features(job.task, result)
            choices, std = await self._choose_numbers(command, manifest, task, result, far, caller)
            answer = answer._replace(std=std)
        scale = scale_of(manifest, predict.queries)
        proposals = await _computed(
            len(choices) * predict.queries.shape[1], _proposals, command, choices, answer, result, scale
        )
        return ProposeResult(command, proposals, result.adapted, await cut_of(predict, command.posted))

    async def _choose_labels(
        self, command: ProposeCommand, manifest: Manifest, likely: np.ndarray, support: np.ndarray | None, far: Far
    ) -> list[Choice]:
        queries = command.predict.queries
        known = None if support is None or not len(support) else support
        inputs = likely, queries, known, scale_of(manifest, queries), command.count, command.goal, command.target, far
        size = (command.count + (0 if known is None else len(known))) * queries.size
        return await _computed(size, choose_labels, *inputs)

    async def _choose_numbers(
        self,
        command: ProposeCommand,
        manifest: Manifest,
        task: Task | None,
        result: Result,
        far: Far,
        caller: Caller | None,
    ) -> tuple[list[Choice], np.ndarray]:
        """The choices, and the standard deviation of each candidate before any of them. task: with features"""
        predict, candidates = command.predict, command.predict.queries.size
        beliefs = await _computed(candidates, Beliefs, command, manifest, task, result, far)
        std, choices = beliefs.std, [await _computed(candidates, beliefs.choose)]
        while len(choices) < command.count:
            trusted = beliefs.trusts(choices[-1][0])
            if trusted:
                task = await _computed(candidates, beliefs.believe, choices[-1][0])
            if trusted and beliefs.needs_predictions:
                job = Job(predict.model, object(), task, predict.queries, keep=False, place=PLACE)
                await _computed(candidates, beliefs.update, await self._worker.submit(job, caller))
            choices.append(await _computed(candidates, beliefs.choose))
        return choices, std


def price_of(command: ProposeCommand, job: Job) -> int:
    """What the proposals cost, in multiply-adds. job: the first one, before any proposal"""
    candidates, count, model, task = len(command.predict.queries), command.count, job.variant, job.task
    apart, known = distance_price(command.predict.queries.shape[1]), 0 if task is None else task.rows
    if model.ways is not None:
        return job.price + (candidates + count) * known * apart + count * candidates * apart
    steps = model.bundle.manifest.inner_loop.steps if task is None else task.steps
    again = candidates * (apart + model.answer_price) + (known + count) * (PASSES * steps + 1) * model.row_price
    return job.price + count * known * apart + (count - 1) * again


def scale_of(manifest: Manifest, features: np.ndarray) -> Sequence[float]:
    """By what each feature is divided in distances: as measured in training; otherwise 1."""
    return manifest.ood_reference.input_scale or [1.0] * features.shape[1]


def _with_features(task: Task, result: Result) -> Task:
    """A task with the features that the worker has found for it."""
    assert result.features is not None, "the job asked for them"
    return task.with_inputs(result.features)


def _proposals(
    command: ProposeCommand, choices: Sequence[Choice], answer: Answer, result: Result, scale: Sequence[float]
) -> list[Proposal]:
    rows = command.predict.queries[[index for index, _ in choices]]
    nearest: Sequence[int | None] = [None] * len(rows)
    if result.features is not None and len(result.features):
        nearest = nearest_examples(rows, result.features, scale)
        if (numbers := command.predict.examples) is not None:
            nearest = numbers[nearest].tolist()
    return [
        Proposal(
            index,
            score,
            answer.predictions[index],
            None if answer.std is None else answer.std[index],
            example,
            None if answer.unlike is None else answer.unlike[index],
        )
        for (index, score), example in zip(choices, nearest, strict=True)
    ]


async def _computed(size: int, function: Callable[P, T], *inputs: P.args, **options: P.kwargs) -> T:
    """The result of a function: called at once for few numbers, else on a thread."""
    if size <= QUICK_NUMBERS:
        return function(*inputs, **options)
    return await asyncio.to_thread(function, *inputs, **options)
