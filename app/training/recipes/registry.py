"""Finding recipes by the name of their family, as families are found (`app.families.registry`).

Another package adds its own under the entry point `innerloop.recipes`. A family without a recipe is trained by the
defaults of `Recipe`.
"""

from collections.abc import Callable

import app.training.recipes
from app.plugins import discover
from app.training.recipes.recipe import Recipe


def recipe_for(family: str) -> Recipe:
    """The recipe of that family, or the default one."""
    found = discover(app.training.recipes, attribute="recipe", group="innerloop.recipes")
    if family not in found:
        return Recipe(family)
    make: Callable[[], Recipe] = found[family]()
    return make()
