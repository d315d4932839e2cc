"""What a request may ask of a model: every rule that the form of a body alone does not express, in one place.

Each function raises Invalid with the field and the fix.
"""

import numpy as np

from app.errors import Invalid
from app.service.answers import KINDS, PredictOptions
from app.service.cross_validation import Method
from app.service.model import Model
from app.service.record import InnerLoopSettings
from app.service.task import Task, distinct_labels


def check_ttl(ttl_s: int | None, max_ttl_s: int) -> None:
    """An adaptation may live as long as the server allows."""
    if ttl_s is not None and ttl_s > max_ttl_s:
        raise Invalid(f"expected at most {max_ttl_s} seconds, got {ttl_s}", "ttl_s")


def check_support_size(size: int, limit: int, unit: str, place: str) -> None:
    """A posted support set may have so many examples or episodes (`unit`)."""
    if size > limit:
        raise Invalid(f"expected at most {limit} {unit}, got {size}", place)


def check_extended_size(size: int, before: int, limit: int, place: str) -> None:
    """An extended support set may have as many examples as one that is posted at once."""
    if before + size > limit:
        raise Invalid(f"expected at most {limit} examples in all, got {size} in addition to {before}", place)


def check_classes(targets: np.ndarray, model: Model, place: str) -> None:
    """A network with an output for each class takes no more classes than it has outputs."""
    if model.max_classes is not None and (classes := len(distinct_labels(targets))) > model.max_classes:
        limit = f"expected at most {model.max_classes} classes for {model.bundle.name}"
        raise Invalid(f"{limit}, got {classes}: leave some out", place)


def check_inner_loop(model: Model, settings: InnerLoopSettings) -> None:
    """Steps and learning rate lie within the bundle's bounds; a solved or a learned rate cannot be chosen."""
    bounds, algorithm, name = model.bundle.manifest.inner_loop, model.bundle.algorithm, model.bundle.name
    steps, rate = settings
    if algorithm.closed_form and steps not in (None, bounds.steps):
        raise Invalid(f"expected {bounds.steps}, got {steps}: {name} adapts in closed form", "steps")
    if rate is not None and (algorithm.closed_form or algorithm.learned_rate):
        reason = "adapts in closed form" if algorithm.closed_form else "has learned rates"
        raise Invalid(f"{name} {reason}: leave learning_rate out", "learning_rate")
    if steps is not None and steps > bounds.max_steps:
        raise Invalid(f"expected 0 to {bounds.max_steps} for {name}, got {steps}", "steps")
    if rate is not None and rate > bounds.max_learning_rate:
        limit = f"{bounds.max_learning_rate:g}"
        raise Invalid(f"expected a number above 0 and at most {limit} for {name}, got {rate:g}", "learning_rate")


def check_assessment(model: Model, method: Method | None) -> None:
    """Only labelled examples can be left out one by one; episodes cannot."""
    if method is not None and KINDS[model.bundle.manifest.kind].staged:
        raise Invalid("episodes cannot be assessed: leave assess out", "assess")


def check_initialization(model: Model, options: PredictOptions) -> None:
    """The initialization alone has no classes, and its errors were never measured."""
    if KINDS[model.bundle.manifest.kind].labels:
        raise Invalid(
            f"the initialization of {model.bundle.name} has no classes: send a support set that names them", "model"
        )
    if options.interval is not None:
        raise Invalid("the initialization has no intervals: send a support set, or leave interval out", "interval")


def check_options(model: Model, options: PredictOptions, task: Task | None) -> None:
    """Sampling is for policies; an interval needs a calibration that covers the task."""
    if options.seed is not None and not options.sample:
        raise Invalid('a seed is for drawing actions: send `"sample": true` too, or leave seed out', "seed")
    if options.sample and model.bundle.manifest.schema.actions is None:
        raise Invalid(f"{model.bundle.name} is not a policy: leave sample out", "sample")
    if options.interval is not None and task is not None:
        _check_interval(model, options.interval, task)


def _check_interval(model: Model, level: float, task: Task) -> None:
    calibration, bounds, name = model.bundle.manifest.calibration, model.bundle.manifest.inner_loop, model.bundle.name
    if not KINDS[model.bundle.manifest.kind].intervals:
        raise Invalid(f"{name} does not predict numbers: leave interval out", "interval")
    if not calibration.has_intervals:
        raise Invalid(
            f'bundle "{name}" has no calibration: run `innerloop calibrate {name}`, or leave interval out', "interval"
        )
    if not calibration.levels[0] <= level <= calibration.levels[-1]:
        levels = f"{calibration.levels[0]:g} to {calibration.levels[-1]:g}"
        raise Invalid(f"expected {levels} for {name}, got {level:g}", "interval")
    if len(task.inputs) < calibration.shots[0]:
        needs = f"{name} needs at least {calibration.shots[0]} support examples for an interval"
        raise Invalid(f"{needs}, got {len(task.inputs)}: send more", "interval")
    if (task.steps, task.learning_rate) != (bounds.steps, bounds.learning_rate):
        default = f"{bounds.steps} steps and the rate {bounds.learning_rate:g}"
        raise Invalid(f"{name} is calibrated for {default}: adapt with these, or leave interval out", "interval")
