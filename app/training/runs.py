"""The training run that a recipe asks for."""

from pathlib import Path

import torch

from app.training.loop import Run
from app.training.on_policy import OnPolicyRun
from app.training.processes import Processes
from app.training.recipes.recipe import Recipe


def make_run(
    recipe: Recipe,
    device: torch.device,
    *,
    compiled: bool = True,
    processes: Processes = Processes(),  # noqa: B008 (frozen)
    data: Path | None = None,
) -> Run:
    """A run that learns from its own decisions where the recipe has episodes, else one that learns from samples.

    data: the folder of the family's data set, if the family reads one

    Raises TrainingError where the parts of the recipe do not fit each other.
    """
    run = Run if recipe.episodes is None else OnPolicyRun
    return run(recipe, device, compiled=compiled, processes=processes, data=data)
