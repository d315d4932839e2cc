"""How `models/navigation` is trained."""

from app.training.recipes.recipe import Recipe


def recipe() -> Recipe:
    """MAML's network and worlds, but learned rates and three stages of a step each."""
    return Recipe(
        family="navigation",
        network="gaussian_mlp",
        network_options={"inputs": 2, "actions": 2, "hidden": [100, 100], "deviation": 0.05, "gain": 0.1},
        algorithm="metasgdpp",
        tasks=20,
        episodes=20,
        stages=3,
        stage_steps=20,
        decisions=800,
        outer_steps=700,
        outer_rate=3e-3,
        decay="cosine",
        divergence=0.05,
        inner_rate=4e-4,
        adapt_steps=1,
        evaluation_shots=(20,),
        validate_every=20,
        validation_tasks=40,
    )
