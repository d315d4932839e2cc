"""What answers the tasks of an evaluation: a bundle in this process, or (`app.cli.evaluation_tasks`) one behind a server."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from app.bundles import Bundle
from app.learn.adapted import judge
from app.learn.inner import Examples, Schedule, batched, trajectory
from app.learn.losses import KINDS
from app.learn.outer import Tasks
from app.learn.pytrees import leaves, rebuild
from app.learn.shapes import Bool, Float

AT_ONCE = 1 << 21
"""Numbers in the inputs of a fused call: bounds the memory. 2,675 images of 28 x 28."""


class Answers(NamedTuple):
    """Answers to the queries of tasks, after each number of steps that was asked for.

    outputs: what is predicted; logits of classes
    usable: false where the server would answer 422, because the inner loop diverged
    """

    outputs: Float[Tensor, "step task query target"]
    usable: Bool[Tensor, "step task"]


Predictor = Callable[[Tasks, Sequence[int]], Answers]
"""(tasks, numbers of steps, ascending) -> the answers."""


def offline(bundle: Bundle, rate: float | None = None) -> Predictor:
    """The bundle on the device of its meta-parameters. rate: the inner learning rate instead of its default."""
    manifest = bundle.manifest
    chosen = manifest.inner_loop.learning_rate if rate is None else rate

    @torch.no_grad()
    def answer(tasks: Tasks, steps: Sequence[int]) -> Answers:
        inner = batched(bundle.inner_loop(ways=ways_of(bundle, tasks)))
        rates = torch.full((len(tasks.support.mask),), chosen, device=tasks.support.mask.device)
        counts = torch.full_like(rates, steps[-1], dtype=torch.int64)
        outputs, losses = [], []
        walk = trajectory(inner, bundle.meta, tasks.support, Schedule(rates, counts, max_steps=steps[-1]))
        for done, (state, loss) in enumerate(walk):
            losses.append(loss)
            if done in steps:
                outputs.append(inner.apply(bundle.meta, state, tasks.query.inputs))
        by_task = torch.stack(losses, dim=1).tolist()
        usable = [[judge(each[: done + 1], manifest.initial_loss).usable for each in by_task] for done in steps]
        return Answers(torch.stack(outputs), torch.tensor(usable, device=rates.device))

    return answer


def ways_of(bundle: Bundle, tasks: Tasks) -> int | None:
    """The width of the tasks' class axis, where there are classes."""
    return tasks.support.targets.shape[-1] if KINDS[bundle.manifest.kind].one_hot else None


def portions(tasks: Tasks) -> Iterator[Tasks]:
    """The tasks in portions that fit into memory at once."""
    numbers = sum(part.inputs[0].numel() for part in tasks)
    at_once = max(1, AT_ONCE // numbers)
    for start in range(0, len(tasks.support.mask), at_once):
        yield rebuild((tasks,), (leaf[start : start + at_once] for leaf in leaves((tasks,))))[0]


def answered(predictor: Predictor, tasks: Tasks, steps: Sequence[int]) -> Answers:
    """The answers to all tasks, asked for in portions."""
    parts = [predictor(portion, steps) for portion in portions(tasks)]
    return Answers(*(torch.cat(each, dim=1) for each in zip(*parts, strict=True)))


def without_a_class(tasks: Tasks) -> tuple[Tasks, Bool[Tensor, "task query"]]:
    """Classification tasks whose last class is not in the support set, and which queries are of it."""
    absent = tasks.query.targets[..., -1] > 0
    shown = tasks.support.mask & (tasks.support.targets[..., -1] == 0)
    support = Examples(tasks.support.inputs, tasks.support.targets[..., :-1], shown)
    return Tasks(support, tasks.query._replace(targets=tasks.query.targets[..., :-1])), absent
