"""Choosing an algorithm for a problem: a prior of what is known to work, then halving on validation tasks.

Successive halving: all begin at a small budget, the better half goes on at twice the budget. Jamieson and Talwalkar
2016, "Non-stochastic Best Arm Identification and Hyperparameter Optimization"
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.families.family import Family
from app.families.registry import make
from app.learn.losses import KINDS
from app.learn.metrics import SCORES
from app.training.evaluation import IMAGE
from app.training.loop import Run
from app.training.recipes.recipe import Recipe
from app.training.validation import Validation
from app.training.variants import at_budget, fitting

FIELD = 8
"""As many algorithms begin at most, the first of the prior."""
FIRST_BUDGET = 1 / 16
"""The share of the recipe's outer steps that each of the first round takes."""
FEW_SHOTS = 3
"""Up to so many shots gradient steps on images have the better name, above it prototypes."""

NUMBERS = ("alpaca", "metasgd", "ridge", "mamlpp", "maml", "cavia", "anil", "fomaml", "reptile", "boil")
ONE_SHOT_IMAGES = ("metasgd", "mamlpp", "protomaml", "foprotomaml", "protonet", "ridge", "maml", "anil", "boil")
MORE_IMAGES = ("protonet", "ridge", "foprotomaml", "protomaml", "metasgd", "mamlpp", "maml", "anil", "boil")
POLICIES = ("metasgd", "maml", "reptile", "fomaml", "mamlpp", "cavia", "anil", "boil")
ROWS_OF_CLASSES = ("protonet", "ridge", "protomaml", "metasgd", "mamlpp", "maml", "anil", "foprotomaml")


@dataclass(frozen=True)
class Round:
    """scores: on validation tasks, of each algorithm that was still in the field, after so many outer steps."""

    outer_steps: int
    scores: Mapping[str, float]


@dataclass(frozen=True)
class Choice:
    """The algorithm that is left, and how the others went."""

    algorithm: str
    rounds: Sequence[Round]

    @property
    def reason(self) -> str:
        """In sentences, for the card."""
        field = ", ".join(self.rounds[0].scores)
        last = self.rounds[-1]
        scores = ", ".join(f"{name} {score:.4g}" for name, score in last.scores.items())
        return (
            f"`{self.algorithm}` was chosen on validation tasks among {field}, the better half of which went on after "
            f"each of {len(self.rounds)} rounds; scores after {last.outer_steps:,} outer steps of the last: {scores}."
        )

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> "Choice":
        """What `as_json` gave."""
        rounds = [Round(each["outer_steps"], each["scores"]) for each in written["rounds"]]
        return cls(written["algorithm"], rounds)

    def as_json(self) -> dict[str, Any]:
        """For bundle.json."""
        rounds = [{"outer_steps": each.outer_steps, "scores": dict(each.scores)} for each in self.rounds]
        return {"algorithm": self.algorithm, "reason": self.reason, "rounds": rounds}


def prior(family: Family, shots: int) -> tuple[str, ...]:
    """The algorithms by what is known of problems like this one, those first that have the best name."""
    if KINDS[family.kind].weighted:
        return POLICIES
    if not KINDS[family.kind].one_hot:
        return NUMBERS
    if family.features < IMAGE:
        return ROWS_OF_CLASSES
    return ONE_SHOT_IMAGES if shots <= FEW_SHOTS else MORE_IMAGES


def choose(recipe: Recipe, start: Callable[[Recipe], Run], told: Callable[[Round], None] = lambda each: None) -> Choice:
    """Halve the field until one algorithm is left.

    start: makes a run of a recipe; told: is given each round when it is over

    The total is about as many outer steps as one training for each halving.
    """
    known = prior(make(recipe.family, recipe.family_options), min(recipe.evaluation_shots))
    possible = set(fitting(recipe))
    runs = [start(at_budget(recipe, name)) for name in known if name in possible][:FIELD]
    budget, rounds = max(1, int(recipe.outer_steps * FIRST_BUDGET)), []
    while True:
        scores = {run.recipe.algorithm: _score(run, budget) for run in runs}
        rounds.append(Round(budget, scores))
        told(rounds[-1])
        runs = sorted(runs, key=lambda run: _rank(run, scores))[: max(1, len(runs) // 2)]
        if len(runs) == 1:
            return Choice(runs[0].recipe.algorithm, rounds)
        budget = min(recipe.outer_steps, 2 * budget)


def _score(run: Run, outer_steps: int) -> float:
    run.advance(outer_steps - run.step)
    return Validation(run).validate()


def _rank(run: Run, scores: Mapping[str, float]) -> float:
    """Less is better; what is not finite comes last."""
    score = scores[run.recipe.algorithm]
    if not math.isfinite(score):
        return math.inf
    return -score if SCORES[run.family.kind].more_is_better else score
