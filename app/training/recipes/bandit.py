"""How a policy that adapts to a user's log is trained."""

from app.training.recipes.recipe import Recipe


def recipe() -> Recipe:
    """Meta-SGD on logs of users: the policy adapts to 20 to 50 decisions, and is scored on the next 50."""
    return Recipe(
        family="bandit",
        algorithm="metasgd",
        shots=(20, 50),
        queries=50,
        tasks=64,
        outer_steps=3_000,
        outer_rate=3e-3,
        decay="cosine",
        outer_clip=5.0,
        inner_steps=(3, 3),
        inner_rate=0.05,
        adapt_steps=3,
        evaluation_shots=(20, 50),
        validate_every=250,
        validation_tasks=600,
    )
