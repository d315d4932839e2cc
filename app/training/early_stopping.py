"""Early stopping: the best meta-parameters so far, and when training ends because nothing better comes."""

from dataclasses import dataclass

from app.learn.update_rules import Params
from app.training.prediction_kinds import KINDS
from app.training.recipes.recipe import Recipe


@dataclass(frozen=True)
class Best:
    """The meta-parameters with the best score on validation tasks so far. step: the outer steps taken by then."""

    score: float
    step: int
    meta: Params


def better_of(best: Best | None, other: Best, kind: str) -> Best:
    """The one with the better score for this kind of prediction; the first of two that are equally good."""
    return other if best is None or KINDS[kind].score.better(other.score, best.score) else best


def out_of_patience(recipe: Recipe, step: int, best: Best | None) -> bool:
    """Whether `patience` validations in a row, those within the first interval not counted, found nothing better.

    step: the outer steps taken so far
    """
    if best is None or recipe.patience is None or recipe.validate_every is None:
        return False
    return step // recipe.validate_every - best.step // recipe.validate_every >= recipe.patience
