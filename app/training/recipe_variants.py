"""A recipe with another algorithm: the network, the rates and whatever else that algorithm needs."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from app.errors import TrainingError, expectation
from app.families.family import Family
from app.learn.algorithms import ALGORITHMS
from app.learn.networks import NETWORKS, NetworkSpec
from app.training.family_and_network import check_network_name, find_algorithm, fit_network, make_family, schema_of
from app.training.recipes.recipe import Recipe


def with_algorithm(recipe: Recipe, algorithm: str, place: str = "--algorithm") -> Recipe:
    """The recipe with another algorithm, at its usual outer rate, and with the changes of the recipe's variant for it.

    place: where the name of the algorithm comes from, for errors

    Raises TrainingError where there is no such algorithm, or where it cannot adapt the recipe's network.
    """
    find_algorithm(algorithm, make_family(recipe.family, recipe.family_options).kind, place)
    if algorithm == recipe.algorithm:
        # the recipe's network fits its algorithm; the family's may not, because a family has no algorithm
        return recipe if recipe.network or _fits(recipe, algorithm, place) else _with_network(recipe, algorithm, place)
    changes = recipe.variants.get(algorithm, {})
    base = recipe if "network" in changes else _with_network(recipe, algorithm, place)
    return dataclasses.replace(base, **({"algorithm": algorithm, "outer_rate": None, "variants": {}} | dict(changes)))


def at_budget(recipe: Recipe, algorithm: str, place: str = "--algorithm") -> Recipe:
    """The recipe with another algorithm, but with its own numbers of tasks and outer steps, to compare the two.

    place: where the name of the algorithm comes from, for errors
    """
    return dataclasses.replace(
        with_algorithm(recipe, algorithm, place), tasks=recipe.tasks, outer_steps=recipe.outer_steps, patience=None
    )


def _fits(recipe: Recipe, algorithm: str, place: str) -> bool:
    return network_for(recipe, algorithm, place) == make_family(recipe.family, recipe.family_options).network


def _with_network(recipe: Recipe, algorithm: str, place: str) -> Recipe:
    network = network_for(recipe, algorithm, place)
    return dataclasses.replace(recipe, network=network.name, network_options=network.options)


def network_for(recipe: Recipe, algorithm: str, place: str) -> NetworkSpec:
    """The recipe's network in a form that the algorithm can adapt. Raises TrainingError where there is none.

    place: where the name of the algorithm comes from, for errors
    """
    family = make_family(recipe.family, recipe.family_options)
    candidate_algorithm = find_algorithm(algorithm, family.kind, place)
    if recipe.network is not None:
        check_network_name(recipe.network)
    reasons = []
    for candidate in _forms(recipe, family, algorithm):
        try:
            fit_network(candidate, candidate_algorithm, schema_of(family), family.kind)
        except TrainingError as error:
            reasons.append(str(error))
        else:
            return candidate
    expected = f"an algorithm that can adapt the network of {recipe.family}"
    raise TrainingError(expectation(place, expected, f"{algorithm}: {'; '.join(dict.fromkeys(reasons))}"))


def _forms(recipe: Recipe, family: Family, algorithm: str) -> Iterator[NetworkSpec]:
    """The forms of the recipe's network, the best first."""
    usual = family.network
    name, options = (recipe.network, recipe.network_options) if recipe.network else (usual.name, usual.options)
    embedding: Mapping[str, Any] = {key: value for key, value in options.items() if key != "outputs"}
    with_outputs = {**embedding, "outputs": family.targets}
    if ALGORITHMS[algorithm].embeds and algorithm != recipe.algorithm:
        # the last hidden layer is a better embedding than as many numbers as a target has
        yield NetworkSpec(name, embedding)
    yield NetworkSpec(name, options)
    yield NetworkSpec(name, with_outputs)
    if f"context_{name}" in NETWORKS:
        yield NetworkSpec(f"context_{name}", with_outputs)


def fitting_algorithms(recipe: Recipe) -> list[str]:
    """The names of the algorithms that can adapt the recipe's network to its family's tasks."""
    names = []
    for algorithm in sorted(ALGORITHMS):
        try:
            with_algorithm(recipe, algorithm)
        except TrainingError:
            continue
        names.append(algorithm)
    return names
