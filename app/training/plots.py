"""The plots of a bundle's card."""

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from app.bundles import Bundle
from app.families.family import Family
from app.families.worlds import Episodes
from app.training.evaluation_tables import Evaluation
from app.training.kinds import KINDS
from app.training.predictor import offline
from app.training.problem import device_of, worlds_of
from app.training.returns import SCORE, Returns, stage_label
from app.training.svg import Line, Plot
from app.training.tasks import Setting, draw_held_out

TRUTH, BEFORE, AFTER, SUPPORT = "#9aa0a6", "#d9822b", "#1f77b4", "#111111"
SETTING_COLORS = ("#1f77b4", "#2ca02c", "#9467bd", "#8c564b", "#d62728", "#17becf")
STAGE_COLORS = (BEFORE, "#9467bd", "#2ca02c", "#1f77b4")


def bundle_plots(bundle: Bundle, family: Family, evaluation: Evaluation) -> list[Plot]:
    """A task before and after adapting, where it can be plotted, and the score by steps."""
    plots = [score_plot(evaluation)]
    if KINDS[bundle.manifest.kind].plots_task:
        plots.insert(0, task_plot(bundle, family, min(evaluation.curves)))
    return plots


def task_plot(bundle: Bundle, family: Family, setting: Setting) -> Plot:
    """The first evaluation task of a setting, before and after the default number of steps.

    With one feature the curves themselves; with more, predictions against the truth.
    """
    steps = bundle.manifest.inner_loop.steps
    # two tasks, because an axis of 1 would be another program
    support, query = tasks = draw_held_out(family, setting, device_of(bundle), tasks=2)
    before, after = offline(bundle)(tasks, [0, steps]).outputs[:, 0]
    one_feature = family.features == 1
    x = (query.inputs if one_feature else query.targets)[0, :, 0]
    order = x.argsort()

    def line(label: str, y: Tensor, color: str) -> Line:
        return Line(label, x[order].tolist(), y[order, 0].tolist(), color, dots=not one_feature)

    lines = [
        line("truth", query.targets[0], TRUTH),
        line("before", before, BEFORE),
        line(f"after {steps} steps", after, AFTER),
    ]
    if one_feature:
        points = support.inputs[0, :, 0].tolist(), support.targets[0, :, 0].tolist()
        lines.append(Line(f"{setting.shots} support examples", *points, SUPPORT, dots=True))
    return Plot("One held-out task", "x" if one_feature else "true target", "y" if one_feature else "prediction", lines)


def score_plot(evaluation: Evaluation) -> Plot:
    """The score by number of steps, a line a setting, with its 95 % interval."""
    lines = [
        Line(str(setting), evaluation.steps, curve.mean, color, band=curve.half_width)
        for (setting, curve), color in zip(evaluation.curves.items(), SETTING_COLORS, strict=False)
    ]
    return Plot(f"{evaluation.tasks} held-out tasks", "inner steps", KINDS[evaluation.kind].score.name, lines)


def policy_plots(bundle: Bundle, returns: Returns) -> list[Plot]:
    """The paths through one world, where an observation is a place in the plane, and the returns by stage."""
    plots = [return_plot(returns)]
    if bundle.manifest.schema.features == 2:
        plots.insert(0, path_plot(replace(returns.trial, tasks=2).run_bundle(worlds_of(bundle), bundle)))
    return plots


def path_plot(stages: Sequence[Episodes]) -> Plot:
    """The path of the first episode in the first world, in each stage."""
    lines = []
    for stage, (episodes, color) in enumerate(zip(stages, STAGE_COLORS, strict=False)):
        places = episodes.observations[0, 0][episodes.mask[0, 0]]
        lines.append(Line(stage_label(stage), places[:, 0].tolist(), places[:, 1].tolist(), color))
    return Plot("An episode in a held-out world", "x", "y", lines)


def return_plot(returns: Returns) -> Plot:
    """The returns by stage, with their 95 % intervals, and those of the rivals."""
    lines = []
    policies = {"this bundle": returns.by_stage, **returns.rivals}
    for (name, intervals), color in zip(policies.items(), SETTING_COLORS, strict=False):
        by_stage = list(intervals) if len(intervals) > 1 else [intervals[0]] * len(returns.by_stage)
        means, bands = [each.mean for each in by_stage], [each.half_width for each in by_stage]
        lines.append(Line(name, range(len(by_stage)), means, TRUTH if name == "oracle" else color, band=bands))
    return Plot(f"{returns.trial.tasks} held-out worlds", "stages", SCORE, lines)
