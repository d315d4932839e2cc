"""The parts of a bundle's card that say how far to trust its answers."""

from pathlib import Path
from statistics import fmean

from app.bundles.manifest import Manifest
from app.learn.algorithms import ALGORITHMS
from app.learn.calibration_table import FALSE_ALARM_RATE, Calibration
from app.learn.support_ood import BOUNDS_MARGIN, ERROR_QUANTILE, MAX_FAR_SHARE
from app.training.evaluation_tables import (
    Evaluation,
    calibration_as_text,
    from_json,
    percent,
    steps_text,
    two_digits,
    unlike_as_text,
)
from app.training.interval_text import intervals_text, numbers_text
from app.training.new_task_range import FALSE_ALARM_RATE as NEW_TASKS_OUTSIDE
from app.training.ood_evaluation import FURTHEST, FURTHEST_SHARE, NEAREST
from app.training.similarity_text import similarity_text

NO_LIMIT = 1e6
"""An error limit above this flags nothing: adapting to so few examples may diverge in training too."""
RELIABLE_SHARE = 0.5
"""A bundle whose `unlike` marks fewer of the queries of other classes, in all settings, is not to be relied on."""


def calibration_text(manifest: Manifest) -> str:
    """What the calibration promises, and how well it holds on test tasks; empty without a calibration."""
    calibration = manifest.calibration
    if not (calibration.has_intervals or calibration.has_familiarity or calibration.has_similarity):
        return ""
    text = similarity_text(manifest) if calibration.has_similarity else _probabilities(calibration)
    title = "Probabilities"
    if calibration.has_intervals:
        title, text = "Intervals", intervals_text(calibration, defaults_text(manifest), manifest.schema.targets)
    evaluation = from_json(manifest.kind, manifest.evaluation)
    return f"""## {title}

{text}

On the test tasks, after {steps_text(manifest.inner_loop.steps)}:

{calibration_as_text(evaluation, times=False)}{_unreliable(evaluation, manifest)}"""


def defaults_text(manifest: Manifest) -> str:
    """What a request can set in the inner loop, in words; empty if it adapts in closed form."""
    algorithm = ALGORITHMS[manifest.algorithm]
    if algorithm.closed_form:
        return ""
    return "the default steps and learning rate" if algorithm.takes_rate else "the default steps"


def _probabilities(calibration: Calibration) -> str:
    return f"""The response has `probabilities`. Of the labels with a probability of 97 %, about 97 % are right. For
that, the network's outputs are divided by {calibration.temperature:.2f} (the *temperature*) before the *softmax* turns
them into probabilities. The temperature was chosen on validation tasks: {calibration.tasks} each with
{numbers_text(calibration, "and")} examples per class.

The response also has `unlike`, which marks a query that looks like no class of the support set. A marked query still
gets a label. On the validation tasks, {percent(FALSE_ALARM_RATE)} of the queries of known classes were marked.

In the table, lower is better in the first three columns. In the last, higher is better: its queries come from classes
that have no example. The negative log-likelihood is the mean of -ln p, where p is the probability of the true label: 0
at best, 0.69 if p is 50 %. Its unit is the nat. For the expected calibration error, predictions are grouped by the
probability of the predicted label. In each group, the mean probability is compared with the share of predictions that
are right. The error is the mean absolute difference, with each group weighted by its number of predictions: 0 % at
best."""


def _unreliable(evaluation: Evaluation, manifest: Manifest) -> str:
    """A warning where `unlike` misses most of the queries of other classes, as a paragraph."""
    shares = [each["unfamiliar_found"] for each in evaluation.calibration.values() if "unfamiliar_found" in each]
    if not shares or max(shares) >= RELIABLE_SHARE:
        return ""
    missed = percent(1 - max(shares))
    text = f"\n\nDo not rely on `unlike` of this bundle to find queries of other classes: it misses {missed} of them."
    if start := manifest.training.get("recipe", {}).get("start"):
        text += f" Try `{Path(start).name}`, the bundle from which its training started."
    return text if manifest.image_reference is None else f"{text} `unlike` does mark images that are no drawings."


def ood_text(manifest: Manifest) -> str:
    """When a support set counts as unlike training; empty without an OOD reference."""
    reference = manifest.ood_reference
    if not reference.support_sizes:
        return ""
    # of standardised targets, as other errors have units
    scale = manifest.target_scale
    none = NO_LIMIT if scale is None else NO_LIMIT * fmean(std * std for std in scale.std)
    limits = zip(reference.support_sizes, reference.error_limits, strict=True)
    rows = "\n".join(
        f"| {others + 1} | {'no limit' if error > none else two_digits(error)} |" for others, error in limits
    )
    defaults = defaults_text(manifest)
    return f"""## When a support set is unlike training

With `"assess": "leave_one_out"` in `/adapt`, the server predicts each support example after adapting to the others.
With more than 64 examples, it leaves out a tenth of them at a time. `unlike_training` is true in either of two cases:

- More than {percent(MAX_FAR_SHARE)} of the support inputs have a number outside of its range in training, by more
  than {percent(BOUNDS_MARGIN)} of that range. With fewer than {1 / MAX_FAR_SHARE:.0f} support inputs, one is
  enough, unless the request gives it a small weight.
- The mean squared error of these predictions{f", after {defaults}," if defaults else ""} is above the limit.

For each number of support examples, {percent(ERROR_QUANTILE)} of {reference.tasks} tasks like those of training stayed
below the limit, so about {percent(1 - ERROR_QUANTILE)} of ordinary support sets are flagged. A
support set that is not flagged may still be unlike training, above all if it has 2 or 3 examples. For a number of
examples that is not in the table, the limit of the next smaller number applies:

| support examples | limit of the mean squared error |
|---|---|
{rows}"""


def unlike_text(manifest: Manifest) -> str:
    """Which queries are marked `unlike` for what they are, and how often; empty if that was not measured."""
    unlike = manifest.evaluation.get("unlike")
    if not unlike:
        return ""
    columns = {name for row in unlike["by_setting"].values() for name in row}
    rule, outside = _rule(manifest, "inverted_marked" in columns)
    shares = manifest.calibration.has_intervals or manifest.calibration.has_familiarity
    differ = (
        " These tasks are not those of the tables above, so the percentages in this table differ from theirs."
        if shares
        else ""
    )
    sentences = [
        f"Measured on {unlike['tasks']} fresh tasks of the {unlike['split']} split (seed {unlike['seed']}).{differ} "
        f"{outside}"
    ]
    if "interval_score_90" in columns:
        sentences.append(
            "The interval score of a query is the width of its 90 % interval. If the true value lies outside of the "
            "interval, 20 times its distance from the interval is added (Gneiting and Raftery 2007). The table has the "
            "mean: lower is better."
        )
    if "far_coverage_90" in columns:
        sentences.append(
            f"The queries furthest from the examples are the {percent(FURTHEST_SHARE, 1)} of the unmarked queries that "
            "are furthest from their nearest example."
        )
    return f"""## Inside and outside of training's range

{rule}

{" ".join(sentences)}

{unlike_as_text(unlike)}"""


def _rule(manifest: Manifest, images: bool) -> tuple[str, str]:
    """What `/predict` marks `unlike`, and what was outside of training's range when that was measured."""
    if images:
        return (
            "`unlike` is also true for an image that does not look like a drawing of training: its amount of ink, its "
            "edges or the ink at its border lies outside of its range. There are three ranges, one for each. Before "
            "each was widened by 5 % at each end, at least 99 % of the drawings in training tasks, and of those in "
            "validation tasks, were inside all three.",
            "The first column is the share of marked queries among other drawings of the classes in the support set. "
            "Unlike the table in Probabilities, it also counts queries that are marked because they do not look like "
            "drawings of training. The other columns are about the same drawings inverted, and an image without ink.",
        )
    one, several, then = "a query", "queries", "."
    if manifest.kind == "decision":
        one, several, then = "an observation", "observations", ". The action for it is a guess."
    elif manifest.calibration.has_intervals:
        then = ", and gives it no interval."
    near = manifest.calibration.has_distances
    rule = "This rule" if near else "`unlike`"
    split = "training" if manifest.calibration.relative else "validation"
    text = (
        f"`/predict` marks {one} `unlike` if one of its numbers lies outside of the range that it had in training, by "
        f"more than {percent(BOUNDS_MARGIN)} of that range{then} {rule} looks at each number alone: an unusual "
        "combination of usual numbers is not marked."
    )
    if manifest.family is not None and manifest.family.name == "table":  # `new_task_range`
        text += (
            f" The range is wider than that of the training tasks, so that about {percent(NEW_TASKS_OUTSIDE)} of new "
            "tasks leave it."
        )
    if near:
        text += (
            " A query is also marked, and gets no interval, if it is further from its nearest support example than "
            f"{percent(1 - FALSE_ALARM_RATE)} of the queries in {split} tasks with as many examples are from "
            "theirs. This limit was measured for the numbers of examples in the section Intervals, except 0. Between "
            f"two of them it is interpolated; above {manifest.calibration.shots[-1]}, that for "
            f"{manifest.calibration.shots[-1]} applies. The distance is Euclidean, "
            "with each number divided by its standard deviation in training. All queries are marked if more than "
            f"{percent(MAX_FAR_SHARE)} of the support inputs lie outside of training's range. With fewer than "
            f"{1 / MAX_FAR_SHARE:.0f} support inputs, one is enough, unless the request gives it a small weight."
        )
    return (
        text,
        f"The {several} outside have one number that is {NEAREST:g} to {FURTHEST:g} times as far from the middle of "
        "its range as the ends are.",
    )
