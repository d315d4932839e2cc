"""The plots of a bundle's card."""

import torch

from app.bundles import Bundle
from app.families.family import Family
from app.learn.losses import KINDS
from app.learn.metrics import SCORES
from app.training.evaluation import Setting, draw
from app.training.plots import Line, Plot
from app.training.predictor import offline
from app.training.tables import Evaluation

TRUTH, BEFORE, AFTER, SUPPORT = "#9aa0a6", "#d9822b", "#1f77b4", "#111111"
BY_SETTING = ("#1f77b4", "#2ca02c", "#9467bd", "#8c564b", "#d62728", "#17becf")


def picture(bundle: Bundle, family: Family, evaluation: Evaluation) -> list[Plot]:
    """A task before and after adapting, where it can be drawn, and the score by steps."""
    if KINDS[bundle.manifest.kind].one_hot or KINDS[bundle.manifest.kind].weighted:
        return [by_steps(evaluation)]
    return [before_after(bundle, family, min(evaluation.curves)), by_steps(evaluation)]


def before_after(bundle: Bundle, family: Family, setting: Setting) -> Plot:
    """The first evaluation task at a support size, before and after the default number of steps.

    With one feature the curves themselves; with more, predictions against the truth.
    """
    device, steps = next(iter(bundle.meta.values())).device, bundle.manifest.inner_loop.steps
    support, query = tasks = draw(family, setting, device, tasks=2)  # an axis of 1 would be another program
    before, after = offline(bundle)(tasks, [0, steps]).outputs[:, 0]
    one_feature = family.features == 1
    x = (query.inputs if one_feature else query.targets)[0, :, 0]
    order = x.argsort()

    def line(label: str, y: torch.Tensor, color: str) -> Line:
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


def by_steps(evaluation: Evaluation) -> Plot:
    """The score over steps, a line a setting, with its 95 % interval."""
    lines = [
        Line(str(setting), evaluation.steps, curve.mean, color, band=curve.half_width)
        for (setting, curve), color in zip(evaluation.curves.items(), BY_SETTING, strict=False)
    ]
    return Plot(f"{evaluation.tasks} held-out tasks", "inner steps", SCORES[evaluation.kind].name, lines)
