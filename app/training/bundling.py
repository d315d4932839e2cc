"""A run as a bundle in memory, so that what is trained is evaluated by the code that evaluates bundles."""

from app.bundles import Bounds, Bundle, Manifest, Named, Schema
from app.training.loop import Run


def bundle_of(run: Run, name: str = "", untouched_loss: float = 0.0) -> Bundle:
    """The run's meta-parameters as they are; bounds, evaluation and all that is measured are still to come."""
    rate = run.recipe.inner_rate
    manifest = Manifest(
        family=Named(run.recipe.family, run.recipe.family_options),
        network=run.network,
        algorithm=run.recipe.algorithm,
        kind=run.family.kind,
        schema=Schema.of(run.family),
        inner_loop=Bounds(run.adapt_steps, run.adapt_steps, rate, rate),
        untouched_loss=untouched_loss,
        weights_sha256="",
        evaluation={},
        training={},
    )
    return Bundle(name, manifest, run.meta)
