"""How `models/linear` is trained."""

from app.training.recipes.recipe import Recipe


def recipe() -> Recipe:
    """The mean of the adapted parameters, outer step by outer step.

    It moves by the inner rate each time, and the mean task of the family is where it comes to rest.
    """
    return Recipe(
        family="linear",
        algorithm="averaging",
        shots=(5, 10),
        queries=10,
        tasks=100,
        outer_steps=2_000,
        inner_steps=(1, 1),
        inner_rate=0.2,
        adapt_steps=20,
        validate_every=None,  # the last ones, as they ship
    )
