"""How `models/driving` is trained."""

from app.training.recipes.recipe import Recipe


def recipe() -> Recipe:
    """Meta-SGD on one to five episodes of a driver at home in the world, 40 decisions each at most."""
    return Recipe(
        family="driving",
        algorithm="metasgd",
        shots=(30, 180),
        queries=100,
        tasks=20,
        outer_steps=6_000,
        outer_rate=2e-3,
        decay="cosine",
        outer_clip=10.0,
        inner_steps=(3, 5),
        inner_rate=0.1,
        adapt_steps=5,
        evaluation_shots=(40, 120),
        validate_every=250,
        validation_tasks=100,
    )
