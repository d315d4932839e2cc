"""What the targets of a family mean, and what they are standardised by: learned from training tasks alone."""

import torch

from app.encoders.scaling import Ranges
from app.errors import TrainingError, expectation
from app.families.family import Family, HasTargetUnits
from app.learn.losses import KINDS
from app.learn.target_scale import TargetScale, TargetSpec
from app.training.tasks import sample

TASKS = 1_000
SEED = 20240131
"""Other tasks than those that the run adapts to."""


def learn_targets(family: Family, examples: int, *, scale: bool) -> TargetSpec | None:
    """The description of a family's targets; None if the family does not describe them and they are not scaled.

    examples: of each task that is drawn
    scale: whether the network is to work in standardised targets

    Raises TrainingError where the targets are not numbers, or where the description does not fit them.
    """
    described = isinstance(family, HasTargetUnits) and bool(family.target_names or family.target_units)
    if not (scale or described):
        return None
    if not KINDS[family.kind].numeric:
        place, expected, actual = ("target_names", "none", "some")
        if scale:
            place, expected, actual = ("--set scale_targets", "false", "true")
        raise TrainingError(expectation(place, f"{expected}, because the family is for {family.kind}", actual))
    targets = sample(family, TASKS, examples, torch.Generator().manual_seed(SEED)).targets.flatten(0, 1)
    targets = targets[~targets.isnan().any(-1)]  # without padding
    ranges = Ranges.of(targets.double().cpu().numpy())
    mean, std, low, high = (tuple(part.tolist()) for part in (ranges.mean, ranges.std, ranges.low, ranges.high))
    names, units = (family.target_names, family.target_units) if isinstance(family, HasTargetUnits) else ((), ())
    spec = TargetSpec(tuple(names), tuple(units), low, high, TargetScale(mean, std) if scale else None)
    for reason in spec.errors(family.targets):
        raise TrainingError(f"the family: {reason}")
    return spec
