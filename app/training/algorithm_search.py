"""Searching for the algorithm that fits a problem best: start from those known to work, then halve on validation tasks.

Successive halving: all begin at a small budget, then the better half goes on at twice the budget. Jamieson and
Talwalkar 2016, "Non-stochastic Best Arm Identification and Hyperparameter Optimization"
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.errors import TrainingError, expectation
from app.training.early_stopping import Best
from app.training.family_and_network import make_family
from app.training.prediction_kinds import KINDS
from app.training.recipe_variants import at_budget, fitting_algorithms
from app.training.recipes.recipe import Recipe
from app.training.training_run import Run
from app.training.validation import validation_of

MAX_ALGORITHMS = 8
"""How many algorithms begin at most, the most promising ones."""
FIRST_BUDGET = 1 / 16
"""The share of the recipe's outer steps that each algorithm takes in the first round."""


@dataclass(frozen=True)
class Round:
    """A round of the search.

    scores: the best score on validation tasks, so far, of each algorithm that is still in it after so many outer steps
    """

    outer_steps: int
    scores: Mapping[str, float]


@dataclass(frozen=True)
class SearchResult:
    """The algorithm that is left, and the rounds that led to it.

    best: its best meta-parameters in these rounds; no score of any algorithm in the search was better. It is not part
        of the JSON, and None where the result was read from it
    """

    algorithm: str
    rounds: Sequence[Round]
    best: Best | None = field(default=None, compare=False, repr=False)

    @property
    def reason(self) -> str:
        """How the algorithm was chosen, in words for the card."""
        algorithms = ", ".join(self.rounds[0].scores)
        last = self.rounds[-1]
        scores = ", ".join(f"{name} {score:.4g}" for name, score in last.scores.items())
        return (
            f"`{self.algorithm}` was chosen on validation tasks among {algorithms}. The better half went on after each "
            f"of {len(self.rounds)} rounds. Scores after the last round, of {last.outer_steps:,} outer steps: {scores}."
        )

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "SearchResult":
        """The inverse of `as_json`."""
        rounds = [Round(each["outer_steps"], each["scores"]) for each in content["rounds"]]
        return cls(content["algorithm"], rounds)

    def as_json(self) -> dict[str, Any]:
        """The `choice` of a bundle.json's training."""
        rounds = [{"outer_steps": each.outer_steps, "scores": dict(each.scores)} for each in self.rounds]
        return {"algorithm": self.algorithm, "reason": self.reason, "rounds": rounds}


def search_algorithm(
    recipe: Recipe, start: Callable[[Recipe], Run], on_round: Callable[[Round], None] = lambda each: None
) -> SearchResult:
    """Halve the algorithms that fit the recipe's problem until one is left.

    start: makes a run of a recipe
    on_round: is called after each round

    The total is about as many outer steps as one training for each halving.
    """
    family = make_family(recipe.family, recipe.family_options)
    promising = KINDS[family.kind].algorithms(family, min(recipe.evaluation_shots))
    fitting = set(fitting_algorithms(recipe))
    runs = [start(at_budget(recipe, name)) for name in promising if name in fitting][:MAX_ALGORITHMS]
    if not runs:
        expected = f"a family that one of {', '.join(promising)} fits"
        raise TrainingError(expectation("--algorithm auto", expected, recipe.family, "name an algorithm instead"))
    budget, rounds = max(1, int(recipe.outer_steps * FIRST_BUDGET)), []
    while True:
        scores = {run.recipe.algorithm: _score(run, budget) for run in runs}
        rounds.append(Round(budget, scores))
        on_round(rounds[-1])
        runs = sorted(runs, key=lambda run: _rank(run, scores))[: max(1, len(runs) // 2)]
        if len(runs) == 1:
            return SearchResult(runs[0].recipe.algorithm, rounds, runs[0].best)
        budget = min(recipe.outer_steps, 2 * budget)


def _score(run: Run, outer_steps: int) -> float:
    """The best score of a run so far, after so many outer steps."""
    run.advance(outer_steps - run.step)
    validation_of(run).validate()
    assert run.best is not None, "a validation keeps the first score, whatever it is"
    return run.best.score


def _rank(run: Run, scores: Mapping[str, float]) -> float:
    """A smaller rank is better; a score that is not finite comes last."""
    score = scores[run.recipe.algorithm]
    if not math.isfinite(score):
        return math.inf
    return -score if KINDS[run.family.kind].score.more_is_better else score
