"""How `models/intents` and bundles of your own texts are trained."""

from app.training.recipes.recipe import Recipe


def recipe() -> Recipe:
    """Proto-MAML on the head alone, with a linear map of the embeddings that is trained with it.

    Half of the training tasks have the names of their classes as one more example. An outer step takes .4 s on one core
    of a Xeon. On 50 intents of CLINC150 that were not trained on, 5-way 1-shot without names rises from 94.9 to 96.0 %
    in 100 outer steps (200 tasks, +- .8), with names from 97.9 to 98.1; more steps gain nothing.
    """
    return Recipe(
        family="text",
        algorithm="protoanil",
        shots=(1, 5),
        ways=(5, 15),
        queries=5,
        tasks=4,
        outer_steps=100,
        outer_rate=1e-3,
        decay="cosine",
        inner_steps=(10, 10),
        inner_rate=0.1,
        adapt_steps=10,
        evaluation_shots=(1, 5),
        evaluation_ways=(5, 15),
        validate_every=25,
        validation_tasks=100,
    )
