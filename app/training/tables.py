"""An evaluation as it stands in bundle.json, and as a table for people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.families.family import Split
from app.learn.losses import KINDS
from app.learn.metrics import SCORES
from app.training.evaluation import CLASS_QUERIES, QUERIES, SEED, TASKS, Curve, Setting


@dataclass(frozen=True)
class Evaluation:
    """What came of an evaluation.

    kind: what is predicted, and so what the score is
    steps: the numbers of steps
    curves: by setting
    calibration: what held of the bundle's trust in each setting, after its default steps (`app.training.calibration.measured`)
    seconds: to adapt to a task and answer its queries, in each setting, after the default steps
    machine: what it was computed on
    way: how the tasks were asked
    caveat: what the family says of its test split, if anything
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
        """Queries of a task; of a classification, of each of its classes."""
        return QUERIES if all(setting.ways is None for setting in self.curves) else CLASS_QUERIES

    @property
    def protocol(self) -> str:
        """Which tasks these are, in a sentence."""
        classes = any(setting.ways is not None for setting in self.curves)
        each = f"{self.queries} queries of each class" if classes else f"{self.queries} queries each"
        score = SCORES[self.kind].name.capitalize()
        return (
            f"{score} on the query set, means with 95 % intervals over {self.tasks} tasks of the {self.split} split "
            f"(seed {self.seed}, {each}), not transductive: a query is answered alone"
            f"{'. ' if self.caveat else ''}{self.caveat}"
        )


def as_json(evaluation: Evaluation) -> dict[str, Any]:
    """For bundle.json: `by_shots`, within `by_ways` where there are classes."""
    head = {
        "score": f"{SCORES[evaluation.kind].name} on the query set",
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
        by_ways.setdefault(setting.ways, {})[str(setting.shots)] = _one(evaluation, setting)
    if set(by_ways) == {None}:
        return head | {"by_shots": by_ways[None]}
    return head | {"by_ways": {str(ways): {"by_shots": by_shots} for ways, by_shots in by_ways.items()}}


def _one(evaluation: Evaluation, setting: Setting) -> dict[str, Any]:
    curve = evaluation.curves[setting]
    found: dict[str, Any] = {"mean": curve.mean, "half_width_95": curve.half_width, "refused": curve.refused}
    if setting in evaluation.calibration:
        found["calibration"] = dict(evaluation.calibration[setting])
    if setting in evaluation.seconds:
        found["ms_a_task"] = round(evaluation.seconds[setting] * 1e3, 4)
    return found


def from_json(kind: str, written: Mapping[str, Any]) -> Evaluation:
    """The evaluation that stands in a bundle.json; older ones know less."""
    curves: dict[Setting, Curve] = {}
    calibration: dict[Setting, Mapping[str, float]] = {}
    seconds: dict[Setting, float] = {}
    for setting in settings_of(written):
        outer = written if setting.ways is None else written["by_ways"][str(setting.ways)]
        found = outer["by_shots"][str(setting.shots)]
        curves[setting] = Curve(found["mean"], found["half_width_95"], found["refused"])
        calibration[setting] = found.get("calibration", {})
        seconds[setting] = found.get("ms_a_task", 0.0) / 1e3
    steps = written.get("steps") or range(max((len(each.mean) for each in curves.values()), default=0))
    known = {key: written[key] for key in ("machine", "way", "tasks", "seed", "split", "caveat") if key in written}
    return Evaluation(kind, steps, curves, calibration, seconds, **known)


def settings_of(evaluation: Mapping[str, Any]) -> list[Setting]:
    """The settings of an evaluation in a bundle.json; none where it has none."""
    settings = [Setting(int(shots)) for shots in evaluation.get("by_shots", {})]
    for ways, inner in evaluation.get("by_ways", {}).items():
        settings += [Setting(int(shots), int(ways)) for shots in inner["by_shots"]]
    return settings


def as_text(evaluation: Evaluation) -> str:
    """The scores as a table in Markdown, a row a setting, a column a number of steps."""
    steps = evaluation.steps
    lines = ["| | " + " | ".join(f"{step} steps" for step in steps) + " |", "|---" * (len(steps) + 1) + "|"]
    for setting, curve in evaluation.curves.items():
        cells = (f"{mean:.3g} ± {half:.2g}" for mean, half in zip(curve.mean, curve.half_width, strict=True))
        if KINDS[evaluation.kind].one_hot:
            cells = (f"{mean:.2%} ± {half:.2%}" for mean, half in zip(curve.mean, curve.half_width, strict=True))
        lines.append(f"| {setting} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def calibration_as_text(evaluation: Evaluation) -> str:
    """What held of the calibration, and the time, as a table in Markdown, a row a setting."""
    names = list(dict.fromkeys(name for found in evaluation.calibration.values() for name in found))
    lines = ["| | " + " | ".join([*names, "ms a task"]) + " |", "|---" * (len(names) + 2) + "|"]
    for setting in evaluation.curves:
        cells = [f"{value:.3g}" for value in evaluation.calibration.get(setting, {}).values()]
        cells += [""] * (len(names) - len(cells)) + [f"{evaluation.seconds.get(setting, 0) * 1e3:.3g}"]
        lines.append(f"| {setting} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
