"""Estimating the value of a bundle's policy before it is deployed, from decisions that another policy logged.

A log is a file of JSON lines, in the order of time:

    {"observation": [0.3, -1.2], "action": 2, "reward": 1, "propensity": 0.1, "task": "user 7"}

`propensity` is the probability of the action under the policy that took it. `task` distinguishes the tasks where there
are several. The policy is adapted to the first decisions of each task, and its value is estimated from the others.
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

from app.bundles.bundle import Bundle
from app.errors import DataError, cause_text, expectation, path_text, shown
from app.families.decision_log import DecisionLog
from app.learn.off_policy_estimators import (
    Estimate,
    doubly_robust,
    importance_weights,
    inverse_propensity,
    predict_rewards,
    self_normalised,
)
from app.learn.outer_directions import Tasks
from app.training.logged_tasks import log_as_queries, log_as_support
from app.training.predictor import offline

LOGGING, INITIAL, ADAPTED = "logging policy", "initialization", "adapted"
ESTIMATORS = ("inverse propensity", "self-normalised", "doubly robust")


@dataclass(frozen=True)
class Valuation:
    """The values of policies, in rewards a decision.

    by_policy: the estimates by estimator; for the logging policy its mean reward alone
    decisions, tasks: how many the values are estimated from
    """

    by_policy: Mapping[str, Mapping[str, Estimate]]
    decisions: int
    tasks: int


def read_log(file: Path, bundle: Bundle) -> list[DecisionLog]:
    """The log of each task, each in a batch of one. Raises DataError with the line and the reason."""
    by_task: dict[str, list[tuple[list[float], int, float, float]]] = {}
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(expectation(path_text(file), "a text file that can be read", cause_text(error))) from error
    schema = bundle.manifest.schema
    for number, line in enumerate(lines, start=1):
        if line.strip():
            task, decision = _parse_line(f"{file} line {number}", line, schema.features, schema.targets)
            by_task.setdefault(task, []).append(decision)
    if not by_task:
        raise DataError(expectation(str(file), "at least 1 decision", "none"))
    return [_as_log(decisions, schema.targets) for decisions in by_task.values()]


def _parse_line(
    place: str, line: str, features: int, actions: int
) -> tuple[str, tuple[list[float], int, float, float]]:
    try:
        content = json.loads(line, parse_int=_parse_int)
        values = [content[key] for key in ("observation", "action", "reward", "propensity")]
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise DataError(
            expectation(place, 'an object with "observation", "action", "reward" and "propensity"', shown(line.strip()))
        ) from error
    observation, action, reward, propensity = values
    if not isinstance(observation, list) or len(observation) != features or not all(map(_is_number, observation)):
        raise DataError(f"{place}: observation: expected {features} numbers, got {observation!r:.60}")
    if type(action) is not int or not 0 <= action < actions:
        raise DataError(f"{place}: action: expected a whole number from 0 to {actions - 1}, got {action!r:.60}")
    if not _is_number(reward):
        raise DataError(f"{place}: reward: expected a number, got {reward!r:.60}")
    if not _is_number(propensity) or not 0 < propensity <= 1:
        raise DataError(f"{place}: propensity: expected a number above 0 and at most 1, got {propensity!r:.60}")
    return str(content.get("task", "")), (observation, action, reward, propensity)


def _parse_int(digits: str) -> int | float:
    """A whole number; infinity for one that no float can hold, and Python may refuse to read."""
    return int(digits) if math.isfinite(float(digits)) else math.inf


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _as_log(decisions: Sequence[tuple[list[float], int, float, float]], actions: int) -> DecisionLog:
    observations, indices, rewards, propensities = zip(*decisions, strict=True)
    return DecisionLog(
        torch.tensor([observations], dtype=torch.float32),
        one_hot(torch.tensor([indices]), actions).float(),
        torch.tensor([rewards], dtype=torch.float32),
        torch.tensor([propensities], dtype=torch.float32),
    )


def estimate_values(
    bundle: Bundle, logs: Iterable[DecisionLog], support: int, steps: int, *, sample: bool = False
) -> Valuation:
    """Estimate the values of the initialization and of the policies adapted to the first decisions of each task.

    support: how many decisions of each task are adapted to; the others are what the values are estimated from
    sample: whether the policies draw their actions; else they take the most probable one, as `/predict` does by default

    Raises DataError where a task has too few decisions, or where actions are numbers.
    """
    if bundle.manifest.schema.actions is None or bundle.manifest.schema.actions.is_box:
        raise DataError(expectation("bundle", "a policy with discrete actions", f"{bundle.name}, which has none"))
    probabilities: dict[str, list[Tensor]] = {INITIAL: [], ADAPTED: []}
    parts = []
    for log in logs:
        tasks, rest = split_log(bundle, log, support)
        outputs, _ = offline(bundle)(tasks, [0, steps] if steps else [0])
        for name, each in zip(probabilities, (outputs[0], outputs[-1]), strict=True):
            probabilities[name].append(action_probabilities(each, sample=sample))
        parts.append((rest, predict_rewards(rest.observations, rest.actions, rest.rewards)))
    rest = DecisionLog(*(torch.cat(part, 1) for part in zip(*(each for each, _ in parts), strict=True)))
    predicted = torch.cat([each for _, each in parts], 1)
    by_policy = {name: estimates(torch.cat(each, 1), rest, predicted) for name, each in probabilities.items()}
    logging = {"mean reward": inverse_propensity(torch.ones_like(rest.rewards), rest.rewards)}
    return Valuation({LOGGING: logging, **by_policy}, rest.rewards.shape[1], len(parts))


def split_log(bundle: Bundle, log: DecisionLog, support: int) -> tuple[Tasks, DecisionLog]:
    """Tasks with the first decisions as support sets and the others as queries, and the log of the others."""
    weighing = bundle.manifest.schema.weighing
    assert weighing is not None
    if log.rewards.shape[1] < support + 2:
        raise DataError(
            expectation(
                "--support",
                f"at least {support + 2} decisions of each task ({support} to adapt to, 2 for the estimate)",
                log.rewards.shape[1],
                "lower --support, or log more decisions",
            )
        )
    first, rest = (DecisionLog(*(part[:, which] for part in log)) for which in (slice(support), slice(support, None)))
    return Tasks(log_as_support(first, weighing), log_as_queries(rest)), rest


def action_probabilities(outputs: Tensor, *, sample: bool) -> Tensor:
    """The probability of each action. outputs: logits, [..., action]; sample: as for `estimate_values`."""
    if sample:
        return outputs.softmax(-1)
    return one_hot(outputs.argmax(-1), outputs.shape[-1]).to(outputs.dtype)


def estimates(probabilities: Tensor, log: DecisionLog, predicted: Tensor) -> Mapping[str, Estimate]:
    """The value of a policy by each estimator, for each task of the log.

    probabilities: of all actions under the policy; predicted: the reward of each action, as a model predicts it
    """
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
