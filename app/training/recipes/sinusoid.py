"""How `models/sinusoid` is trained."""

from app.training.recipes.recipe import Recipe


SMOOTH = {
    "network": "mlp",
    "network_options": {"inputs": 1, "outputs": 1, "hidden": [40, 40], "activation": "tanh"},
    "inner_steps": (1, 5),
    "outer_rate": 2e-3,
    "decay": "cosine",
    "outer_clip": 10.0,
}
"""For learned rates. 5-shot error of Meta-SGD after 20,000 outer steps, for 1 / 5 / 10 / 20 inner steps: FIGURES.
Rates of any size and sign, and no clipping, end in NaN within 5,000 outer steps."""
EMBEDDING = {
    "network": "mlp",
    "network_options": {"inputs": 1, "outputs": 32, "hidden": [64, 64], "activation": "tanh"},
    "outer_rate": 3e-3,
    "decay": "cosine",
}
"""For heads that are solved. Error of ALPaCA after 30,000 outer steps of 50 tasks: 2.2e-6 (5-shot), 2.9e-8 (10-shot)."""


def recipe() -> Recipe:
    """MAML as published (Finn et al. 2017, section 5.1), but with the shots and the inner steps mixed.

    Trained at 10 shots alone, adapting to 5 falls apart. Trained at 1 inner step alone, one task in some thousands
    overshoots from the second step on. 5-shot error after 1 / 5 / 10 steps, on 3,000 tasks of another seed than the
    evaluation's: .55 / .39 / .42 +- .17 so, .59 / .30 / .27 +- .015 with 1 and 2 steps mixed.
    """
    return Recipe(
        family="sinusoid",
        algorithm="maml",
        shots=(5, 10),
        queries=10,
        tasks=25,
        outer_steps=70_000,
        outer_rate=1e-3,
        inner_steps=(1, 2),
        inner_rate=0.01,
        validate_every=None,  # the last ones, as they ship
        variants={"metasgd": SMOOTH, "mamlpp": SMOOTH, "alpaca": EMBEDDING, "ridge": EMBEDDING},
    )
