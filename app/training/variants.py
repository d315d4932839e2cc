"""A recipe with another algorithm: the network, the rates and whatever else that one needs."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from app.errors import TrainingError
from app.families.family import Family
from app.families.registry import make
from app.learn.algorithms import ALGORITHMS
from app.learn.networks import NetworkSpec, build, width
from app.training.recipes.recipe import Recipe


def with_algorithm(recipe: Recipe, algorithm: str) -> Recipe:
    """The recipe with another algorithm at its own usual outer rate, and with what the recipe's variants say of it.

    Raises TrainingError where there is no such algorithm, or where the recipe's network cannot be adapted by it.
    """
    if algorithm not in ALGORITHMS:
        raise TrainingError(f"there is no algorithm {algorithm!r}; known here: {', '.join(sorted(ALGORITHMS))}")
    if algorithm == recipe.algorithm:
        # its network is as it should be, unless it is the family's, which knows of no algorithm
        return recipe if recipe.network or _fits(recipe, algorithm) else _with_network(recipe, algorithm)
    said = recipe.variants.get(algorithm, {})
    other = recipe if "network" in said else _with_network(recipe, algorithm)
    return dataclasses.replace(other, **({"algorithm": algorithm, "outer_rate": None, "variants": {}} | dict(said)))


def at_budget(recipe: Recipe, algorithm: str) -> Recipe:
    """The recipe with another algorithm, but with its own number of tasks and outer steps, to compare the two."""
    return dataclasses.replace(
        with_algorithm(recipe, algorithm), tasks=recipe.tasks, outer_steps=recipe.outer_steps, patience=None
    )


def _fits(recipe: Recipe, algorithm: str) -> bool:
    usual = make(recipe.family, recipe.family_options).network
    return network_for(recipe, algorithm) == usual


def _with_network(recipe: Recipe, algorithm: str) -> Recipe:
    network = network_for(recipe, algorithm)
    return dataclasses.replace(recipe, network=network.name, network_options=network.options)


def network_for(recipe: Recipe, algorithm: str) -> NetworkSpec:
    """The network of the recipe, in the form that the algorithm adapts. Raises TrainingError where it has none."""
    family = make(recipe.family, recipe.family_options)
    if family.kind not in ALGORITHMS[algorithm].kinds:
        raise TrainingError(f"{algorithm} is not for {family.kind}")
    reasons = []
    for candidate in _forms(recipe, family, algorithm):
        try:
            form = build(candidate.name, candidate.options)
            ALGORITHMS[algorithm].check(form, family.targets, width(form, family.features), family.kind)
        except (TypeError, ValueError) as error:
            reasons.append(str(error))
        else:
            return candidate
    raise TrainingError(f"{algorithm} does not adapt the network of {recipe.family}: {'; '.join(reasons)}")


def _forms(recipe: Recipe, family: Family, algorithm: str) -> Iterator[NetworkSpec]:
    """The forms that the network has, those first that are better."""
    usual = family.network
    name, options = (recipe.network, recipe.network_options) if recipe.network else (usual.name, usual.options)
    without: Mapping[str, Any] = {key: value for key, value in options.items() if key != "outputs"}
    whole = {**without, "outputs": family.targets}
    if ALGORITHMS[algorithm].embeds and algorithm != recipe.algorithm:
        # the last hidden layer is a better embedding than as many numbers as a target has
        yield NetworkSpec(name, without)
    yield NetworkSpec(name, options)
    yield NetworkSpec(name, whole)
    yield NetworkSpec(f"context_{name}", whole)


def fitting(recipe: Recipe) -> list[str]:
    """The algorithms that can adapt the recipe's network to its family's tasks, by name."""
    found = []
    for algorithm in sorted(ALGORITHMS):
        try:
            with_algorithm(recipe, algorithm)
        except TrainingError:
            continue
        found.append(algorithm)
    return found
