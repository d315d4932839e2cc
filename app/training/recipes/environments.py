"""How a bundle for your own gymnasium environments is trained: `innerloop train --env MODULE:make_env`."""

from app.training.recipes.recipe import Recipe


def recipe() -> Recipe:
    """Learned rates and two stages of ten episodes. How many outer steps are affordable depends on the simulator."""
    return Recipe(
        family="environments",
        algorithm="metasgd",
        tasks=10,
        episodes=10,
        stages=2,
        outer_steps=200,
        outer_rate=3e-3,
        decay="cosine",
        divergence=0.05,
        inner_rate=0.05,
        adapt_steps=1,
        evaluation_shots=(10,),
        validate_every=50,
        validation_tasks=10,
    )
