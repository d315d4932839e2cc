"""How well do ten observed decisions of a person tell the next ones?

Risky choices of 30 people under two instructions (`app.families.choices`), who are held out once each, in 6 folds of 5
people: 20 are trained on, 5 validated on. Observed are the first ten decisions of a sitting, and scored are all others
of it, 126 to 130. A score is the mean over a person's two sittings; intervals and differences are over the 30 people,
and differences are paired. Rivals that need no validation are fitted to all 25 others. The recipe was chosen by the
scores of validation people, averaged over the folds.

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

from app.bundles import Bundle
from app.families.choices import FOLDS, Choices, decisions, observations
from app.families.risky_choices import Sitting
from app.learn.inner import Examples
from app.learn.metrics import interval
from app.learn.outer import Tasks
from app.training.predictor import offline
from app.training.recipes.recipe import Recipe
from app.training.recipes.registry import recipe_for
from service_tests.benchmarks.report import write
from service_tests.benchmarks.rivals.prospect import Grid, log_likelihood
from service_tests.benchmarks.trained import trained

SHOTS = 10
OURS = "meta-learned (Meta-SGD)"
Predict = Callable[[Sitting], Tensor]
"""A sitting, of which only the first ten decisions are looked at -> how probable it is that each other is accepted."""


def neural(bundle: Bundle, steps: int, rate: float | None = None) -> Predict:
    """A network after so many steps on the observed decisions."""
    predictor = offline(bundle, rate)

    def predict(sitting: Sitting) -> Tensor:
        rows = Examples(
            observations(sitting.offers)[None],
            decisions(sitting.accepted)[None],
            torch.ones(1, len(sitting.offers)).bool(),
        )
        support, query = (Examples(*(part[:, some] for part in rows)) for some in (slice(SHOTS), slice(SHOTS, None)))
        return predictor(Tasks(support, query), [0, steps] if steps else [0]).outputs[-1, 0].softmax(-1)[:, 1]

    return predict


def own_logistic(strength: float) -> Predict:
    """A logistic regression of the person's own. strength: C of scikit-learn, the inverse of its penalty."""

    def predict(sitting: Sitting) -> Tensor:
        x, y = observations(sitting.offers), sitting.accepted[:SHOTS]
        if y.all() or not y.any():  # it takes two classes: Laplace's rule of succession
            return torch.full((len(x) - SHOTS,), (y.sum().item() + 1) / (SHOTS + 2))
        fitted = LogisticRegression(C=strength).fit(x[:SHOTS].numpy(), y.numpy())
        return torch.from_numpy(fitted.predict_proba(x[SHOTS:].numpy())[:, 1]).float()

    return predict


def by_sets(grid: Grid, density: Tensor | None) -> Predict:
    """Prospect theory: the most likely parameters, or all by their posterior. density: the prior's logarithm."""

    def predict(sitting: Sitting) -> Tensor:
        seen, accepting = grid.likelihood(sitting, slice(SHOTS)), grid.accepting(sitting)[:, SHOTS:]
        return accepting[seen.argmax()] if density is None else (seen + density).softmax(0) @ accepting

    return predict


def scores(predict: Predict, sittings: Sequence[Sitting]) -> dict[int, Tensor]:
    """Log-likelihood and accuracy a decision, by person."""
    by_person: dict[int, list[Tensor]] = {}
    for sitting in sittings:
        accepting, accepted = predict(sitting), sitting.accepted[SHOTS:]
        right = (accepting > 0.5) == accepted
        both = torch.stack([log_likelihood(accepting, accepted).mean(), right.float().mean()])
        by_person.setdefault(sitting.person, []).append(both.double())
    return {person: torch.stack(each).mean(0) for person, each in by_person.items()}


def best(choices: Sequence[Predict], sittings: Sequence[Sitting]) -> Predict:
    """The one with the largest log-likelihood on some sittings."""
    return max(choices, key=lambda each: torch.stack([*scores(each, sittings).values()])[:, 0].mean().item())


def contenders(fold: int, data: Path, recipe: Recipe) -> tuple[Mapping[str, Predict], Sequence[Sitting]]:
    """All ways of a fold, fitted without its test people; and these."""
    split = Choices(fold=fold, data=data).sittings
    known = [*split["training"], *split["validation"]]
    grid, steps = Grid.made(), recipe.adapt_steps
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
    """A row a way, with how far ours is ahead of it."""
    people = sorted(by_way[OURS])
    tables = {way: torch.stack([found[person] for person in people]) for way, found in by_way.items()}
    rows = []
    for way, table in tables.items():
        row: dict[str, object] = {"way": way}
        for place, name in enumerate(("log_likelihood", "accuracy")):
            found, ahead = interval(table[:, place]), interval((tables[OURS] - table)[:, place])
            row |= {name: round(found.mean, 4), f"{name}_95": round(found.half_width, 4)}
            row |= {f"{name}_ours_ahead": round(ahead.mean, 4), f"{name}_ours_ahead_95": round(ahead.half_width, 4)}
        rows.append(row)
    return rows


def main(
    data: Annotated[Path, typer.Option(help="The folder of the data set (app.families.risky_choices).")],
    outer_steps: Annotated[int | None, typer.Option(min=1, help="Instead of the recipe's.")] = None,
    keep: Annotated[bool, typer.Option(help="Write the results.")] = True,
) -> None:
    """Measure and write."""
    torch.set_num_threads(1)
    recipe = recipe_for("choices")
    if outer_steps is not None:
        recipe = dataclasses.replace(recipe, outer_steps=outer_steps, validate_every=min(250, outer_steps))
    by_way: dict[str, dict[int, Tensor]] = {}
    for fold in range(FOLDS):
        ways, held_out = contenders(fold, data, recipe)
        for way, predict in ways.items():
            found = scores(predict, held_out)
            by_way.setdefault(way, {}).update(found)
            print(f"fold {fold}, {way}: {torch.stack([*found.values()]).mean(0).tolist()}", flush=True)
    people = len(by_way[OURS])
    protocol = f"means with 95 % intervals over {people} people, each held out once in {FOLDS} folds"
    question = f"Log-likelihood (nats) and accuracy of a person's decisions after the first {SHOTS} were observed"
    write("choices", question, rows_of(by_way), keep=keep, protocol=protocol, outer_steps=recipe.outer_steps)


if __name__ == "__main__":
    typer.run(main)
