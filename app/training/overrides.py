"""What a command line sets instead of the choices of a recipe."""

import dataclasses
import json
import shlex
from dataclasses import dataclass
from typing import Any

from app.bundles.folder import check_name
from app.errors import TrainingError, expectation, name_text, names_text, one_of
from app.training.family_and_network import make_family
from app.training.recipe_variants import with_algorithm
from app.training.recipes.recipe import Recipe
from app.training.recipes.registry import recipe_for

AUTO = "auto"
NOT_SET = {
    "family": "name the family as the first argument instead",
    "family_options": "use --option instead",
    "algorithm": "choose it with --algorithm (train) or --algorithms (compare)",
}
"""The fields of a recipe that --set does not change, and what to do instead."""


@dataclass(frozen=True)
class Overrides:
    """What the command line sets instead of the recipe's choices.

    options: of the family, as KEY=VALUE
    settings: other fields of the recipe, as KEY=VALUE
    has_data: whether the command line names the folder of a data set; the folder itself stays out of the bundle
    """

    family: str
    name: str | None
    algorithm: str | None
    outer_steps: int | None
    seed: int | None
    options: list[str]
    settings: list[str]
    has_data: bool = False

    @property
    def bundle(self) -> str:
        """The name of the bundle."""
        return self.name or self.family

    @property
    def command(self) -> str:
        """The command line that makes the same bundle again."""
        options = {
            "--name": self.name,
            "--algorithm": self.algorithm,
            "--outer-steps": self.outer_steps,
            "--seed": self.seed,
        }
        words = ["innerloop", "train", self.family, *(["--data", "FOLDER"] if self.has_data else [])]
        words += [str(word) for key, value in options.items() if value is not None for word in (key, value)]
        words += [word for option in self.options for word in ("--option", option)]
        return shlex.join(words + [word for setting in self.settings for word in ("--set", setting)])


def choose_recipe(overrides: Overrides, place: str = "--algorithm") -> Recipe:
    """The family's recipe with what the command line overrides. Raises TrainingError where that cannot be used.

    place: the option that names algorithms, for errors
    """
    check_name(overrides.bundle)
    recipe, changes = recipe_for(overrides.family), recipe_changes(overrides)
    if overrides.options:
        changes["family_options"] = {**recipe.family_options, **dict(map(parse_option, overrides.options))}
    make_family(overrides.family, changes.get("family_options", recipe.family_options))
    try:
        recipe = dataclasses.replace(recipe, **changes)
    except (TypeError, ValueError) as error:
        raise TrainingError(f"--set {error}") from error
    if overrides.algorithm == AUTO:
        return recipe
    # the changes are applied again because another algorithm has its own usual rates; but not those of the network,
    # which is in the form that the algorithm needs by now
    again = {key: value for key, value in changes.items() if key not in ("network", "network_options")}
    return dataclasses.replace(with_algorithm(recipe, overrides.algorithm or recipe.algorithm, place), **again)


def recipe_changes(overrides: Overrides) -> dict[str, Any]:
    """The fields of the recipe that the command line sets, but for the options of the family."""
    changes = dict(parse_option(text, "--set", "outer_steps=1000") for text in overrides.settings)
    fields = [field.name for field in dataclasses.fields(Recipe) if field.name not in NOT_SET]
    for name in NOT_SET.keys() & changes.keys():
        raise TrainingError(f"--set {name}: {NOT_SET[name]}")
    if unknown := sorted(changes.keys() - set(fields)):
        raise TrainingError(expectation("--set", one_of(list(fields)), names_text(unknown)))
    named = {"outer_steps": overrides.outer_steps, "seed": overrides.seed}
    return changes | {key: value for key, value in named.items() if value is not None}


def parse_option(text: str, flag: str = "--option", example: str = "features=3") -> tuple[str, Any]:
    """`features=3` as ("features", 3). The value is JSON, with lists as tuples, or else a string.

    flag, example: where the text comes from, and what it may be, for the error
    """
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise TrainingError(expectation(flag, f"KEY=VALUE, such as {example}", repr(name_text(text))))
    try:
        parsed = json.loads(value)
    except ValueError:
        return key, value
    return key, tuple(parsed) if isinstance(parsed, list) else parsed
