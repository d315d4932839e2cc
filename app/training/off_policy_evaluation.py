"""What a bundle's policy would earn, before it is deployed: by a log of decisions that another policy took.

A log is a file of JSON lines, in the order of time:

    {"observation": [0.3, -1.2], "action": 2, "reward": 1, "propensity": 0.1, "task": "user 7"}

`propensity` is how probable the action was for the policy that took it. `task` tells the tasks apart where there are
several. The first decisions of each task are adapted to, and the others are what the policies are valued by.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from app.bundles import Bundle
from app.errors import DataError
from app.families.logs import Log
from app.learn.off_policy import (
    Estimate,
    doubly_robust,
    importance_weights,
    inverse_propensity,
    predict_rewards,
    self_normalised,
)
from app.learn.outer import Tasks
from app.training.logged import queries_of, support_of
from app.training.predictor import offline

LOGGING, UNADAPTED, ADAPTED = "logging policy", "initialization", "adapted"
ESTIMATORS = ("inverse propensity", "self-normalised", "doubly robust")


@dataclass(frozen=True)
class Valuation:
    """The values of policies by estimator, in rewards a decision.

    by_policy: of the logging policy there is the mean reward alone
    decisions, tasks: that they were valued by
    """

    by_policy: Mapping[str, Mapping[str, Estimate]]
    decisions: int
    tasks: int


def read_log(file: Path, bundle: Bundle) -> list[Log]:
    """The log of each task, on its own in a batch of one. Raises DataError with the line and the reason."""
    by_task: dict[str, list[tuple[list[float], int, float, float]]] = {}
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read: {error}") from error
    schema = bundle.manifest.schema
    for number, line in enumerate(lines, start=1):
        if line.strip():
            task, decision = _decision(f"{file} line {number}", line, schema.features, schema.targets)
            by_task.setdefault(task, []).append(decision)
    if not by_task:
        raise DataError(f"{file} has no decisions")
    return [_log(decisions, schema.targets) for decisions in by_task.values()]


def _decision(place: str, line: str, features: int, actions: int) -> tuple[str, tuple[list[float], int, float, float]]:
    try:
        said = json.loads(line)
        values = [said[key] for key in ("observation", "action", "reward", "propensity")]
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise DataError(
            f'{place}: an object with "observation", "action", "reward" and "propensity" is expected'
        ) from error
    observation, action, reward, propensity = values
    if not isinstance(observation, list) or len(observation) != features or not all(map(_is_number, observation)):
        raise DataError(f"{place}: observation is {features} numbers")
    if type(action) is not int or not 0 <= action < actions:
        raise DataError(f"{place}: action is from 0 to {actions - 1}, got {action!r}")
    if not _is_number(reward):
        raise DataError(f"{place}: reward is a number, got {reward!r}")
    if not _is_number(propensity) or not 0 < propensity <= 1:
        raise DataError(f"{place}: propensity is above 0 and at most 1, got {propensity!r}")
    return str(said.get("task", "")), (observation, action, reward, propensity)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _log(decisions: Sequence[tuple[list[float], int, float, float]], actions: int) -> Log:
    observations, taken, rewards, propensities = zip(*decisions, strict=True)
    return Log(
        torch.tensor([observations], dtype=torch.float32),
        one_hot(torch.tensor([taken]), actions).float(),
        torch.tensor([rewards], dtype=torch.float32),
        torch.tensor([propensities], dtype=torch.float32),
    )


def valued(bundle: Bundle, logs: Iterable[Log], support: int, steps: int, *, drawn: bool = False) -> Valuation:
    """Value the initialization, and the policies adapted to the first `support` decisions of each task, by the others.

    drawn: the policies draw their actions; else they take the most probable one, as `/predict` does unless it is asked

    Raises DataError where a task has too few decisions, or where actions are no names.
    """
    if bundle.manifest.schema.actions is None or bundle.manifest.schema.actions.is_box:
        raise DataError(f"{bundle.name} does not decide among actions by name: only such policies are valued")
    found: dict[str, list[Tensor]] = {UNADAPTED: [], ADAPTED: []}
    parts = []
    for log in logs:
        tasks, rest = cut(bundle, log, support)
        outputs, _ = offline(bundle)(tasks, [0, steps] if steps else [0])
        for name, each in zip(found, (outputs[0], outputs[-1]), strict=True):
            found[name].append(policy_of(each, drawn=drawn))
        parts.append((rest, predict_rewards(rest.observations, rest.actions, rest.rewards)))
    rest = Log(*(torch.cat(part, 1) for part in zip(*(each for each, _ in parts), strict=True)))
    predicted = torch.cat([each for _, each in parts], 1)
    by_policy = {name: estimates(torch.cat(each, 1), rest, predicted) for name, each in found.items()}
    own = {"mean reward": inverse_propensity(torch.ones_like(rest.rewards), rest.rewards)}
    return Valuation({LOGGING: own, **by_policy}, rest.rewards.shape[1], len(parts))


def cut(bundle: Bundle, log: Log, support: int) -> tuple[Tasks, Log]:
    """The first decisions as support sets, the others as queries, and these as they were logged."""
    weighing = bundle.manifest.schema.weighing
    assert weighing is not None
    if log.rewards.shape[1] < support + 2:
        raise DataError(
            f"a task has {log.rewards.shape[1]} decisions: {support} to adapt to leave fewer than two to value by"
        )
    first, rest = (Log(*(part[:, some] for part in log)) for some in (slice(support), slice(support, None)))
    return Tasks(support_of(first, weighing), queries_of(rest)), rest


def policy_of(outputs: Tensor, *, drawn: bool) -> Tensor:
    """How probable each action is. outputs: logits, [..., action]; drawn: as for `valued`."""
    if drawn:
        return outputs.softmax(-1)
    return one_hot(outputs.argmax(-1), outputs.shape[-1]).to(outputs.dtype)


def estimates(probabilities: Tensor, log: Log, predicted: Tensor) -> Mapping[str, Estimate]:
    """The value of a policy by each estimator, for each task of the log."""
    weights = importance_weights(probabilities, log.actions, log.propensities)
    values = (
        inverse_propensity(weights, log.rewards),
        self_normalised(weights, log.rewards),
        doubly_robust(weights, log.rewards, log.actions, probabilities, predicted),
    )
    return dict(zip(ESTIMATORS, values, strict=True))


def valuation_text(valuation: Valuation) -> str:
    """The values as a table in Markdown, a row a policy."""
    lines = ["| | mean reward | " + " | ".join(ESTIMATORS) + " |", "|---" * 5 + "|"]
    for name, values in valuation.by_policy.items():
        cells = [_cell(values[each]) if each in values else "" for each in ("mean reward", *ESTIMATORS)]
        lines.append("| " + " | ".join([name, *cells]) + " |")
    return "\n".join(lines)


def _cell(estimate: Estimate) -> str:
    return f"{estimate.value.item():.3f} ± {estimate.half_width.item():.3f}"
