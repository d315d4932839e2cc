"""Training tasks from logs: what is adapted to is weighed by advantage and propensity, what is scored by reward."""

import torch
from torch import Tensor

from app.families.family import Split
from app.families.logs import Log, Logged
from app.learn.inner import Examples
from app.learn.outer import Tasks
from app.learn.policies import Weighing, weights
from app.learn.shapes import Bool


def logged_tasks(
    family: Logged,
    tasks: int,
    shots: tuple[int, int],
    queries: int,
    generator: torch.Generator,
    split: Split = "training",
) -> Tasks:
    """Tasks whose support sets are the decisions just before the queries; arguments as for `draw_tasks`."""
    (least, most), device = shots, generator.device
    log = family.log(tasks, most + queries, generator, split)
    counts = torch.randint(least, most + 1, (tasks, 1), generator=generator, device=device)
    place = torch.arange(most, device=device)
    support = _picked(log, (place + most - counts).clamp(max=most - 1))
    query = Log(*(part[:, most:] for part in log))
    return Tasks(support_of(support, family.weighing, place < counts), queries_of(query))


def support_of(log: Log, weighing: Weighing, mask: Bool[Tensor, "task decision"] | None = None) -> Examples:
    """Support sets as the server makes them of one episode with rewards and propensities. mask: false in padding."""
    shown = torch.ones_like(log.rewards, dtype=torch.bool) if mask is None else mask
    seen, rewards, propensities, real = (
        part.unsqueeze(1) for part in (log.observations, log.rewards, log.propensities, shown)
    )
    return _examples(log, weights(seen, rewards, propensities, real, weighing).squeeze(1), shown)


def queries_of(log: Log) -> Examples:
    """Queries that count their reward over its propensity (`Logged`)."""
    return _examples(log, log.rewards / log.propensities, torch.ones_like(log.rewards, dtype=torch.bool))


def _picked(log: Log, places: Tensor) -> Log:
    """The decisions at these places, [task, decision]."""
    return Log(*(part.take_along_dim(places[(..., *[None] * (part.ndim - 2))], 1) for part in log))


def _examples(log: Log, counted: Tensor, shown: Tensor) -> Examples:
    return Examples(log.observations, torch.cat([log.actions, counted.unsqueeze(-1)], -1), shown)
