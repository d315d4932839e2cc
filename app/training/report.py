"""From a finished run to a bundle: evaluate it, find its bounds, calibrate it, write it with its card and its plot."""

import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from statistics import mean
from typing import Any

import torch

import app
from app.bundles import Bounds, Bundle, Manifest, Named, Schema, replace, write
from app.learn.inner import adapt, batched, stack
from app.learn.likeness import LARGEST, LEVEL, MOST_FAR, Calibration
from app.learn.outer import Tasks
from app.training.calibration import calibrated
from app.training.evaluation import QUERIES, SEED, TASKS, Curve, as_json, as_text, curve, evaluation_tasks, task_scores
from app.training.loop import Run
from app.training.plots import Line, Plot, svg

SHOWN_STEPS = 10
"""The evaluation in the bundle and its card goes from 0 to this many steps."""
MOST_STEPS = 100
"""The bound on the steps of a request is looked for up to here."""
PLOT = "before-after.svg"
TRUTH, BEFORE, AFTER, SUPPORT = "#9aa0a6", "#d9822b", "#1f77b4", "#111111"
BY_SHOTS = ("#1f77b4", "#2ca02c", "#9467bd", "#8c564b")


def write_bundle(run: Run, folder: Path, command: str, machine: str) -> Manifest:
    """Evaluate the run's initialization and write its bundle into `folder`.

    command: what makes the same bundle again, for its card
    machine: the name of what trained it, for the note of what it cost
    """
    recipe = run.recipe
    held_out = {shots: evaluation_tasks(run.family, shots, run.device) for shots in recipe.evaluation_shots}
    untouched_loss = mean(
        task_scores(run.inner, run.loss, run.meta, tasks, recipe.inner_rate, steps=0)[1].mean().item()
        for tasks in held_out.values()
    )

    def curves(rate: float, steps: int) -> dict[int, Curve]:
        return {
            shots: curve(run.inner, run.loss, run.meta, tasks, rate, steps, untouched_loss)
            for shots, tasks in held_out.items()
        }

    closed_form = run.algorithm.closed_form
    evaluated = curves(recipe.inner_rate, 1 if closed_form else MOST_STEPS)
    manifest = Manifest(
        family=Named(recipe.family, recipe.family_options),
        network=run.network,
        algorithm=recipe.algorithm,
        kind=run.family.kind,
        schema=Schema.of(run.family),
        inner_loop=Bounds(
            steps=run.adapt_steps,
            max_steps=1 if closed_form else largest_steps(evaluated, run.adapt_steps),
            learning_rate=recipe.inner_rate,
            max_learning_rate=largest_rate(recipe.inner_rate, lambda rate: curves(rate, run.adapt_steps)),
        ),
        untouched_loss=untouched_loss,
        weights_sha256="",
        evaluation=as_json(evaluated, SHOWN_STEPS),
        training={
            "recipe": asdict(recipe),
            "command": command,
            "outer_steps": run.step,
            "validation": None if run.best is None else {"score": run.best.score, "outer_step": run.best.step},
            "cost": cost(run, machine),
            "device": run.device.type,
            "versions": {"innerloop": app.__version__, "torch": torch.__version__, "python": platform.python_version()},
        },
    )
    manifest = calibrated(Bundle(folder.name, manifest, run.meta)).manifest
    write(folder, manifest, run.meta)
    replace(folder / PLOT, svg([before_after(run, held_out), by_steps(evaluated)]).encode())
    replace(folder / "CARD.md", card(folder.name, manifest, evaluated).encode())
    return manifest


def cost(run: Run, machine: str) -> dict[str, Any]:
    """What training cost: tasks seen are counted again each time that one is drawn."""
    return {
        "seconds": round(run.seconds, 1),
        "machine": machine,
        "processes": run.processes.count,
        "tasks": run.step * run.recipe.tasks,
    }


def largest_steps(curves: Mapping[int, Curve], default: int) -> int:
    """The largest number of steps whose error is no worse than the default's, at every support size."""
    return max(
        steps
        for steps in range(MOST_STEPS + 1)
        if all(each.mean[steps] <= each.mean[default] for each in curves.values())
    )


def largest_rate(default: float, curves: Callable[[float], Mapping[int, Curve]]) -> float:
    """The largest rate up to which adapting still helps, at every support size, in quarters of itself upward.

    curves: the evaluation at a rate; it helps where its last step is better than none
    """
    rate = default
    while rate < 1000 * default and all(each.mean[-1] < each.mean[0] for each in curves(1.25 * rate).values()):
        rate *= 1.25
    return float(f"{rate:.2g}") if rate > default else default


@torch.no_grad()
def before_after(run: Run, held_out: Mapping[int, Tasks]) -> Plot:
    """The first evaluation task at the smallest support size, before and after the default number of steps.

    With one feature the curves themselves; with more, predictions against the truth.
    """
    shots = min(held_out)
    support, query = (type(part)(*(tensor[:1] for tensor in part)) for part in held_out[shots])
    inner = batched(run.inner)
    rate = torch.tensor([run.recipe.inner_rate], device=run.device)
    steps = torch.tensor([run.adapt_steps], device=run.device)
    adapted, _ = adapt(inner, run.meta, support, rate, steps, longest=run.adapt_steps)
    one_feature = run.family.features == 1
    x = (query.inputs if one_feature else query.targets)[0, :, 0]
    order = x.argsort()

    def line(label: str, y: torch.Tensor, color: str) -> Line:
        return Line(label, x[order].tolist(), y[0, order, 0].tolist(), color, dots=not one_feature)

    lines = [
        line("truth", query.targets, TRUTH),
        line("before", inner.apply(run.meta, stack(run.inner.init(run.meta), 1), query.inputs), BEFORE),
        line(f"after {run.adapt_steps} steps", inner.apply(run.meta, adapted, query.inputs), AFTER),
    ]
    if one_feature:
        points = support.inputs[0, :, 0].tolist(), support.targets[0, :, 0].tolist()
        lines.append(Line(f"{shots} support examples", *points, SUPPORT, dots=True))
    return Plot("One held-out task", "x" if one_feature else "true target", "y" if one_feature else "prediction", lines)


def by_steps(curves: Mapping[int, Curve]) -> Plot:
    """Error over steps, a line a support size, with its 95 % interval."""
    lines = [
        Line(
            f"{shots} shots",
            range(SHOWN_STEPS + 1),
            each.mean[: SHOWN_STEPS + 1],
            color,
            band=each.half_width[: SHOWN_STEPS + 1],
        )
        for (shots, each), color in zip(curves.items(), BY_SHOTS, strict=False)
    ]
    return Plot(f"{TASKS} held-out tasks", "inner steps", "mean squared error", lines)


def card(name: str, manifest: Manifest, curves: Mapping[int, Curve]) -> str:
    """CARD.md."""
    bounds = manifest.inner_loop
    recipe = manifest.training["recipe"]
    settings = "\n".join(f"| {key} | {value} |" for key, value in recipe.items())
    versions = ", ".join(f"{key} {value}" for key, value in manifest.training["versions"].items())
    return f"""# {name}

An initialization for the family `{recipe["family"]}`, meta-trained with `{manifest.algorithm}`. An input has
{manifest.schema.features} feature(s), a target {manifest.schema.targets} number(s).

![One held-out task before and after adapting, and the error by steps]({PLOT})

## How well it adapts

Mean squared error on the query set by support size and inner steps, at a rate of {bounds.learning_rate:g}: means with
95 % intervals over {TASKS} held-out tasks (seed {SEED}, {QUERIES} queries each, drawn afresh from the family). A task
on which the inner loop diverges counts with its untouched error.

{as_text(curves, range(SHOWN_STEPS + 1))}

## What a request may ask

| | default | up to |
|---|---|---|
| steps | {bounds.steps} | {bounds.max_steps} |
| learning_rate | {bounds.learning_rate:g} | {bounds.max_learning_rate:g} |

The most steps are the largest number, of {MOST_STEPS} tried, that evaluates no worse than the default; the largest rate
is the last, raised by a quarter at a time, at which the default number of steps still helps.

## What a support set is held against

{calibration_text(manifest.calibration)}

## How it was made

`{manifest.training["command"]}` makes it again ({versions}, on {manifest.training["device"]}; the same versions on the
same kind of machine give the same weights). {cost_text(manifest.training)} The recipe:

| | |
|---|---|
{settings}
"""


def cost_text(training: Mapping[str, Any]) -> str:
    """What training cost and which of its meta-parameters these are, in sentences."""
    cost, best = training["cost"], training["validation"]
    count = "one process" if cost["processes"] == 1 else f"{cost['processes']} processes"
    taken = "the last" if best is None else "those of the best score on validation tasks"
    step = training["outer_steps"] if best is None else best["outer_step"]
    return (
        f"It took {cost['seconds']:,.0f} s in {count} on {cost['machine']} and {cost['tasks']:,} tasks. "
        f"The meta-parameters are {taken}, after {step:,} of {training['outer_steps']:,} outer steps."
    )


def calibration_text(calibration: Calibration) -> str:
    """The calibration for people, in Markdown."""
    errors = zip(calibration.adapted_to, calibration.error, strict=True)
    rows = "\n".join(f"| {others} | {error:.3g} |" for others, error in errors)
    return f"""Assessing (`"assess": "leave_one_out"`) calls a support set unlike training where more than
{MOST_FAR:.0%} of its inputs lie beyond all inputs of training, or where its mean error on examples left out is over the
one that {LEVEL:.0%} of training tasks stay below ({calibration.tasks} tasks of each size, seed {calibration.seed}; an
error that is unknown because the inner loop diverged counts as {LARGEST:.2g}):

| adapted to so many others | error |
|---|---|
{rows}"""
