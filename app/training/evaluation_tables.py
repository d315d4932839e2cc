"""An evaluation as JSON for bundle.json, and as tables for people."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.families.family import Split
from app.training.evaluation import Curve
from app.training.prediction_kinds import KINDS
from app.training.predictor import MAX_NUMBERS
from app.training.tasks import CLASS_QUERIES, QUERIES, SEED, TASKS, Setting


@dataclass(frozen=True)
class Evaluation:
    """The results of an evaluation.

    kind: what is predicted, which decides what the score is
    steps: the numbers of steps
    curves: the scores by setting
    calibration: how well the bundle's calibration holds in each setting, after its default steps
        (`app.training.calibration.measure_calibration`)
    seconds: to adapt to a task and predict its queries, in each setting, after the default steps
    machine: what computed it
    way: how the predictions were made, offline or over HTTP
    caveat: a word of caution of the family about its test split, if any
    """

    kind: str
    steps: Sequence[int]
    curves: Mapping[Setting, Curve]
    calibration: Mapping[Setting, Mapping[str, float]] = field(default_factory=dict)
    seconds: Mapping[Setting, float] = field(default_factory=dict)
    machine: str = ""
    way: str = "offline"
    tasks: int = TASKS
    seed: int = SEED
    split: Split = "test"
    caveat: str = ""

    @property
    def queries(self) -> int:
        """Queries of a task, or of each class where there are classes."""
        return QUERIES if all(setting.ways is None for setting in self.curves) else CLASS_QUERIES

    @property
    def protocol(self) -> str:
        """How the scores were measured, in sentences."""
        return ". ".join(filter(None, (self.method, self.precision, self.caveat)))

    @property
    def method(self) -> str:
        """What was scored on which tasks."""
        return f"{KINDS[self.kind].score.name.capitalize()} of the predictions: {self.mean_over}"

    @property
    def mean_over(self) -> str:
        """On which tasks the scores were measured."""
        classes = any(setting.ways is not None for setting in self.curves)
        each = f"{self.queries} queries of each class" if classes else f"{self.queries} queries each"
        return (
            f"the mean over {self.tasks} tasks of the {self.split} split, which were not used in training (seed "
            f"{self.seed}, {each})"
        )

    @property
    def precision(self) -> str:
        """What the half widths of the scores mean."""
        return "The 95 % confidence interval of the mean is given after ±; a single task may be far from the mean"


def as_json(evaluation: Evaluation) -> dict[str, Any]:
    """The evaluation of a bundle.json: `by_shots`, within `by_ways` where there are classes."""
    head = {
        "score": f"{KINDS[evaluation.kind].score.name} on the query set",
        "protocol": evaluation.protocol,
        "way": evaluation.way,
        "tasks": evaluation.tasks,
        "queries": evaluation.queries,
        "seed": evaluation.seed,
        "split": evaluation.split,
        "steps": list(evaluation.steps),
        "machine": evaluation.machine,
        **({"caveat": evaluation.caveat} if evaluation.caveat else {}),
    }
    by_ways: dict[int | None, dict[str, Any]] = {}
    for setting in evaluation.curves:
        by_ways.setdefault(setting.ways, {})[str(setting.shots)] = _setting_as_json(evaluation, setting)
    if set(by_ways) == {None}:
        return head | {"by_shots": by_ways[None]}
    return head | {"by_ways": {str(ways): {"by_shots": by_shots} for ways, by_shots in by_ways.items()}}


def _setting_as_json(evaluation: Evaluation, setting: Setting) -> dict[str, Any]:
    curve = evaluation.curves[setting]
    results: dict[str, Any] = {"mean": curve.mean, "half_width_95": curve.half_width, "refused": curve.refused}
    if setting in evaluation.calibration:
        results["calibration"] = dict(evaluation.calibration[setting])
    if setting in evaluation.seconds:
        results["ms_a_task"] = round(evaluation.seconds[setting] * 1e3, 4)
    return results


def from_json(kind: str, content: Mapping[str, Any]) -> Evaluation:
    """The evaluation in a bundle.json. Older bundles lack some of its parts."""
    curves: dict[Setting, Curve] = {}
    calibration: dict[Setting, Mapping[str, float]] = {}
    seconds: dict[Setting, float] = {}
    for setting in settings_of(content):
        by_shots = (content if setting.ways is None else content["by_ways"][str(setting.ways)])["by_shots"]
        results = by_shots[str(setting.shots)]
        curves[setting] = Curve(results["mean"], results["half_width_95"], results["refused"])
        calibration[setting] = results.get("calibration", {})
        seconds[setting] = results.get("ms_a_task", 0.0) / 1e3
    steps = content.get("steps") or range(max((len(each.mean) for each in curves.values()), default=0))
    optional = {key: content[key] for key in ("machine", "way", "tasks", "seed", "split", "caveat") if key in content}
    return Evaluation(kind, steps, curves, calibration, seconds, **optional)


def settings_of(evaluation: Mapping[str, Any]) -> list[Setting]:
    """The settings of an evaluation in a bundle.json; empty if there is no evaluation."""
    settings = [Setting(int(shots)) for shots in evaluation.get("by_shots", {})]
    for ways, inner in evaluation.get("by_ways", {}).items():
        settings += [Setting(int(shots), int(ways)) for shots in inner["by_shots"]]
    return settings


TINY = 1e-4
"""Numbers below it are shown in millionths."""
COLUMNS = (0, 1, 2, 5, 10)
"""Numbers of steps that a table shows, besides the default and the last."""
MEASURES: Mapping[str, str] = {
    "coverage_90": "true values inside 90 % intervals",
    "half_width_90": "mean half width of 90 % intervals",
    "nll": "negative log-likelihood (nats)",
    "ece": "expected calibration error",
    "false_alarms": "queries of known classes marked `unlike`",
    "unfamiliar_found": "queries of other classes marked `unlike`",
}
"""What the measures of a calibration are called in tables."""
UNLIKE_MEASURES: Mapping[str, str] = {
    "false_alarms": "like training, marked `unlike`",
    "coverage_90": "true values inside 90 % intervals",
    "interval_score_90": "interval score",
    "far_coverage_90": "true values inside 90 % intervals, for the queries furthest from the examples",
    "outside_marked": "outside, marked `unlike`",
    "outside_intervals": "outside, with an interval",
    "inverted_marked": "inverted, marked `unlike`",
    "empty_marked": "empty, marked `unlike`",
}
"""What the measures of `app.training.ood_evaluation` are called in tables."""
SHARES = (
    "coverage_90", "far_coverage_90", "ece", "false_alarms", "unfamiliar_found", "outside_marked", "outside_intervals",
    "inverted_marked", "empty_marked",
)  # fmt: skip
"""The measures that are shares, which tables show in per cent."""


def as_text(evaluation: Evaluation, *, initial: bool = True) -> str:
    """The scores as a table in Markdown, a row a setting, a column a number of steps. initial: with that of 0 steps"""
    columns = COLUMNS if initial else COLUMNS[1:]
    shown = [index for index, step in enumerate(evaluation.steps) if step in (*columns, evaluation.steps[-1])]
    heads = [steps_text(evaluation.steps[index]) for index in shown]
    lines = ["| | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    percentage = KINDS[evaluation.kind].score.percentage
    for setting, curve in evaluation.curves.items():
        cells = [with_interval(curve.mean[index], curve.half_width[index], percentage) for index in shown]
        lines.append(f"| {setting} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def times_as_text(evaluation: Evaluation, steps: int, features: int) -> str:
    """The time of a task in each setting after the default steps, in sentences; empty if it was not measured.

    features: numbers in an input, which decide how many tasks were computed at once
    """
    times = [f"{two_digits(each * 1e3)} ms a task ({setting})" for setting, each in evaluation.seconds.items() if each]
    if not times:
        return ""
    listed = " and ".join(filter(None, [", ".join(times[:-1]), times[-1]]))
    costs = f"takes {listed} on one core of {machine_text(evaluation.machine)}."
    if (batch := _batch(evaluation, features)) == "1 task":
        return f"Adapting to a task by {steps_text(steps)}, and predicting its queries, {costs}"
    return (
        f"Adapting to {batch} at once by {steps_text(steps)}, and predicting all their queries, {costs} A single task "
        "alone takes longer."
    )


def _batch(evaluation: Evaluation, features: int) -> str:
    """How many tasks were computed at once (`app.training.predictor.portions`), in words."""
    numbers = [features * (each.ways or 1) * (each.shots + evaluation.queries) for each in evaluation.curves]
    sizes = sorted({min(evaluation.tasks, max(1, MAX_NUMBERS // each)) for each in numbers})
    return f"{sizes[0]}{f' to {sizes[-1]}' if len(sizes) > 1 else ''} task{'' if sizes == [1] else 's'}"


def machine_text(machine: str) -> str:
    """A processor in words: `an Intel Xeon` for `Intel(R) Xeon(R) Processor`."""
    name = " ".join(re.sub(r"\(R\)|\(TM\)|\bProcessor\b|\bCPU\b.*", " ", machine).split())
    if not name:
        return "an unknown machine"
    return f"{'an' if name.startswith((*'AEIOU', 'NVIDIA')) else 'a'} {name}"


def steps_text(steps: int) -> str:
    """A number of steps in words."""
    return f"{steps} step{'' if steps == 1 else 's'}"


def with_interval(mean: float, half_width: float, percentage: bool = False) -> str:
    """A mean with the half width of its interval, both to the second digit of the half width, in millionths if tiny."""
    if percentage:
        digits = 1 if half_width >= 1e-3 else 2
        return f"{mean * 100:.{digits}f} ± {percent(half_width, digits)}"
    if 0 < abs(mean) < TINY:
        return f"{with_interval(mean * 1e6, half_width * 1e6)} millionths"
    digits = _decimals(half_width)
    return f"{mean:.{digits}f} ± {half_width:.{digits}f}"


def percent(share: float, digits: int = 0) -> str:
    """A share in per cent: `2 %`."""
    return f"{share * 100:.{digits}f} %"


def two_digits(value: float) -> str:
    """A number to its second digit without zeros after it, never in powers of ten, and in millionths if it is tiny."""
    if 0 < abs(value) < TINY:
        return f"{two_digits(value * 1e6)} millionths"
    text = f"{value:.{_decimals(abs(value))}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _decimals(value: float) -> int:
    """The decimal places that show two digits of a value."""
    return 3 if value <= 0 else min(9, max(0, 1 - math.floor(math.log10(value))))


def calibration_as_text(evaluation: Evaluation, *, times: bool = True) -> str:
    """How well the calibration holds, as a table in Markdown, a row a setting. times: whether it has the time too"""
    rows: dict[str, Mapping[str, float]] = {}
    for setting in evaluation.curves:
        time = {"ms per task": evaluation.seconds.get(setting, 0) * 1e3} if times else {}
        rows[str(setting)] = {**evaluation.calibration.get(setting, {}), **time}
    return _measures_as_text(rows, MEASURES)


def unlike_as_text(unlike: Mapping[str, Any]) -> str:
    """What is marked `unlike`, and how intervals hold, as a table in Markdown.

    unlike: from `app.training.ood_evaluation`
    """
    return _measures_as_text(unlike["by_setting"], UNLIKE_MEASURES)


def _measures_as_text(rows: Mapping[str, Mapping[str, float]], heads: Mapping[str, str]) -> str:
    """Measures as a table in Markdown. heads: what they are called"""
    names = list(dict.fromkeys(name for results in rows.values() for name in results))
    lines = ["| | " + " | ".join(heads.get(name, name) for name in names) + " |", "|---" * (len(names) + 1) + "|"]
    for row, results in rows.items():
        cells = [
            "" if name not in results else percent(results[name], 1) if name in SHARES else two_digits(results[name])
            for name in names
        ]
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
