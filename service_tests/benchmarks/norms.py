"""Which normalisation, of those that keep queries independent, gives the best embedding of characters?

The recipe of `models/omniglot` is trained for a few outer steps with each normalisation. The rows have the accuracy on
validation tasks, never on test tasks, and the time of a step.
"""

import dataclasses
from pathlib import Path
from time import perf_counter
from typing import Annotated

import torch
import typer

from app.learn.networks import NORMS
from app.learn.significance import interval
from app.training.evaluation import score_tasks, settings_for
from app.training.predictor import offline
from app.training.recipes.registry import recipe_for
from app.training.tasks import draw_held_out
from app.training.training_run import Run
from service_tests.benchmarks.report import write

WARM_UP = 10
"""Outer steps before the clock runs: the first compiles."""


def measure(norm: str, data: Path, outer_steps: int, tasks: int) -> dict[str, object]:
    """Train with a normalisation, and score it on validation tasks in each of the recipe's settings."""
    recipe = dataclasses.replace(recipe_for("omniglot"), outer_steps=outer_steps, network_options={"norm": norm})
    run = Run(recipe, torch.device("cpu"), data=data)
    run.advance(WARM_UP)
    started = perf_counter()
    run.advance(outer_steps - WARM_UP)
    ms = (perf_counter() - started) * 1e3 / (outer_steps - WARM_UP)
    predictor = offline(run.as_bundle(initial_loss=1.0))
    row: dict[str, object] = {"norm": norm, "ms_per_step": round(ms)}
    for setting in settings_for(recipe, run.family):
        held_out = draw_held_out(run.family, setting, run.device, tasks=tasks, split="validation")
        accuracy = interval(score_tasks(predictor, run.family.kind, held_out, [run.adapt_steps]).scores[0])
        row[str(setting)] = f"{accuracy.mean:.2%} ± {accuracy.half_width:.2%}"
    return row


def main(
    data: Annotated[Path, typer.Option(help="The folder of Omniglot.")],
    outer_steps: Annotated[int, typer.Option(min=20, help="Outer steps with each normalisation.")] = 300,
    tasks: Annotated[int, typer.Option(min=2, help="Validation tasks in each setting.")] = 100,
    keep: Annotated[bool, typer.Option(help="Write the results.")] = True,
) -> None:
    """Measure, and write the results."""
    torch.set_num_threads(1)
    question = f"ProtoNet on Omniglot: {outer_steps} outer steps of 256 characters, {tasks} validation tasks a setting"
    write("norms", question, [measure(norm, data, outer_steps, tasks) for norm in NORMS], keep=keep)


if __name__ == "__main__":
    typer.run(main)
