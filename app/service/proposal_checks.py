"""What a request for proposals may ask of a model, with the fix for what it may not."""

from collections.abc import Sequence

from app.encoders.error_places import show
from app.errors import Invalid, exact
from app.service.answers import KINDS
from app.service.class_labels import Label
from app.service.commands import Goal
from app.service.model import Model
from app.service.task import Task


def check_count(count: int, candidates: int) -> None:
    """A candidate is proposed once."""
    if count > candidates:
        raise Invalid("count", f"at most {candidates}, the number of candidates", count, "send more candidates")


def check_has_rows(model: Model, place: str) -> None:
    """Only a model of labelled rows has rows to label. place: the field that names the model"""
    if KINDS[model.bundle.manifest.kind].staged:
        name = model.bundle.name
        raise Invalid.unusable(
            place, f"{name} is a policy, which learns from episodes, so use a model of numbers or labels"
        )


def check_says_how_sure(model: Model, goal: Goal, task: Task | None, place: str) -> None:
    """The algorithm has a variance, or the calibration covers the task. Classifiers have probabilities.

    place: the field that names the model
    """
    manifest, name = model.bundle.manifest, model.bundle.name
    calibration, bounds = manifest.calibration, manifest.inner_loop
    if KINDS[manifest.kind].labels or model.has_spread:
        return
    nothing, again = f"nothing says how sure {name} is", f"run `innerloop calibrate {name}`"
    if not calibration.has_intervals:
        raise Invalid.unusable(place, f"{nothing}, so {again} to measure its errors, or use a Bayesian model")
    size = 0 if task is None else task.size
    if size < calibration.shots[0]:
        expected = f"at least {calibration.shots[0]} support examples, as {name} is not calibrated for fewer"
        raise Invalid("support" if task is None else place, expected, exact(size), "send more examples")
    if goal is Goal.learn and not (size and calibration.has_distances):
        sentence = "it is as sure of each candidate, so send support"
        if size:
            sentence = f"its calibration is as sure of each candidate, so {again} again"
        raise Invalid.unusable(place if size else "support", f"{name} is no Bayesian model, and {sentence}")
    if task is None:
        return
    for setting, value, default in (
        ("steps", task.steps, bounds.steps),
        ("learning_rate", task.learning_rate, bounds.learning_rate),
    ):
        if value != default:
            wanted = f"{setting} {exact(default)}"
            expected = f"an adaptation with {wanted}, for which {name} is calibrated"
            raise Invalid(place, expected, f"one with {exact(value)}", f"adapt with {wanted}")


def find_target(
    target: Label | None, goal: Goal, classes: Sequence[Label], names: Sequence[str], kind: str
) -> int | None:
    """The index of the number or the class that `target` of a request chooses; None for all of them.

    classes: of the task, for a classifier
    names: of the numbers of a target

    Raises Invalid.
    """
    if KINDS[kind].labels:
        return _find_class(target, goal, classes)
    return _find_number(target, goal, names)


def _find_class(target: Label | None, goal: Goal, classes: Sequence[Label]) -> int | None:
    if goal is Goal.learn:
        if target is not None:
            raise Invalid.unusable("target", "the goal `learn` is about all labels, so leave target out")
        return None
    if target is None:
        raise Invalid("target", f"the label whose probability is to {goal}", "none", f"send one of {_listed(classes)}")
    exact = [index for index, label in enumerate(classes) if (type(label), label) == (type(target), target)]
    # a query parameter is a string, whatever the label is
    alike = [index for index, label in enumerate(classes) if isinstance(target, str) and _text(label) == target]
    if not exact and len(alike) != 1:
        raise Invalid("target", f"one of the labels {_listed(classes)}", show(target))
    return (exact or alike)[0]


def _find_number(target: Label | None, goal: Goal, names: Sequence[str]) -> int | None:
    if target is None:
        if goal is Goal.learn:
            return None
        if len(names) > 1:
            raise Invalid("target", f"the number to {goal}", "none", f"send one of {_listed(names)}, or its index")
        return 0
    if isinstance(target, str) and target in names:
        return list(names).index(target)
    index = int(target) if isinstance(target, str) and target.isdecimal() and target.isascii() else target
    if isinstance(index, bool | str) or not 0 <= index < len(names):
        numbered = "0" if len(names) == 1 else f"a whole number from 0 to {len(names) - 1}"
        raise Invalid("target", f"{numbered}, or one of {_listed(names)}", show(target))
    return index


MAX_LISTED = 10
"""Labels that a message repeats."""


def _listed(labels: Sequence[Label]) -> str:
    more = "" if len(labels) <= MAX_LISTED else f" and {len(labels) - MAX_LISTED} others"
    return ", ".join(map(show, labels[:MAX_LISTED])) + more


def _text(label: Label) -> str:
    return str(label).lower() if isinstance(label, bool) else str(label)
