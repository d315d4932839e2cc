"""The OOD reference of a policy: the range of each number of the observations that it was trained on."""

import torch
from torch import Tensor

from app.bundles.bundle import Bundle
from app.families.family import Family, Split
from app.families.worlds_protocol import Worlds
from app.learn.shape_annotations import Float
from app.learn.support_ood import OODReference
from app.training.family_and_network import device_of
from app.training.rollouts import local_learner, run_stages
from app.training.tasks import QUERIES, sample

TASKS = 600
WORLDS = 300
"""Of a policy that was trained by acting, which takes longer."""
EPISODES, STAGES = 5, 1
"""The episodes in a world before the first stage and after each, and the stages that the policy adapts to."""
SEED = 20180709


def make_observation_reference(bundle: Bundle, family: Family) -> OODReference:
    """The OOD reference of a policy. It has no limits of errors: decisions to adapt to are not compared."""
    tasks = WORLDS if learns_by_acting(bundle, family) else TASKS
    return OODReference.of(draw_observations(bundle, family, tasks, "training", SEED), tasks, SEED)


def draw_observations(
    bundle: Bundle, family: Family, tasks: int, split: Split, seed: int
) -> Float[Tensor, "observation feature"]:
    """Observations of fresh tasks.

    A policy that was trained by acting makes its own: it acts in fresh worlds before and after it adapts. For any other
    they are those of the decisions to imitate, QUERIES of each task.
    """
    generator = torch.Generator(device_of(bundle)).manual_seed(seed)
    if isinstance(family, Worlds) and learns_by_acting(bundle, family):
        worlds, learner = family.draw(tasks, generator, split), local_learner(bundle, tasks, generator)
        stages = run_stages(family, worlds, learner, EPISODES, STAGES, generator)
        rows = torch.cat([episodes.observations[episodes.mask] for episodes in stages])
    else:
        rows = sample(family, tasks, QUERIES, generator, split=split).inputs.flatten(0, 1)
    return rows[rows.isfinite().all(-1)].cpu()  # tasks that have fewer decisions are padded with NaN


def learns_by_acting(bundle: Bundle, family: Family) -> bool:
    """Whether a policy was trained on its own decisions.

    An imported policy counts as such if its family has worlds to act in.
    """
    recipe = bundle.manifest.training.get("recipe")
    return isinstance(family, Worlds) and (recipe is None or recipe["episodes"] is not None)
