"""What predicts the queries of held-out tasks: a bundle in this process, or one behind a server (`app.cli`)."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from app.bundles.bundle import Bundle
from app.learn.adaptation_outcome import judge
from app.learn.inner import Examples, Schedule, batched, trajectory
from app.learn.outer_directions import Tasks
from app.learn.pytrees import leaves, rebuild
from app.learn.shape_annotations import Bool, Float

MAX_NUMBERS = 1 << 21
"""Numbers in the inputs of a fused call: bounds the memory. 2,675 images of 28 x 28."""


class Answers(NamedTuple):
    """Predictions for the queries of tasks, after each of the numbers of steps.

    outputs: the predictions; logits where there are classes
    usable: false where the server would answer 422, because the inner loop diverged
    """

    outputs: Float[Tensor, "step task query target"]
    usable: Bool[Tensor, "step task"]


Predictor = Callable[[Tasks, Sequence[int]], Answers]
"""(tasks, numbers of steps, ascending) -> the predictions after each number of steps."""


def offline(bundle: Bundle, rate: float | None = None) -> Predictor:
    """The bundle in this process, on the device of its meta-parameters.

    rate: the inner learning rate; the bundle's default if None
    """
    manifest = bundle.manifest
    learning_rate = manifest.inner_loop.learning_rate if rate is None else rate

    @torch.no_grad()
    def predict(tasks: Tasks, steps: Sequence[int]) -> Answers:
        # where there are classes, the targets have a column for each; other kinds ignore `ways`
        inner = batched(bundle.inner_loop(ways=tasks.support.targets.shape[-1]))
        rates = torch.full((len(tasks.support.mask),), learning_rate, device=tasks.support.mask.device)
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

    return predict


def portions(tasks: Tasks) -> Iterator[Tasks]:
    """The tasks in portions that fit into memory at once."""
    numbers = sum(part.inputs[0].numel() for part in tasks)
    size = max(1, MAX_NUMBERS // numbers)
    for start in range(0, len(tasks.support.mask), size):
        yield rebuild((tasks,), (leaf[start : start + size] for leaf in leaves((tasks,))))[0]


def predict_in_portions(predictor: Predictor, tasks: Tasks, steps: Sequence[int]) -> Answers:
    """The predictions for all tasks, computed portion by portion."""
    parts = [predictor(portion, steps) for portion in portions(tasks)]
    return Answers(*(torch.cat(each, dim=1) for each in zip(*parts, strict=True)))


@torch.no_grad()
def predict_initially(bundle: Bundle, tasks: Tasks) -> Float[Tensor, "task query target"]:
    """The predictions of the initialization, without the support sets. Not for classes, which only these name."""
    inner = bundle.inner_loop()
    state = inner.init(bundle.meta)
    rows = [portion.query.inputs.flatten(0, 1) for portion in portions(tasks)]
    outputs = torch.cat([inner.apply(bundle.meta, state, each) for each in rows])
    return outputs.reshape(*tasks.query.mask.shape, -1)


def without_last_class(tasks: Tasks) -> tuple[Tasks, Bool[Tensor, "task query"]]:
    """Classification tasks without their last class in the support set, and which queries are of that class."""
    absent = tasks.query.targets[..., -1] > 0
    mask = tasks.support.mask & (tasks.support.targets[..., -1] == 0)
    support = Examples(tasks.support.inputs, tasks.support.targets[..., :-1], mask)
    return Tasks(support, tasks.query._replace(targets=tasks.query.targets[..., :-1])), absent
