"""Scores of an initialization on held-out tasks: error by support size and by steps, with 95 % intervals over tasks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap

from app.families.family import Family
from app.learn.adapted import judge
from app.learn.inner import InnerLoop, State, batched, trajectory
from app.learn.losses import Loss
from app.learn.metrics import interval
from app.learn.outer import Tasks
from app.learn.rules import Params
from app.learn.shapes import Float
from app.training.loop import draw_tasks

TASKS = 600
QUERIES = 100
SEED = 20170309
"""Of the evaluation tasks. Recipes count their seeds from 0, so that no training run draws the same tasks."""


@dataclass(frozen=True)
class Curve:
    """Query error after 0, 1, ... steps at one support size.

    mean, half_width: over the tasks, with the half width of the 95 % interval
    refused: the share of tasks that the server would answer 422 (diverged); they count with their untouched error
    """

    mean: list[float]
    half_width: list[float]
    refused: list[float]


def evaluation_tasks(
    family: Family, shots: int, device: torch.device, *, tasks: int = TASKS, seed: int = SEED
) -> Tasks:
    """The held-out tasks at one support size, always the same ones for the same seed."""
    generator = torch.Generator(device).manual_seed(seed)
    return draw_tasks(family, tasks, (shots, shots), QUERIES, generator)


@torch.no_grad()
def task_scores(
    inner: InnerLoop[State], loss: Loss, meta: Params, tasks: Tasks, rate: float, steps: int
) -> tuple[Float[Tensor, "step task"], Float[Tensor, "step task"]]:
    """Support losses and query losses of each task after 0, 1, ..., `steps` steps, without judging them."""
    count = tasks.support.mask.shape[0]
    rates = torch.full((count,), rate, device=tasks.support.mask.device)
    counts = torch.full((count,), steps, device=rates.device)
    over_tasks = batched(inner)
    supports, queries = [], []
    for state, support_loss in trajectory(over_tasks, meta, tasks.support, rates, counts, longest=steps):
        outputs = over_tasks.apply(meta, state, tasks.query.inputs)
        supports.append(support_loss)
        queries.append(vmap(loss)(outputs, tasks.query.targets, tasks.query.mask))
    return torch.stack(supports), torch.stack(queries)


def curve(
    inner: InnerLoop[State], loss: Loss, meta: Params, tasks: Tasks, rate: float, steps: int, untouched_loss: float
) -> Curve:
    """Query error by steps. A task whose adaptation is not usable after some steps keeps its untouched error there."""
    supports, queries = task_scores(inner, loss, meta, tasks, rate, steps)
    by_task = supports.T.tolist()
    usable = torch.tensor(
        [[judge(losses[: done + 1], untouched_loss).usable for losses in by_task] for done in range(steps + 1)]
    )
    scores = torch.where(usable.to(queries.device), queries, queries[0])
    means = [interval(row) for row in scores]
    return Curve(
        mean=[each.mean for each in means],
        half_width=[each.half_width for each in means],
        refused=(~usable).double().mean(1).tolist(),
    )


def as_text(curves: Mapping[int, Curve], steps: range) -> str:
    """The curves as a table in Markdown, a row a support size."""
    lines = ["| shots | " + " | ".join(f"{step} steps" for step in steps) + " |", "|---" * (len(steps) + 1) + "|"]
    for shots, each in curves.items():
        cells = (f"{each.mean[step]:.3g} ± {each.half_width[step]:.2g}" for step in steps)
        lines.append(f"| {shots} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def as_json(curves: Mapping[int, Curve], steps: int) -> dict[str, Any]:
    """The curves up to `steps` as they stand in bundle.json, with their protocol."""
    return {
        "score": "mean squared error on the query set",
        "tasks": TASKS,
        "queries": QUERIES,
        "seed": SEED,
        "by_shots": {
            str(shots): {
                "mean": each.mean[: steps + 1],
                "half_width_95": each.half_width[: steps + 1],
                "refused": each.refused[: steps + 1],
            }
            for shots, each in curves.items()
        },
    }
