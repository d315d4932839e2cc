"""What is a policy worth that was adapted to a user's log, and do the estimates from a log say so?

600 users of the family `bandit`. The bundle that ships adapts to the last 20 or 50 decisions that another policy took
and logged, and is valued by the 100 that come next, where the chances of a click are known for every arm. Values are
clicks a decision, means with 95 % intervals over users, taking the most probable arm. Of each estimate: how far it is
from the truth on average, the half width of its 95 % interval for one user, and how many of these hold the truth.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor
from torch.nn.functional import one_hot, pad

from app.bundles import Bundle, load
from app.families.bandit import Bandit
from app.families.logs import Log
from app.learn.metrics import interval
from app.learn.off_policy import predicted_rewards, ridge_by_action
from app.training.evaluation import SEED
from app.training.predictor import offline
from app.training.valuation import cut, estimates, policy_of
from service_tests.benchmarks.report import write

USERS, LOGGED, QUERIES = 600, 50, 100
ADAPTED, UNADAPTED = "adapted", "initialization, not adapted"


def policies(bundle: Bundle, log: Log, support: int) -> Mapping[str, Tensor]:
    """What each policy does at the decisions after the support set, [user, decision, arm]."""
    tasks, rest = cut(bundle, log, support)
    steps = bundle.manifest.inner_loop.steps
    before, after = offline(bundle)(tasks, [0, steps]).outputs
    first = Log(*(part[:, :support] for part in log))
    features = pad(first.observations.double(), (0, 1), value=1.0)
    solved = ridge_by_action(features, first.actions.double(), first.rewards.double())
    own = pad(rest.observations.double(), (0, 1), value=1.0) @ solved
    return {
        UNADAPTED: policy_of(before, drawn=False),
        ADAPTED: policy_of(after, drawn=False),
        "a ridge regression per user and arm, greedy": policy_of(own.float(), drawn=False),
    }


def rows_of(bundle: Bundle, family: Bandit, support: int) -> list[dict[str, object]]:
    """A row a policy."""
    log, chances = family.draw(USERS, LOGGED + QUERIES, torch.Generator().manual_seed(SEED))
    log, chances = Log(*(part[:, LOGGED - support :] for part in log)), chances[:, LOGGED:]
    rest = Log(*(part[:, support:] for part in log))
    predicted = predicted_rewards(rest.observations, rest.actions, rest.rewards)
    by_name = {
        "the policy that logged": family.logging(rest.observations),
        **policies(bundle, log, support),
        "oracle": one_hot(chances.argmax(-1), family.arms).to(chances.dtype),
    }
    values = {name: (policy * chances).sum(-1).mean(1) for name, policy in by_name.items()}
    rows = []
    for name, policy in by_name.items():
        found, ahead = interval(values[name]), interval(values[ADAPTED] - values[name])
        row: dict[str, object] = {"observed": support, "policy": name, "value": round(found.mean, 4)}
        row |= {"value_95": round(found.half_width, 4), "adapted_ahead": round(ahead.mean, 4)}
        row |= {"adapted_ahead_95": round(ahead.half_width, 4)}
        for way, estimate in estimates(policy, rest, predicted).items():
            held = estimate.holds(values[name]).double().mean().item()
            row[way] = {
                "bias": round((estimate.value - values[name]).mean().item(), 4),
                "half_width": round(estimate.half_width.mean().item(), 4),
                "coverage": round(held, 3),
            }
        rows.append(row)
    return rows


def main(
    models_dir: Annotated[Path, typer.Option(help="The folder of the bundles.")] = Path("models"),
    keep: Annotated[bool, typer.Option(help="Write the results.")] = True,
) -> None:
    """Measure and write."""
    torch.set_num_threads(1)
    bundle = load(models_dir / "bandit")
    family = bundle.family()
    assert isinstance(family, Bandit)
    rows = [row for support in (20, 50) for row in rows_of(bundle, family, support)]
    protocol = f"{USERS} users (seed {SEED}), {QUERIES} decisions each after those that were observed"
    write("bandit", "Clicks a decision of policies, and what a log says of them", rows, keep=keep, protocol=protocol)


if __name__ == "__main__":
    typer.run(main)
