"""Valuing a policy before it is deployed, by a log whose truth is known."""

import json
from pathlib import Path

import pytest
import torch

from app.bundles.bundle import Bundle
from app.bundles.folder import load
from app.errors import DataError
from app.families.bandit import Bandit
from app.families.decision_log import DecisionLog
from app.training.off_policy_evaluation import (
    ADAPTED,
    ESTIMATORS,
    INITIAL,
    LOGGING,
    action_probabilities,
    estimate_values,
    read_log,
    split_log,
    valuation_text,
)
from app.training.predictor import offline
from service_tests.bundles import write_bundle

SUPPORT = 30


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("models") / "bandit"
    network = Bandit().network
    write_bundle(folder, "bandit", "maml", network, steps=3, rate=0.05)
    return load(folder)


def lines_of(log: DecisionLog, task: int) -> list[str]:
    return [
        json.dumps({"observation": seen.tolist(), "action": int(action.argmax()), "reward": reward.item(),
                    "propensity": propensity.item(), "task": f"user {task}"})
        for seen, action, reward, propensity in zip(*(part[task] for part in log), strict=True)
    ]  # fmt: skip


def test_a_log_is_read_as_it_was_drawn(bundle: Bundle, tmp_path: Path) -> None:
    log = Bandit().log(2, 20, torch.Generator().manual_seed(0))
    one, two = lines_of(log, 0), lines_of(log, 1)
    file = tmp_path / "log.jsonl"
    file.write_text("\n".join(line for pair in zip(one, two, strict=True) for line in pair))
    for task, parsed in enumerate(read_log(file, bundle)):
        for read, drawn in zip(parsed, log, strict=True):
            torch.testing.assert_close(read[0], drawn[task])


@pytest.mark.parametrize("sample", [False, True])
def test_values_are_near_the_truth(bundle: Bundle, sample: bool) -> None:
    family, generator = Bandit(), torch.Generator().manual_seed(0)
    log, chances = family.draw(family.tastes(8, SUPPORT + 1_500, generator), generator)
    each = [DecisionLog(*(part[task : task + 1] for part in log)) for task in range(8)]
    valuation = estimate_values(bundle, each, SUPPORT, 3, sample=sample)
    assert (valuation.decisions, valuation.tasks) == (12_000, 8)
    torch.testing.assert_close(valuation.by_policy[LOGGING]["mean reward"].value[0], log.rewards[:, SUPPORT:].mean())
    outputs, _ = offline(bundle)(split_log(bundle, log, SUPPORT)[0], [0, 3])
    for name, outputs_of in zip((INITIAL, ADAPTED), outputs, strict=True):
        truth = (action_probabilities(outputs_of, sample=sample) * chances[:, SUPPORT:]).sum(-1).mean()
        for estimator in ESTIMATORS:
            estimate = valuation.by_policy[name][estimator]
            assert (estimate.value[0] - truth).abs() < 1.6 * estimate.half_width[0], (name, estimator)
    assert valuation_text(valuation).count("±") == 7


def test_without_steps_the_adapted_policy_is_the_initialization(bundle: Bundle) -> None:
    log = Bandit().log(1, 80, torch.Generator().manual_seed(0))
    by_policy = estimate_values(bundle, [log], SUPPORT, 0).by_policy
    for estimator in ESTIMATORS:
        assert torch.equal(by_policy[INITIAL][estimator].value, by_policy[ADAPTED][estimator].value)


def test_too_few_decisions_are_refused(bundle: Bundle) -> None:
    log = Bandit().log(1, SUPPORT + 1, torch.Generator())
    with pytest.raises(DataError, match=r"at least 32 decisions of each task .*, got 31"):
        estimate_values(bundle, [log], SUPPORT, 1)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"observation": [1, 2]}, "observation: expected 6 numbers, got"),
        ({"observation": [1, 2, 3, 4, 5, True]}, "observation: expected 6 numbers, got"),
        ({"action": 5}, "action: expected a whole number from 0 to 4, got 5"),
        ({"action": 1.0}, "action: expected a whole number from 0 to 4, got 1.0"),
        ({"reward": 10**400}, "reward: expected a number, got inf"),
        ({"observation": [10**400] * 6}, "observation: expected 6 numbers, got"),
        ({"action": 10**400}, "action: expected a whole number from 0 to 4, got inf"),
        ({"reward": None}, "reward: expected a number, got None"),
        ({"propensity": 0}, "propensity: expected a number above 0 and at most 1, got 0"),
        ({"propensity": 1.5}, "propensity: expected a number above 0 and at most 1, got 1.5"),
    ],
)
def test_a_wrong_line_is_named(changed: dict[str, object], message: str, bundle: Bundle, tmp_path: Path) -> None:
    good = {"observation": [0.0] * 6, "action": 1, "reward": 1, "propensity": 0.5}
    file = tmp_path / "log.jsonl"
    file.write_text(f"{json.dumps(good)}\n{json.dumps(good | changed)}\n")
    with pytest.raises(DataError, match=f"line 2: {message}"):
        read_log(file, bundle)


def test_a_number_that_python_does_not_read(bundle: Bundle, tmp_path: Path) -> None:
    line = json.dumps({"observation": [0.0] * 6, "action": 1, "reward": 1.25, "propensity": 0.5})
    file = tmp_path / "log.jsonl"
    file.write_text(line.replace("1.25", "9" * 5000))
    with pytest.raises(DataError, match="line 1: reward: expected a number, got inf"):
        read_log(file, bundle)


@pytest.mark.parametrize("line", ["rubbish", "[1, 2]", '{"action": 1}', "1"])
def test_a_line_that_is_no_decision_is_named(line: str, bundle: Bundle, tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    file.write_text(line)
    with pytest.raises(DataError, match='line 1: expected an object with "observation"'):
        read_log(file, bundle)


def test_what_is_not_there_is_said(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r'none\.jsonl: expected a text file that can be read, got "No such file or directory"$'
    ):
        read_log(tmp_path / "none.jsonl", bundle)
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(DataError, match="expected at least 1 decision, got none"):
        read_log(tmp_path / "empty.jsonl", bundle)


def test_bundles_without_actions_by_name_are_refused(models_dir: Path) -> None:
    log = Bandit().log(1, 80, torch.Generator())
    with pytest.raises(
        DataError, match="bundle: expected a policy with discrete actions, got sinusoid, which has none"
    ):
        estimate_values(load(models_dir / "sinusoid"), [log], SUPPORT, 1)
