"""An example request for a bundle's card: a held-out task, and what the bundle answers."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from math import floor, log10
from typing import Any, NamedTuple

import torch
from torch import Tensor

from app.bundles.bundle import Bundle
from app.families.family import Family
from app.learn.inner import Examples, Schedule, batched, trajectory
from app.learn.outer_directions import Tasks
from app.learn.policies import mean_and_deviation
from app.learn.shape_annotations import Float
from app.training.family_and_network import device_of, worlds_of
from app.training.predictor import offline
from app.training.returns import Trial
from app.training.rollouts import local_learner
from app.training.tasks import IMAGE_FEATURES, Setting, draw_held_out

DECIMALS = 3
QUERIES = 3
DRAWN = 100
"""Decisions of which the example shows QUERIES."""
STD = (
    "They differ from the predictions also because the example is rounded to 3 decimals. `std` is the standard "
    "deviation of each prediction. It is not calibrated: ask for an interval instead."
)
MAX_ITEMS = 10
"""A longer list is cut."""
CUT_TO = 2
CUT = "..."


class Example(NamedTuple):
    """A request to POST /predict and its answer, as JSON; where lists are cut it has `...` and is no JSON.

    truth: the answers that are right, in words; empty where nothing is
    """

    request: str
    answer: str
    truth: str = ""

    @classmethod
    def from_json(cls, evaluation: Mapping[str, Any]) -> "Example | None":
        """The example in the evaluation of a bundle.json, if it has one."""
        return cls(**evaluation["example"]) if "example" in evaluation else None


def task_example(bundle: Bundle, family: Family, setting: Setting) -> Example:
    """The first held-out task of a setting, with numbers rounded as printed."""
    is_decision = bundle.manifest.kind == "decision"
    queries = DRAWN if is_decision else QUERIES
    drawn = draw_held_out(family, setting, device_of(bundle), tasks=2, queries=queries)
    tasks = _rounded(_with_varied_actions(drawn) if is_decision else drawn, _target_decimals(bundle))
    outputs = offline(bundle)(tasks, [bundle.manifest.inner_loop.steps]).outputs[0, 0, :QUERIES].cpu()
    support, answer, truth = EXAMPLES[bundle.manifest.kind](bundle, tasks, outputs)
    posted = _inputs(tasks.query.inputs[0, :QUERIES])
    request = {"model": bundle.name, "support": support, "queries": posted}
    return Example(_text(request), _text(answer), truth)


def policy_example(bundle: Bundle) -> Example:
    """A stage of episodes in a held-out world, and what the policy then does at the start of the next."""
    trial = Trial(tasks=2, stages=1)
    worlds = worlds_of(bundle)
    tasks, generator = trial.draw_worlds(worlds, device_of(bundle))
    learner = local_learner(bundle, trial.tasks, generator)
    episodes = trial.run(worlds, lambda _: learner, device_of(bundle))[0]
    state = worlds.reset(tasks, 1, generator)
    queries = worlds.observe(state)
    outputs = learner.inner.apply(learner.meta, learner.state, queries)[0].detach().cpu()
    rows = int(episodes.mask[0, 0].sum())
    posted = {
        "observations": _inputs(episodes.observations[0, 0, :rows]),
        "actions": _taken(episodes.actions[0, 0, :rows], bundle),
        "rewards": _numbers(episodes.rewards[0, 0, :rows]),
    }
    request = {"model": bundle.name, "support": {"episodes": [posted, CUT]}, "queries": _inputs(queries[0])}
    return Example(_text(request), _text(_actions(outputs, bundle)))


def _rounded(tasks: Tasks, decimals: int) -> Tasks:
    """The tasks, with inputs and numbers as they will be printed. decimals: of the targets"""
    return Tasks(
        *(
            part._replace(inputs=part.inputs.round(decimals=DECIMALS), targets=part.targets.round(decimals=decimals))
            for part in tasks
        )
    )


def _with_varied_actions(tasks: Tasks) -> Tasks:
    """The tasks with QUERIES queries each: those of the first task have different actions, as far as it has them."""
    query = tasks.query
    known = {tuple(row) for row in tasks.support.inputs[0].tolist()}
    fresh = [place for place, row in enumerate(query.inputs[0].tolist()) if tuple(row) not in known]
    actions = query.targets[0, :, :-1].argmax(-1).tolist()
    first = {actions[place]: place for place in reversed(fresh)}.values()
    places = [*sorted(first), *(place for place in fresh if place not in first)][:QUERIES]
    parts = (part[:, places] for part in (query.inputs, query.targets, query.mask))
    return tasks._replace(query=Examples(*parts))


def _target_decimals(bundle: Bundle) -> int:
    """The decimal places of targets and predictions: fewer if they vary by hundreds, more if by thousandths."""
    scale = bundle.manifest.target_scale
    return DECIMALS if scale is None else max(0, DECIMALS - floor(log10(min(scale.std))))


def _regression(bundle: Bundle, tasks: Tasks, outputs: Tensor) -> tuple[Any, Any, str]:
    decimals = _target_decimals(bundle)
    support = {"inputs": _inputs(tasks.support.inputs[0]), "targets": _targets(tasks.support.targets[0], decimals)}
    truth = f"The true values are {_text(_targets(tasks.query.targets[0, :QUERIES], decimals))}."
    answer = {"predictions": [_numbers(row, decimals) for row in outputs]}
    if (deviations := _deviations(bundle, tasks)) is not None:
        answer["std"] = [_numbers(row, decimals) for row in deviations[0, :QUERIES]]
        truth += f" {STD}"
    return support, answer, truth


@torch.no_grad()
def _deviations(bundle: Bundle, tasks: Tasks) -> Float[Tensor, "task query target"] | None:
    """The standard deviation of each prediction, if the algorithm computes one (in closed form)."""
    inner = batched(bundle.inner_loop())
    if inner.variance is None:
        return None
    rates = torch.ones_like(tasks.support.mask[:, 0], dtype=torch.float32)
    steps = bundle.manifest.inner_loop.steps
    *_, (state, _) = trajectory(inner, bundle.meta, tasks.support, Schedule(rates, rates.long() * steps, steps))
    return inner.variance(bundle.meta, state, tasks.query.inputs).sqrt().cpu()


def _classification(bundle: Bundle, tasks: Tasks, outputs: Tensor) -> tuple[Any, Any, str]:
    names = [chr(ord("a") + index) for index in range(outputs.shape[-1])]

    def labels(targets: Tensor) -> list[str]:
        return [names[index] for index in targets.argmax(-1).tolist()]

    support = {"inputs": _inputs(tasks.support.inputs[0]), "targets": labels(tasks.support.targets[0])}
    likely = (outputs / bundle.manifest.calibration.temperature).softmax(-1)
    answer = {"predictions": labels(outputs), "labels": names, "probabilities": _inputs(likely)}
    return support, answer, f"The true labels are {', '.join(labels(tasks.query.targets[0, :QUERIES]))}."


def _taken(actions: Tensor, bundle: Bundle) -> list[Any]:
    """Actions as a request has them: numbers of discrete actions, or rows of numbers."""
    space = bundle.manifest.schema.actions
    if space is None or not space.is_box:
        return actions.argmax(-1).tolist()
    return _inputs(actions)


def _decision(bundle: Bundle, tasks: Tasks, outputs: Tensor) -> tuple[Any, Any, str]:
    actions = tasks.support.targets[0, :, :-1].argmax(-1).tolist()
    support = {"episodes": [{"observations": _inputs(tasks.support.inputs[0]), "actions": actions}]}
    meanings = bundle.manifest.meanings
    names = [f" (`{each.name}`)" if each.name else "" for each in meanings.actions] if meanings else []
    taken = tasks.query.targets[0, :QUERIES, :-1].argmax(-1).tolist()
    chosen = ", ".join(f"{action}{names[action] if names else ''}" for action in taken)
    return support, _actions(outputs, bundle), f"The actions that were taken are {chosen}."


EXAMPLES: Mapping[str, Callable[[Bundle, Tasks, Tensor], tuple[Any, Any, str]]] = {
    "regression": _regression,
    "classification": _classification,
    "decision": _decision,
}
"""(bundle, tasks, network outputs) -> the support set, the answer and the truth, by kind."""


def _actions(outputs: Tensor, bundle: Bundle) -> dict[str, Any]:
    actions = bundle.manifest.schema.actions
    if actions is not None and actions.is_box:
        mean, deviation = mean_and_deviation(outputs)
        within = mean.clamp(torch.tensor(actions.low), torch.tensor(actions.high))
        return {"predictions": _inputs(within), "mean": _inputs(mean), "std": _inputs(deviation)}
    likely = outputs.softmax(-1)
    return {"predictions": likely.argmax(-1).tolist(), "probabilities": _inputs(likely)}


def _numbers(values: Tensor, decimals: int = DECIMALS) -> list[float]:
    # adding 0 turns -0 into 0
    return [round(value, decimals) + 0 for value in values.tolist()]


def _inputs(rows: Tensor) -> list[Any]:
    """Rows of numbers; the rows of images are named, because nobody reads their numbers."""
    return ["<PNG in base64>" if len(row) >= IMAGE_FEATURES else _numbers(row) for row in rows]


def _targets(rows: Tensor, decimals: int) -> list[Any]:
    """Rows of numbers, or numbers where each row has one."""
    return _numbers(rows[:, 0], decimals) if rows.shape[1] == 1 else [_numbers(row, decimals) for row in rows]


def _text(value: Any, level: int = 0) -> str:
    """JSON with a line for each field of the outer object, and long lists cut."""
    if isinstance(value, Mapping):
        separator = ",\n  " if level == 0 else ", "
        return "{" + separator.join(f"{json.dumps(key)}: {_text(each, level + 1)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        items = value if len(value) <= MAX_ITEMS else [*value[:CUT_TO], CUT]
        return "[" + ", ".join(_text(each, level + 1) for each in items) + "]"
    return CUT if value == CUT else json.dumps(value)


def with_example(bundle: Bundle, example: Example) -> Bundle:
    """The bundle with an example in its evaluation."""
    evaluation = {**bundle.manifest.evaluation, "example": example._asdict()}
    return replace(bundle, manifest=replace(bundle.manifest, evaluation=evaluation))
