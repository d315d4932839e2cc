"""How `models/linear` is trained."""

from app.training.recipes.recipe import Recipe


def recipe() -> Recipe:
    """The article's rule: the initialization moves to the mean of the adapted parameters in each outer step.

    It moves by the inner rate each time, and converges to the mean task of the family.
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
        validate_every=None,  # the bundle has the last meta-parameters
    )
