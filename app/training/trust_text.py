"""The parts of a bundle's card that say how far to trust its answers."""

from statistics import fmean

from app.bundles.manifest import Manifest
from app.learn.algorithms import ALGORITHMS
from app.learn.calibration import FALSE_ALARM_RATE, Calibration
from app.learn.support_ood import ERROR_QUANTILE, MAX_FAR_SHARE
from app.training.evaluation_tables import calibration_as_text, from_json, steps_text, two_digits

NO_LIMIT = 1e6
"""An error limit above this flags nothing: adapting to so few examples may diverge in training too."""


def calibration_text(manifest: Manifest) -> str:
    """What the calibration promises, and how well it holds on test tasks; empty without a calibration."""
    calibration = manifest.calibration
    if not calibration.has_intervals and not calibration.has_familiarity:
        return ""
    title, text = "Probabilities", _probabilities(calibration)
    if calibration.has_intervals:
        title, text = "Intervals", _intervals(calibration, defaults_text(manifest))
    evaluation = from_json(manifest.kind, manifest.evaluation)
    return f"""## {title}

{text}

On the test tasks, after {steps_text(manifest.inner_loop.steps)}:

{calibration_as_text(evaluation, times=False)}"""


def defaults_text(manifest: Manifest) -> str:
    """What a request can set in the inner loop, in words; empty if it adapts in closed form."""
    algorithm = ALGORITHMS[manifest.algorithm]
    if algorithm.closed_form:
        return ""
    return "the default steps and learning rate" if algorithm.takes_rate else "the default steps"


def _intervals(calibration: Calibration, defaults: str) -> str:
    levels = f"{calibration.levels[0]:g} to {calibration.levels[-1]:g}"
    initial = calibration.shots[0] == 0
    needs = " and ".join([*([] if initial else ["a support set"]), *([defaults] if defaults else [])])
    zero = " 0 is the initialization alone." if initial else ""
    limits = f" Intervals\nneed {needs}: other requests with `interval` get a 422." if needs else ""
    return f"""`"interval": 0.9` in `/predict` adds `lower` and `upper`. The level can be {levels}.{limits}

Over many tasks like those of training, 90 % of the true values lie between `lower` and `upper`. In a single task the
share can be higher or lower. All queries of a request get the same width, which depends on the number of support
examples. The widths were measured by split conformal prediction, on {calibration.tasks:,} tasks of the validation split
for each of these numbers of examples: {_numbers(calibration)}.{zero} Between two of them the width is
interpolated. For more than {calibration.shots[-1]} examples it is that for {calibration.shots[-1]}."""


def _probabilities(calibration: Calibration) -> str:
    return f"""The response has `probabilities`. They are calibrated on {calibration.tasks} validation tasks for each of
these numbers of examples of a class: {_numbers(calibration)}. The outputs of the network are divided by
{calibration.temperature:.2f} first.

The response also has `unlike`, which marks a query that looks like no class of the support set. Such a query gets a
label all the same. On the validation tasks {FALSE_ALARM_RATE:.0%} of the queries of known classes were marked. In the
table lower is better, except in the column on other classes. Those queries come from a class that has no example in the
support set."""


def _numbers(calibration: Calibration) -> str:
    return ", ".join(map(str, calibration.shots))


def ood_text(manifest: Manifest) -> str:
    """When a support set counts as unlike training; empty without an OOD reference."""
    reference = manifest.ood_reference
    if not reference.tasks:
        return ""
    # of standardised targets, as other errors have units
    scale = manifest.target_scale
    none = NO_LIMIT if scale is None else NO_LIMIT * fmean(std * std for std in scale.std)
    limits = zip(reference.support_sizes, reference.error_limits, strict=True)
    rows = "\n".join(
        f"| {others + 1} | {'no limit' if error > none else two_digits(error)} |" for others, error in limits
    )
    defaults, largest = defaults_text(manifest), reference.support_sizes[-1] + 1
    return f"""## When a support set is unlike training

With `"assess": "leave_one_out"` in `/adapt` the server predicts each support example after adapting to the others. With
more than 64 examples, it leaves out a tenth of them at a time. It reports `unlike_training` in two cases:

- Any support input lies farther out than all training inputs. With {1 / MAX_FAR_SHARE:.0f} or more support inputs,
  over {MAX_FAR_SHARE:.0%} of them do.
- The mean squared error of these predictions{f", after {defaults}," if defaults else ""} is above the limit.

Queries are not checked. For each number of support examples, {ERROR_QUANTILE:.0%} of {reference.tasks} tasks like those
of training stayed below the limit, so about {1 - ERROR_QUANTILE:.0%} of ordinary support sets are flagged. A support
set that is not flagged may still be unlike training, above all if it has 2 or 3 examples. For a number of examples
between two rows, the limit of the smaller number applies. For more than {largest}, that of {largest} applies:

| support examples | limit of the mean squared error |
|---|---|
{rows}"""
