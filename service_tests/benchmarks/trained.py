"""Training for benchmarks: a recipe's bundle without bounds, calibration or card."""

from pathlib import Path

import torch

from app.bundles.bundle import Bundle
from app.training.recipes.recipe import Recipe
from app.training.train_to_end import finished
from app.training.training_run import Run
from app.training.validation import Validation


def trained(recipe: Recipe, data: Path | None = None) -> Bundle:
    """Train a recipe; the bundle has the best meta-parameters on validation tasks. data: the folder of the data set."""
    run = Run(recipe, torch.device("cpu"), compiled=False, data=data)
    validation = Validation(run)
    while not finished(run):
        run.advance(recipe.validate_every or recipe.outer_steps)
        validation.validate()
    run.take_best()
    return run.as_bundle(initial_loss=1.0)
