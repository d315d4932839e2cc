"""The plots of a bundle's card, as SVG. They need matplotlib, which the extra `train` brings."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from io import BytesIO
from typing import Any

import torch
from torch import Tensor

from app.bundles.bundle import Bundle
from app.families.family import Family, HasImages, HasShape
from app.families.worlds_protocol import Episodes
from app.learn.shape_annotations import Float
from app.training.evaluation_tables import Evaluation, steps_text
from app.training.family_and_network import device_of, worlds_of
from app.training.optional_packages import PLOTS, require
from app.training.prediction_kinds import KINDS
from app.training.predictor import offline
from app.training.returns import SCORE, Returns, stage_label
from app.training.tasks import Setting, draw_held_out

Panel = Callable[[Any], None]
"""It draws into a pair of matplotlib's axes."""

TRUTH, BEFORE, AFTER, SUPPORT, WRONG = "#9aa0a6", "#d9822b", "#1f77b4", "#111111", "#c5221f"
STAGE_COLORS = (BEFORE, "#9467bd", "#2ca02c", "#1f77b4")
STYLE: Any = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 9,
    "grid.color": "#eeeeee",
    "legend.frameon": False,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "innerloop",  # the same plot has the same bytes
}
PANEL_INCHES = (4.8, 3.4)
TRUTH_WIDTH = 4.0
DRAWN_QUERIES = 10
"""Query images in the plot of a classifier."""


def bundle_plots(bundle: Bundle, family: Family, evaluation: Evaluation) -> bytes:
    """A held-out task before and after adapting, where it can be drawn, and the scores."""
    panels = [score_panel(evaluation)]
    setting = min(evaluation.curves)
    if isinstance(family, HasImages) and isinstance(family, HasShape):
        panels.insert(0, image_panel(bundle, family, setting))
    elif KINDS[bundle.manifest.kind].plots_task:
        panels.insert(0, task_panel(bundle, family, setting))
    return _svg(panels)


def policy_plots(bundle: Bundle, returns: Returns) -> bytes:
    """The paths through one world, where an observation is a place in the plane, and the returns by stage."""
    panels = [return_panel(returns)]
    if bundle.manifest.schema.features == 2:
        panels.insert(0, path_panel(replace(returns.trial, tasks=2).run_bundle(worlds_of(bundle), bundle)))
    return _svg(panels)


def _svg(panels: Sequence[Panel]) -> bytes:
    """The panels side by side. Raises TrainingError where matplotlib is missing."""
    require(PLOTS)
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    width, height = PANEL_INCHES
    buffer = BytesIO()
    with rc_context(STYLE):
        figure = Figure(figsize=(width * len(panels), height), layout="constrained")
        for panel, axes in zip(panels, figure.subplots(1, len(panels), squeeze=False)[0], strict=True):
            panel(axes)
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def task_panel(bundle: Bundle, family: Family, setting: Setting) -> Panel:
    """The first evaluation task of a setting, before and after the default number of steps.

    With one feature it shows the curves themselves; with more, predictions against the truth.
    """
    steps = bundle.manifest.inner_loop.steps
    # two tasks, because an axis of 1 would be another program
    support, query = tasks = draw_held_out(family, setting, device_of(bundle), tasks=2)
    before, after = offline(bundle)(tasks, [0, steps]).outputs[[0, -1], 0]
    one_feature = family.features == 1
    x = (query.inputs if one_feature else query.targets)[0, :, 0].cpu()
    order = x.argsort()

    def draw(axes: Any) -> None:
        marker = "" if one_feature else "."
        line = "-" if one_feature else ""
        curves = {
            "truth": (query.targets[0], TRUTH),
            "before": (before, BEFORE),
            f"after {steps_text(steps)}": (after, AFTER),
        }
        for label, (y, color) in curves.items():
            width = TRUTH_WIDTH if label == "truth" else None  # so that it shows below a perfect answer
            style = {"marker": marker, "linestyle": line, "linewidth": width}
            axes.plot(x[order], y.cpu()[order, 0], color=color, label=label, **style)
        if one_feature:
            points = support.inputs[0, :, 0].cpu(), support.targets[0, :, 0].cpu()
            axes.plot(*points, "o", color=SUPPORT, label=f"{setting.shots} support examples")
        axes.set(title="One held-out task", xlabel="x" if one_feature else "true target")
        axes.set_ylabel(_target_label(bundle) or ("y" if one_feature else "prediction"))
        axes.legend()

    return draw


def _target_label(bundle: Bundle) -> str:
    """The name of the first number of a target, with its unit once; empty if the bundle does not name it."""
    spec = bundle.manifest.targets
    if spec is None or not spec.names:
        return ""
    name, unit = spec.names[0], spec.units[0] if spec.units else ""
    return f"{name} ({unit})" if unit and f"({unit})" not in name else name


def image_panel(bundle: Bundle, family: Family, setting: Setting) -> Panel:
    """The drawings of the first evaluation task: the support set, and some queries with their answers."""
    assert isinstance(family, HasShape)
    steps, ways = bundle.manifest.inner_loop.steps, setting.ways or family.targets
    support, query = tasks = draw_held_out(family, setting, device_of(bundle), tasks=2)
    outputs = offline(bundle)(tasks, [steps]).outputs[0, 0, :DRAWN_QUERIES]
    probabilities = (outputs / bundle.manifest.calibration.temperature).softmax(-1).cpu()
    answers, truth = probabilities.argmax(-1), query.targets[0, :DRAWN_QUERIES].argmax(-1).cpu()
    rows, columns = family.shape
    images = torch.cat([support.inputs[0, :ways], query.inputs[0, :DRAWN_QUERIES]]).cpu().view(-1, rows, columns)
    names = [chr(ord("a") + index % 26) for index in range(ways)]

    def draw(axes: Any) -> None:
        axes.imshow(_mosaic(images, ways), cmap="gray_r")
        texts = [(names[index], SUPPORT) for index in range(ways)]
        for answer, target, each in zip(answers.tolist(), truth.tolist(), probabilities, strict=True):
            texts.append((f"{names[answer]}  {100 * each[answer]:.0f} %", AFTER if answer == target else WRONG))
        for index, (text, color) in enumerate(texts):
            place = (index % ways + 0.5) * columns, (index // ways) * (rows + 12) + rows + 8
            axes.text(*place, text, color=color, ha="center", fontsize=8)
        axes.set_title(f"{setting}: support set (black), answers (blue)")
        axes.set_axis_off()

    return draw


def _mosaic(images: Float[Tensor, "image row column"], across: int) -> Float[Tensor, "height width"]:
    """Images in rows of `across`, with white space below each for a caption."""
    count, rows, columns = images.shape
    height = rows + 12
    page = torch.zeros(-(-count // across) * height, across * columns)
    for index, image in enumerate(images):
        top, left = index // across * height, index % across * columns
        page[top : top + rows, left : left + columns] = image
    return page


def score_panel(evaluation: Evaluation) -> Panel:
    """The score of each setting with its 95 % interval: by steps, or as bars where there is but one number of steps."""
    score = KINDS[evaluation.kind].score
    factor = 100 if score.percentage else 1
    label = f"{score.name} (%)" if score.percentage else score.name

    def curves(axes: Any) -> None:
        for setting, curve in evaluation.curves.items():
            mean, half = factor * torch.tensor(curve.mean), factor * torch.tensor(curve.half_width)
            (line,) = axes.plot(evaluation.steps, mean, marker=".", label=str(setting))
            _band(axes, evaluation.steps, mean, half, line)
        axes.set(title=f"{evaluation.tasks} held-out tasks", xlabel="inner steps", ylabel=label)
        axes.locator_params(axis="x", integer=True)
        axes.legend()

    def bars(axes: Any) -> None:
        settings = list(map(str, evaluation.curves))
        for which, color, name in ((0, BEFORE, "before"), (-1, AFTER, "after adapting")):
            means = [factor * curve.mean[which] for curve in evaluation.curves.values()]
            halves = [factor * curve.half_width[which] for curve in evaluation.curves.values()]
            places = [index + (0.2 if which else -0.2) for index in range(len(settings))]
            axes.barh(places, means, 0.4, xerr=halves, color=color, label=name)
        axes.set_yticks(range(len(settings)), settings)
        axes.invert_yaxis()
        axes.set(title=f"{evaluation.tasks} held-out tasks", xlabel=label)
        axes.legend(loc="best", frameon=True)

    return curves if len(evaluation.steps) > 2 else bars


def _band(axes: Any, x: Sequence[int], mean: Tensor, half_width: Tensor, line: Any) -> None:
    """Shade the interval around a line."""
    axes.fill_between(x, mean - half_width, mean + half_width, color=line.get_color(), alpha=0.2, linewidth=0)


def path_panel(stages: Sequence[Episodes]) -> Panel:
    """The path of the first episode in the first world, in each stage."""

    def draw(axes: Any) -> None:
        for stage, (episodes, color) in enumerate(zip(stages, STAGE_COLORS, strict=False)):
            places = episodes.observations[0, 0][episodes.mask[0, 0]].cpu()
            axes.plot(places[:, 0], places[:, 1], color=color, label=f"after {stage_label(stage)}")
        axes.set(title="An episode in a held-out world", xlabel="x", ylabel="y")
        axes.legend()

    return draw


def return_panel(returns: Returns) -> Panel:
    """The returns by stage, with their 95 % intervals, and those of the rivals."""

    def draw(axes: Any) -> None:
        stages = range(len(returns.by_stage))
        for name, intervals in {"this bundle": returns.by_stage, **returns.rivals}.items():
            by_stage = list(intervals) if len(intervals) > 1 else [intervals[0]] * len(stages)
            mean = torch.tensor([each.mean for each in by_stage])
            half = torch.tensor([each.half_width for each in by_stage])
            color = TRUTH if name == "oracle" else None
            (line,) = axes.plot(stages, mean, color=color, marker=".", label=name)
            _band(axes, stages, mean, half, line)
        axes.set_xticks(stages)
        axes.set(title=f"{returns.trial.tasks} held-out worlds", xlabel="stages of episodes", ylabel=SCORE)
        axes.legend()

    return draw
