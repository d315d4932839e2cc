"""How well do ten observed decisions of a person predict the next ones?

Risky choices of 30 people under two instructions (`app.families.choices`). Each person is held out once, in 6 folds of
5 people: 20 others are for training, 5 for validation. The first ten decisions of a sitting are observed, and all
others of it, 126 to 130, are scored. A score is the mean over a person's two sittings; intervals and differences are
over the 30 people, and differences are paired. Rivals that need no validation are fitted to all 25 others. The recipe
was chosen by the scores of validation people, averaged over the folds.

    python -m service_tests.benchmarks.choices --data FOLDER
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from app.bundles.bundle import Bundle
from app.families.choices import FOLDS, Choices, decisions, observations
from app.families.choices_data import Sitting
from app.learn.inner import Examples
from app.learn.outer_directions import Tasks
from app.learn.significance import interval
from app.training.predictor import offline
from app.training.recipes.recipe import Recipe
from app.training.recipes.registry import recipe_for
from service_tests.benchmarks.report import write
from service_tests.benchmarks.rivals.prospect import Grid, log_likelihood
from service_tests.benchmarks.trained import trained

SHOTS = 10
OURS = "meta-learned (Meta-SGD)"
Predict = Callable[[Sitting], Tensor]
"""A sitting, of which only the first ten decisions are read -> the probability that each other offer is accepted."""


def neural(bundle: Bundle, steps: int, rate: float | None = None) -> Predict:
    """Predict by a network after so many steps on the observed decisions."""
    predictor = offline(bundle, rate)

    def predict(sitting: Sitting) -> Tensor:
        rows = Examples(
            observations(sitting.offers)[None],
            decisions(sitting.accepted)[None],
            torch.ones(1, len(sitting.offers)).bool(),
        )
        support, query = (
            Examples(*(part[:, some] for part in rows[:3])) for some in (slice(SHOTS), slice(SHOTS, None))
        )
        return predictor(Tasks(support, query), [0, steps] if steps else [0]).outputs[-1, 0].softmax(-1)[:, 1]

    return predict


def own_logistic(strength: float) -> Predict:
    """Predict by a logistic regression for each person. strength: C of scikit-learn, the inverse of its penalty."""

    def predict(sitting: Sitting) -> Tensor:
        x, y = observations(sitting.offers), sitting.accepted[:SHOTS]
        if y.all() or not y.any():  # a regression needs two classes: Laplace's rule of succession
            return torch.full((len(x) - SHOTS,), (y.sum().item() + 1) / (SHOTS + 2))
        fitted = LogisticRegression(C=strength).fit(x[:SHOTS].numpy(), y.numpy())
        return torch.from_numpy(fitted.predict_proba(x[SHOTS:].numpy())[:, 1]).float()

    return predict


def by_sets(grid: Grid, density: Tensor | None) -> Predict:
    """Predict by prospect theory: by the most likely parameters, or by all with their posterior. density: log prior."""

    def predict(sitting: Sitting) -> Tensor:
        seen, accepting = grid.likelihood(sitting, slice(SHOTS)), grid.accepting(sitting)[:, SHOTS:]
        return accepting[seen.argmax()] if density is None else (seen + density).softmax(0) @ accepting

    return predict


def scores(predict: Predict, sittings: Sequence[Sitting]) -> dict[int, Tensor]:
    """Mean log-likelihood and accuracy of the decisions, by person."""
    by_person: dict[int, list[Tensor]] = {}
    for sitting in sittings:
        accepting, accepted = predict(sitting), sitting.accepted[SHOTS:]
        right = (accepting > 0.5) == accepted
        both = torch.stack([log_likelihood(accepting, accepted).mean(), right.float().mean()])
        by_person.setdefault(sitting.person, []).append(both.double())
    return {person: torch.stack(each).mean(0) for person, each in by_person.items()}


def best(choices: Sequence[Predict], sittings: Sequence[Sitting]) -> Predict:
    """The choice with the largest log-likelihood on some sittings."""
    return max(choices, key=lambda each: torch.stack([*scores(each, sittings).values()])[:, 0].mean().item())


def contenders(fold: int, data: Path, recipe: Recipe) -> tuple[Mapping[str, Predict], Sequence[Sitting]]:
    """All ways to predict in a fold, fitted without its test people; and the sittings of these."""
    split = Choices(fold=fold, data=data).sittings
    known = [*split["training"], *split["validation"]]
    grid, steps = Grid.within_bounds(), recipe.adapt_steps
    ours = trained(dataclasses.replace(recipe, family_options={"fold": fold}), data)
    initial = {"algorithm": "maml", "inner_steps": (0, 0), "adapt_steps": 0, "family_options": {"fold": fold}}
    pooled = trained(dataclasses.replace(recipe, **initial), data)  # type: ignore[arg-type]
    tuned = [neural(pooled, steps, rate) for steps in (1, 2, 5, 10, 20) for rate in (0.03, 0.1, 0.3, 1.0)]
    return {
        OURS: neural(ours, steps),
        "the same initialization, not adapted": neural(ours, 0),
        "one pooled model, the same network": neural(pooled, 0),
        "the pooled model, fine-tuned": best(tuned, split["validation"]),
        "a logistic regression per person": best([own_logistic(10.0**power) for power in range(-2, 3)], known),
        "prospect theory per person, maximum likelihood": by_sets(grid, None),
        "prospect theory per person, posterior mean": by_sets(grid, grid.prior),
        "prospect theory, hierarchical": by_sets(grid, grid.population(known)),
    }, split["test"]


def rows_of(by_way: Mapping[str, Mapping[int, Tensor]]) -> list[dict[str, object]]:
    """A row for each way, with how far ours is ahead of it."""
    people = sorted(by_way[OURS])
    tables = {way: torch.stack([scores[person] for person in people]) for way, scores in by_way.items()}
    rows = []
    for way, table in tables.items():
        row: dict[str, object] = {"way": way}
        for place, name in enumerate(("log_likelihood", "accuracy")):
            score, ahead = interval(table[:, place]), interval((tables[OURS] - table)[:, place])
            row |= {name: round(score.mean, 4), f"{name}_95": round(score.half_width, 4)}
            row |= {f"{name}_ours_ahead": round(ahead.mean, 4), f"{name}_ours_ahead_95": round(ahead.half_width, 4)}
        rows.append(row)
    return rows


def main(
    data: Annotated[Path, typer.Option(help="The folder of the data set (app.families.choices_data).")],
    outer_steps: Annotated[int | None, typer.Option(min=1, help="Instead of the recipe's.")] = None,
    keep: Annotated[bool, typer.Option(help="Write the results.")] = True,
) -> None:
    """Measure, and write the results."""
    torch.set_num_threads(1)
    recipe = recipe_for("choices")
    if outer_steps is not None:
        recipe = dataclasses.replace(recipe, outer_steps=outer_steps, validate_every=min(250, outer_steps))
    by_way: dict[str, dict[int, Tensor]] = {}
    for fold in range(FOLDS):
        ways, held_out = contenders(fold, data, recipe)
        for way, predict in ways.items():
            by_person = scores(predict, held_out)
            by_way.setdefault(way, {}).update(by_person)
            print(f"fold {fold}, {way}: {torch.stack([*by_person.values()]).mean(0).tolist()}", flush=True)
    people = len(by_way[OURS])
    protocol = f"means with 95 % intervals over {people} people, each held out once in {FOLDS} folds"
    question = f"Log-likelihood (nats) and accuracy of a person's decisions after the first {SHOTS} were observed"
    write("choices", question, rows_of(by_way), keep=keep, protocol=protocol, outer_steps=recipe.outer_steps)


if __name__ == "__main__":
    typer.run(main)
