"""Training tasks from logs: support sets are weighed by advantage and propensity, queries by reward and propensity."""

import torch
from torch import Tensor

from app.families.decision_log import DecisionLog, Logged
from app.families.family import Split
from app.learn.decision_weights import Weighing, weights
from app.learn.inner import Examples
from app.learn.outer_directions import Tasks
from app.learn.shape_annotations import Bool


def logged_tasks(
    family: Logged,
    tasks: int,
    shots: tuple[int, int],
    queries: int,
    generator: torch.Generator,
    split: Split = "training",
) -> Tasks:
    """Tasks whose support sets are the decisions just before the queries. Arguments as for `draw_tasks`."""
    (min_shots, max_shots), device = shots, generator.device
    log = family.log(tasks, max_shots + queries, generator, split)
    counts = torch.randint(min_shots, max_shots + 1, (tasks, 1), generator=generator, device=device)
    place = torch.arange(max_shots, device=device)
    support = _decisions_at(log, (place + max_shots - counts).clamp(max=max_shots - 1))
    query = DecisionLog(*(part[:, max_shots:] for part in log))
    return Tasks(log_as_support(support, family.weighing, place < counts), log_as_queries(query))


def log_as_support(log: DecisionLog, weighing: Weighing, mask: Bool[Tensor, "task decision"] | None = None) -> Examples:
    """Support sets as the server makes them from one episode with rewards and propensities. mask: false in padding."""
    mask = torch.ones_like(log.rewards, dtype=torch.bool) if mask is None else mask
    observations, rewards, propensities, episode_mask = (
        part.unsqueeze(1) for part in (log.observations, log.rewards, log.propensities, mask)
    )
    weight = weights(observations, rewards, propensities, episode_mask, weighing).squeeze(1)
    return _examples(log, weight, mask)


def log_as_queries(log: DecisionLog) -> Examples:
    """Queries that weigh each decision by its reward over its propensity (`Logged`)."""
    return _examples(log, log.rewards / log.propensities, torch.ones_like(log.rewards, dtype=torch.bool))


def _decisions_at(log: DecisionLog, places: Tensor) -> DecisionLog:
    """The decisions at these places, [task, decision]."""
    return DecisionLog(*(part.take_along_dim(places[(..., *[None] * (part.ndim - 2))], 1) for part in log))


def _examples(log: DecisionLog, weight: Tensor, mask: Tensor) -> Examples:
    return Examples(log.observations, torch.cat([log.actions, weight.unsqueeze(-1)], -1), mask)
