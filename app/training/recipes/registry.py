"""Finding recipes by the name of their family, in the same way as families (`app.families.registry`).

Another package adds its own under the entry point `innerloop.recipes`. A family without a recipe is trained by the
defaults of `Recipe`.
"""

import app.training.recipes
from app.errors import TrainingError
from app.plugins import discover, user_code
from app.training.recipes.recipe import Recipe


def recipe_for(family: str) -> Recipe:
    """The recipe of that family, or the default one. Raises TrainingError where a plug-in's recipe cannot be had."""
    recipes = discover(app.training.recipes, attribute="recipe", group="innerloop.recipes")
    if family not in recipes:
        return Recipe(family)
    with user_code(f"the recipe of {family!r}"):
        recipe = recipes[family]()()
    if not isinstance(recipe, Recipe):
        raise TrainingError(f"the recipe of {family!r} is a {type(recipe).__name__}, not a Recipe")
    return recipe
