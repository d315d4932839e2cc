"""What a request may ask of a model: every rule that the form of a body alone does not express.

Each function raises an error that names the field, what is wrong with it and the fix. `app.service.inner_loop_checks`
has the rules for steps and learning rate.
"""

from collections.abc import Sequence

import numpy as np

from app.encoders.error_places import show
from app.encoders.label_words import label_words
from app.errors import Invalid, exact, name_text
from app.service.answers import KINDS, PredictOptions
from app.service.class_labels import Label
from app.service.cross_validation import Method
from app.service.model import Model
from app.service.task import Task


def check_ttl(ttl_s: int | None, max_ttl_s: int) -> None:
    """Check the lifetime of an adaptation against the limit of the server."""
    if ttl_s is not None and ttl_s > max_ttl_s:
        raise Invalid("ttl_s", f"at most {max_ttl_s} seconds (INNERLOOP_MAX_TTL_S)", name_text(str(ttl_s)))


def check_support_size(size: int, limit: int, unit: str, place: str) -> None:
    """Check the size of a posted support set. unit: `examples` or `episodes`"""
    if size > limit:
        raise Invalid(place, f"at most {limit} {unit} (INNERLOOP_MAX_SUPPORT_EXAMPLES)", size, f"send fewer {unit}")


def check_extended_size(size: int, before: int, limit: int, place: str) -> None:
    """Check the size of a support set that a request extends. The limit is that of a support set posted at once."""
    if before + size > limit:
        expected = f"at most {limit} examples in all (INNERLOOP_MAX_SUPPORT_EXAMPLES)"
        fix = "send fewer examples, or delete some first"
        raise Invalid(place, expected, f"{size} in addition to {before}", fix)


def check_classes(classes: int, model: Model, place: str) -> None:
    """A network with an output for each class takes no more classes than it has outputs."""
    if model.max_classes is not None and classes > model.max_classes:
        expected = f"at most {model.max_classes} classes for {model.bundle.name}"
        raise Invalid(place, expected, classes, "leave some classes out")


def check_labels(count: int, limit: int, place: str) -> None:
    """Check the number of declared classes. A support set has no more without them than it has examples."""
    if count > limit:
        raise Invalid(place, f"at most {limit} classes (INNERLOOP_MAX_SUPPORT_EXAMPLES)", count, "send fewer labels")


def check_declared(targets: np.ndarray, labels: Sequence[Label], place: str) -> None:
    """Check that the labels of all targets are among the declared ones. place: of the targets"""
    known = {(type(label), label) for label in labels}
    for index, label in enumerate(targets.tolist()):
        if (type(label), label) not in known:
            raise Invalid(f"{place}[{index}]", "one of the labels", show(label), "add it to labels, or correct it")


def check_examples(
    model: Model, size: int, labels: Sequence[Label], place: str, *, names_count: bool, known: Sequence[Label] = ()
) -> None:
    """Check that a support set has examples if the model makes its output for a class of them.

    size: how many it has
    labels, place: the declared labels, and where they are
    names_count: whether the words of a label are an example
    known: labels that were declared before
    """
    if size == 0 and model.bundle.algorithm.needs_examples:
        name = model.bundle.name
        if names_count:
            words = label_words([*known, *labels])[len(known) :]
            if None in words:
                label = labels[words.index(None)]
                fix = "send an example of it too, or a label such as card_arrival"
                raise Invalid(f"{place}[{words.index(None)}]", "a label with words of its own", show(label), fix)
            return
        fix = f"{name} compares queries with the examples of each class, so send inputs and targets too"
        if model.bundle.manifest.label_names is not None:
            fix += ", or label_names: true, which makes the words of labels examples"
        raise Invalid(place, f"classes with examples for {name}", "no example", fix)


def check_assessment(model: Model, method: Method | None) -> None:
    """Only labelled examples can be left out one by one; episodes cannot."""
    if method is not None and KINDS[model.bundle.manifest.kind].staged:
        raise Invalid.unusable(
            "assess", f"{model.bundle.name} is a policy, which cannot be assessed, so leave assess out"
        )


def check_initialization(model: Model, options: PredictOptions) -> None:
    """The initialization alone has no classes, and has intervals only if its errors were measured."""
    kind, name = KINDS[model.bundle.manifest.kind], model.bundle.name
    if kind.labels:
        fix = "send support with labels, or with examples of each class"
        if model.bundle.algorithm.needs_examples:
            fix = "send support with examples of each class"
        raise Invalid.unusable("support", f"{name} is a classifier, so {fix}")
    calibration = model.bundle.manifest.calibration
    if options.interval is not None and kind.intervals and not (calibration.shots and calibration.shots[0] == 0):
        again = f"run `innerloop calibrate {name}` again, " if calibration.has_intervals else ""
        raise Invalid.unusable("interval", f"this needs a support set, so send support, {again}or leave interval out")


def check_options(model: Model, options: PredictOptions, task: Task | None) -> None:
    """Sampling is for policies; an interval needs a calibration that covers the task."""
    name = model.bundle.name
    if options.sample and model.bundle.manifest.schema.actions is None:
        raise Invalid.unusable("sample", f"{name} is no policy, and only policies draw actions, so leave sample out")
    if options.seed is not None and not options.sample:
        sentence = f"{name} is no policy, and only policies draw actions, so leave seed out"
        if model.bundle.manifest.schema.actions is not None:
            sentence = 'this needs `"sample": true`, so send it too, or leave seed out'
        raise Invalid.unusable("seed", sentence)
    if options.interval is not None:
        _check_interval(model, options.interval, task)


def _check_interval(model: Model, level: float, task: Task | None) -> None:
    """task: None for the initialization, as `check_initialization` lets it pass"""
    calibration, bounds, name = model.bundle.manifest.calibration, model.bundle.manifest.inner_loop, model.bundle.name
    if not KINDS[model.bundle.manifest.kind].intervals:
        raise Invalid.unusable("interval", f"{name} does not predict numbers, so leave interval out")
    if not calibration.has_intervals:
        fix = f"run `innerloop calibrate {name}`, or leave interval out"
        raise Invalid.unusable("interval", f"{name} has no calibration, so {fix}")
    if not calibration.levels[0] <= level <= calibration.levels[-1]:
        levels = f"{exact(calibration.levels[0])} to {exact(calibration.levels[-1])}"
        raise Invalid("interval", f"{levels} for {name}", exact(level))
    if task is None:
        return
    if task.size < calibration.shots[0]:
        expected = f"at least {calibration.shots[0]} support examples for an interval of {name}"
        actual = f"{exact(task.size)}{'' if task.weights is None else ', the sum of their weights'}"
        raise Invalid("interval", expected, actual, "send more examples, or leave interval out")
    for name_of_value, value, default in (
        ("steps", task.steps, bounds.steps),
        ("learning_rate", task.learning_rate, bounds.learning_rate),
    ):
        if value != default:
            expected = f"an adaptation with {name_of_value} {exact(default)}, for which {name} is calibrated"
            fix = f"adapt with {name_of_value} {exact(default)}, or leave interval out"
            raise Invalid("interval", expected, f"one with {exact(value)}", fix)
