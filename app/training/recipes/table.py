"""How bundles of tables are trained, unless they are ensembles (`app.training.tables`)."""

from app.training.recipes.recipe import Recipe


def recipe() -> Recipe:
    """ALPaCA on a learned embedding: what a mixed model is, on features that fit it."""
    return Recipe(
        family="table",
        algorithm="alpaca",
        shots=(0, 20),
        queries=20,
        scale_targets=True,
        tasks=25,
        outer_steps=3_000,
        outer_rate=3e-3,
        decay="cosine",
        outer_clip=10.0,
        evaluation_shots=(3, 5, 10, 20),
        validate_every=500,
        validation_tasks=200,
    )
