"""The OOD reference of a bundle: what support sets of its training tasks look like (`app.learn.support_ood`)."""

from dataclasses import replace

import torch
from torch import Tensor

from app.bundles.bundle import Bundle
from app.families.family import Family, HasTrainingInputs, PaddedSamples, Samples
from app.learn.adaptation_outcome import judge
from app.learn.inner import Examples, Schedule, adapt, batched
from app.learn.losses import KINDS
from app.learn.shape_annotations import Float
from app.learn.support_ood import ERROR_QUANTILE, OODReference, task_error
from app.training.family_and_network import device_of
from app.training.new_task_range import new_task_range
from app.training.tasks import limit_draws, sample, sizes_of

TASKS = 600
SIZES = (2, 3, 5, 7, 10, 20)
"""Of the support sets. With TASKS, this costs about as much as the evaluation."""
MIN_TASKS = 60
"""A size that fewer of the tasks have is left out."""
SEED = 20180709
"""Other tasks than those of the evaluation."""
MAX_ADAPTATIONS = 4096
"""In a fused call: bounds the memory."""


def make_ood_reference(bundle: Bundle, family: Family) -> OODReference:
    """The OOD reference of a regression bundle, from fresh training tasks of its family.

    It has only sizes that enough of the tasks have.
    """
    generator = torch.Generator(device_of(bundle)).manual_seed(SEED)
    count = limit_draws(family, TASKS, "training", draws=1)
    drawn = {size: _complete(sample(family, count, size, generator), size) for size in SIZES}
    samples = {size: each for size, each in drawn.items() if len(each.inputs) >= MIN_TASKS}
    if not samples:
        return OODReference()
    reference = OODReference.of(
        torch.cat([each.inputs.flatten(0, 1) for each in samples.values()]),
        count,
        SEED,
        support_sizes=tuple(size - 1 for size in samples),
        error_limits=tuple(score_limit(task_error(left_out_errors(bundle, tasks))) for tasks in samples.values()),
    )
    return with_new_task_range(reference, family) if isinstance(family, HasTrainingInputs) else reference


def with_new_task_range(reference: OODReference, family: HasTrainingInputs) -> OODReference:
    """The same reference with the range that new tasks seldom leave."""
    low, high = new_task_range(family.training_inputs, family.column_widths)
    return replace(reference, input_low=tuple(low.tolist()), input_high=tuple(high.tolist()))


def _complete(samples: Samples, size: int) -> Samples:
    """The tasks that have this many examples."""
    if not isinstance(samples, PaddedSamples):
        return samples
    complete = sizes_of(samples) >= size
    return Samples(samples.inputs[complete], samples.targets[complete])


def score_limit(scores: Float[Tensor, " task"]) -> float:
    """A fresh task exceeds this score with a probability of at most 1 - ERROR_QUANTILE (split conformal prediction).

    Lei et al. 2018, "Distribution-free predictive inference for regression"
    """
    rank = min(len(scores), int(-(-ERROR_QUANTILE * (len(scores) + 1) // 1)))
    return scores.sort().values[rank - 1].item()


@torch.no_grad()
def left_out_errors(bundle: Bundle, tasks: Samples) -> Float[Tensor, "task example"]:
    """The error of each example after adapting to the other examples of its task, with the bundle's defaults.

    NaN where the inner loop gives nothing that can be used.
    """
    size = tasks.inputs.shape[1]
    others = ~torch.eye(size, dtype=torch.bool, device=tasks.inputs.device)
    count = max(1, MAX_ADAPTATIONS // size)
    chunks = (Samples(*(part[start : start + count] for part in tasks)) for start in range(0, len(tasks.inputs), count))
    return torch.cat([_errors(bundle, chunk, others) for chunk in chunks])


def _errors(bundle: Bundle, tasks: Samples, others: Tensor) -> Tensor:
    manifest, inner = bundle.manifest, batched(bundle.inner_loop())
    count, size = tasks.inputs.shape[:2]
    inputs, targets = (part.repeat_interleave(size, 0) for part in tasks)
    rate = torch.full((count * size,), manifest.inner_loop.learning_rate, device=inputs.device)
    steps = torch.full((count * size,), manifest.inner_loop.steps, device=inputs.device)
    support = Examples(inputs, targets, others.repeat(count, 1))
    states, losses = adapt(inner, bundle.meta, support, Schedule(rate, steps, manifest.inner_loop.steps))
    outputs = inner.apply(bundle.meta, states, tasks.inputs.reshape(count * size, 1, -1))
    errors = KINDS[manifest.kind].error(outputs.double(), tasks.targets.reshape(count * size, 1, -1).double())
    usable = [judge(row, manifest.initial_loss).usable for row in losses.tolist()]
    return errors.where(torch.tensor(usable, device=errors.device)[:, None], torch.nan).reshape(count, size)
