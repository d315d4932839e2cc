"""What is the value of a policy that adapted to a user's log, and do the estimates from a log agree?

2,000 users of the family `bandit`. The recipe's bundle adapts to the last 20 or 50 decisions that another policy took
and logged, and is valued by the next 100 decisions; policies take the most probable arm. A value is clicks a decision,
by the true chances of a click at ten fresh contexts for each of these decisions, as a mean with 95 % interval over
users. Rivals are chosen, and pooled ones trained, with other users. For each estimate the rows have the share of the
95 % intervals that contain the true value, for the log of one user and for a log of twenty, as `innerloop value` reads
it.

    python -m service_tests.benchmarks.bandit
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, NamedTuple

import torch
import typer
from torch import Tensor
from torch.nn.functional import one_hot

from app.bundles.bundle import Bundle
from app.families.bandit import Bandit
from app.families.decision_log import DecisionLog
from app.learn.inner import Examples
from app.learn.off_policy_estimators import Estimate, predict_rewards
from app.learn.outer_directions import Tasks
from app.learn.significance import interval
from app.training.logged_tasks import log_as_support
from app.training.off_policy_evaluation import ESTIMATORS, action_probabilities, estimates
from app.training.predictor import offline, predict_in_portions
from app.training.recipes.recipe import Recipe
from app.training.recipes.registry import recipe_for
from app.training.tasks import SEED
from service_tests.benchmarks.report import write
from service_tests.benchmarks.rivals.linear_rewards import Prior, expected, own_ridge
from service_tests.benchmarks.trained import trained

USERS, KNOWN, LOGGED, QUERIES, FRESH = 2_000, 2_000, 50, 100, 10
TOGETHER = 20
"""Users in a log of several users."""
KNOWN_SEED = 19520101
OURS = "adapted (Meta-SGD)"
Act = Callable[[DecisionLog, Tensor], Tensor]
"""(logs of users, contexts) -> preferences, [user, decision, arm]: the arm with the largest is taken."""


class Users(NamedTuple):
    """Users with their decisions.

    first: the logged decisions; rest: those after them
    contexts: other contexts at the same times as the rest; chances: of a click in these, by arm
    """

    first: DecisionLog
    rest: DecisionLog
    contexts: Tensor
    chances: Tensor

    def after(self, support: int) -> "Users":
        """The same users with so many logged decisions, the last ones."""
        return self._replace(first=DecisionLog(*(part[:, LOGGED - support :] for part in self.first)))

    def worth(self, act: Act) -> Tensor:
        """The true value of a policy for each user."""
        return (action_probabilities(act(self.first, self.contexts), sample=False) * self.chances).sum(-1).mean(1)


def draw_users(family: Bandit, count: int, seed: int) -> Users:
    """Draw users of a family."""
    generator = torch.Generator().manual_seed(seed)
    tastes = family.tastes(count, LOGGED + QUERIES, generator)
    log, _ = family.draw(tastes, generator)
    first, rest = (DecisionLog(*(part[:, some] for part in log)) for some in (slice(LOGGED), slice(LOGGED, None)))
    fresh = [family.draw(tastes[:, LOGGED:], generator) for _ in range(FRESH)]
    contexts, chances = torch.cat([log.observations for log, _ in fresh], 1), torch.cat([each for _, each in fresh], 1)
    return Users(first, rest, contexts, chances)


def neural(bundle: Bundle, steps: int, rate: float | None = None) -> Act:
    """A network after so many steps on a user's log."""
    weighing, predictor = bundle.manifest.schema.weighing, offline(bundle, rate)
    assert weighing is not None

    def act(first: DecisionLog, contexts: Tensor) -> Tensor:
        nothing = torch.zeros(*contexts.shape[:2], first.actions.shape[-1] + 1)
        query = Examples(contexts, nothing, torch.ones(contexts.shape[:2]).bool())
        return predict_in_portions(predictor, Tasks(log_as_support(first, weighing), query), [steps]).outputs[0]

    return act


def contenders(recipe: Recipe, family: Bandit, known: Users) -> Mapping[str, Act]:
    """All policies by name. The rivals are fitted and chosen with the `known` users, none of whom is in the test."""
    ours = trained(recipe)
    no_steps = {"algorithm": "maml", "inner_steps": (0, 0), "adapt_steps": 0}
    pooled = trained(dataclasses.replace(recipe, **no_steps))  # type: ignore[arg-type]
    tuned = [neural(pooled, steps, rate) for steps in (1, 3, 10) for rate in (0.001, 0.003, 0.01, 0.03, 0.1)]
    own = [_ridge(10.0**power) for power in range(-1, 3)]
    prior = Prior.fit(known.rest)
    return {
        OURS: neural(ours, recipe.adapt_steps),
        "the same initialization, not adapted": neural(ours, 0),
        "one pooled policy, the same network": neural(pooled, 0),
        "the pooled policy, fine-tuned": best(tuned, known),
        "a ridge regression per user and arm": best(own, known),
        "a hierarchical linear regression": lambda first, contexts: expected(prior.coefficients(first), contexts),
        "the policy that logged, without exploring": lambda first, contexts: family.logging(contexts),
    }


def _ridge(strength: float) -> Act:
    return lambda first, contexts: expected(own_ridge(first, strength), contexts)


def best(choices: Sequence[Act], known: Users) -> Act:
    """The policy with the largest value, summed over 20 and 50 logged decisions."""
    return max(choices, key=lambda act: sum(known.after(count).worth(act).mean().item() for count in (20, 50)))


def estimate_errors(act: Act, users: Users, truth: Tensor) -> dict[str, dict[str, float]]:
    """By estimator: bias and half width for one user, and the share of intervals that hold, for one and for twenty."""
    rest, probabilities = users.rest, action_probabilities(act(users.first, users.rest.observations), sample=False)
    predicted = predict_rewards(rest.observations, rest.actions, rest.rewards)
    one = estimates(probabilities, rest, predicted)
    together = estimates(_together(probabilities), DecisionLog(*map(_together, rest)), _together(predicted))
    several = truth.unflatten(0, (-1, TOGETHER)).mean(1)
    return {way: _row(one[way], truth, together[way], several) for way in ESTIMATORS}


def _together(part: Tensor) -> Tensor:
    """The decisions of twenty users in one row."""
    joined: Tensor = part.unflatten(0, (-1, TOGETHER)).flatten(1, 2)
    return joined


def _row(one: Estimate, truth: Tensor, together: Estimate, several: Tensor) -> dict[str, float]:
    return {
        "bias": round((one.value - truth).mean().item(), 4),
        "half_width": round(one.half_width.mean().item(), 4),
        "coverage": round(one.covers(truth).double().mean().item(), 3),
        f"half_width_of_{TOGETHER}": round(together.half_width.mean().item(), 4),
        f"coverage_of_{TOGETHER}": round(together.covers(several).double().mean().item(), 3),
    }


def rows_of(acts: Mapping[str, Act], users: Users) -> list[dict[str, object]]:
    """A row a policy."""
    values = {name: users.worth(act) for name, act in acts.items()}
    rows: list[dict[str, object]] = []
    for name, act in acts.items():
        value, ahead = interval(values[name]), interval(values[OURS] - values[name])
        row: dict[str, object] = {"observed": users.first.rewards.shape[1], "policy": name}
        row |= {"value": round(value.mean, 4), "value_95": round(value.half_width, 4)}
        row |= {"ours_ahead": round(ahead.mean, 4), "ours_ahead_95": round(ahead.half_width, 4)}
        rows.append(row | estimate_errors(act, users, values[name]))
    return rows


def bounds_of(family: Bandit, users: Users, ours: Tensor) -> list[dict[str, object]]:
    """Rows of the policy that logged, and of an oracle with the true chances."""
    at = one_hot(users.chances.argmax(-1), family.arms)
    known = {"the policy that logged": family.logging(users.contexts), "oracle": at.to(users.chances.dtype)}
    rows = []
    for name, policy in known.items():
        values = (policy * users.chances).sum(-1).mean(1)
        value, ahead = interval(values), interval(ours - values)
        row: dict[str, object] = {"observed": users.first.rewards.shape[1], "policy": name}
        row |= {"value": round(value.mean, 4), "value_95": round(value.half_width, 4)}
        rows.append(row | {"ours_ahead": round(ahead.mean, 4), "ours_ahead_95": round(ahead.half_width, 4)})
    return rows


def main(
    outer_steps: Annotated[int | None, typer.Option(min=1, help="Instead of the recipe's.")] = None,
    keep: Annotated[bool, typer.Option(help="Write the results.")] = True,
) -> None:
    """Measure, and write the results."""
    torch.set_num_threads(1)
    recipe, family = recipe_for("bandit"), Bandit()
    if outer_steps is not None:
        recipe = dataclasses.replace(recipe, outer_steps=outer_steps, validate_every=min(250, outer_steps))
    acts = contenders(recipe, family, draw_users(family, KNOWN, KNOWN_SEED))
    test_users, rows = draw_users(family, USERS, SEED), []
    for support in (20, 50):
        users = test_users.after(support)
        rows += rows_of(acts, users) + bounds_of(family, users, users.worth(acts[OURS]))
    protocol = f"{USERS} users (seed {SEED}), {QUERIES} decisions each after those that were observed"
    question = "Clicks a decision of policies, and what a log says of them"
    write("bandit", question, rows, keep=keep, protocol=protocol, outer_steps=recipe.outer_steps)


if __name__ == "__main__":
    typer.run(main)
