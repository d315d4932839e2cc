"""Several algorithms on one problem: each trained at the same budget, all scored on the same tasks."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor

from app.families.family import Family
from app.families.registry import make
from app.learn.algorithms import ALGORITHMS
from app.learn.metrics import SCORES, interval
from app.learn.networks import find
from app.training.bundling import bundle_of
from app.training.evaluation import Setting, draw, scored, seconds_a_task, settings_for
from app.training.loop import Run
from app.training.predictor import offline
from app.training.recipes.recipe import Recipe
from app.training.validation import Validation


@dataclass(frozen=True)
class Contender:
    """What came of one algorithm.

    scores: of each test task after the default steps, by setting; the tasks are the same for all
    seconds, tasks: what training took
    ms: to adapt to a task and answer its queries, in a batch, in the first setting
    """

    algorithm: str
    scores: Mapping[Setting, Tensor]
    seconds: float
    tasks: int
    ms: float


def fitting(family: Family) -> list[str]:
    """The algorithms that can be had for a problem, by name."""
    return sorted(name for name, each in ALGORITHMS.items() if family.kind in each.kinds)


def recipe_with(recipe: Recipe, algorithm: str) -> Recipe:
    """The recipe with another algorithm: with its own usual outer rate, and the network as it needs it.

    A network with `outputs` gives targets where the algorithm adapts it whole, and embeddings, by having none, where a
    head is put on it. CAVIA's takes the vector that moves.
    """
    if algorithm == recipe.algorithm:
        return recipe
    family = make(recipe.family, recipe.family_options)
    name = recipe.network or family.network.name
    options = dict(recipe.network_options if recipe.network else family.network.options)
    if ALGORITHMS[algorithm].context:
        name = WITH_CONTEXT.get(name, name)
    if "outputs" in inspect.signature(find(name)).parameters:
        options["outputs"] = family.targets
        if ALGORITHMS[algorithm].embeds and inspect.signature(find(name)).parameters["outputs"].default is None:
            del options["outputs"]
    return dataclasses.replace(
        recipe, algorithm=algorithm, outer_rate=None, network=name, network_options=options
    )
