"""Which texts are longer than the encoder of a bundle reads."""

import asyncio

import numpy as np

from app.encoders.encoder import ReadsBeginnings
from app.service.commands import NOTHING_CUT, Cut, PredictCommand
from app.service.model import Model
from app.service.record import Adaptation
from app.service.task import Task

QUICK_S = 0.2
"""Rows that are encoded in so many seconds are compared with the length on the event loop, which takes 1 % of that."""


async def cut_rows(model: Model, rows: np.ndarray) -> list[int]:
    """The numbers of the rows of which only the beginning is encoded. rows: as in `Stage.inputs`"""
    encoder = model.bundle.encoder
    if rows.dtype != object or not isinstance(encoder, ReadsBeginnings):
        return []
    kept = rows.tolist()
    return encoder.cut(kept) if encoder.seconds(kept) < QUICK_S else await asyncio.to_thread(encoder.cut, kept)


async def cut_of(command: PredictCommand, posted: np.ndarray | None = None) -> Cut:
    """What is cut of a request. posted: its queries as they were posted, where it has features instead"""
    model, task, numbers = command.model, command.task, command.examples
    posted = command.queries if posted is None else posted
    if posted.dtype != object and (task is None or task.inputs.dtype != object):  # numbers are never cut
        return NOTHING_CUT
    rows = await cut_rows(model, posted)
    examples = [] if task is None else await _cut_inputs(model, task)
    return Cut(rows, examples if numbers is None else numbers[examples].tolist())


async def _cut_inputs(model: Model, task: Task) -> list[int]:
    """As `cut_rows`, of the inputs of a task, which keeps the answer."""
    if model.digest not in task.cut_inputs:
        task.cut_inputs[model.digest] = await cut_rows(model, task.inputs)
    return task.cut_inputs[model.digest]


async def cut_examples(model: Model, adaptation: Adaptation) -> list[int]:
    """The numbers of the examples of a record of which only the beginning is encoded."""
    parts = [(stage.numbers, await cut_rows(model, stage.inputs)) for stage in adaptation.stages]
    return [int(numbers[row]) for numbers, rows in parts for row in rows]
