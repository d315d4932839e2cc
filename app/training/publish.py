"""From a finished run to a bundle: find its bounds, calibrate it, evaluate it, write it with its card and its plots."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import mean
from typing import Any

import torch

import app
from app.bundles import Bounds, Bundle, Manifest, write, write_atomically
from app.families.family import Family
from app.learn.metrics import SCORES
from app.training.algorithm_search import Choice
from app.training.bounds import SEED, STEPS, largest_rate, largest_steps, tasks_for
from app.training.calibration import with_calibration
from app.training.card import card
from app.training.evaluation import Curve, Setting, curve, draw, scored, settings_for
from app.training.held_out import evaluated, steps_of
from app.training.loop import Run
from app.training.ood import with_ood_reference
from app.training.pictures import picture
from app.training.plots import svg
from app.training.predictor import offline
from app.training.tables import as_json, from_json

PLOT = "before-after.svg"


def write_bundle(run: Run, folder: Path, command: str, machine: str, choice: Choice | None = None) -> Manifest:
    """Evaluate the run's initialization and write its bundle into `folder`.

    command: what makes the same bundle again, for its card
    machine: the name of what trained it, for the note of what it cost
    choice: how its algorithm was chosen, where it was
    """
    settings = settings_for(run.recipe, run.family)
    bundle = bounded(run.as_bundle(folder.name), run.family, settings, run.algorithm.closed_form)
    bundle = with_calibration(with_ood_reference(bundle, run.family), run.family)
    bundle = replace(bundle, manifest=replace(bundle.manifest, training=made_by(run, command, machine, choice)))
    found = evaluated(bundle, run.family, offline(bundle), settings, steps_of(bundle), machine=machine)
    manifest = replace(bundle.manifest, evaluation=as_json(found))
    return publish(replace(bundle, manifest=manifest), run.family, folder)


def publish(bundle: Bundle, family: Family, folder: Path) -> Manifest:
    """Write a bundle that is evaluated, with its card and its plots."""
    manifest = write_with_card(bundle, folder)
    write_atomically(
        folder / PLOT, svg(picture(bundle, family, from_json(manifest.kind, manifest.evaluation))).encode()
    )
    return manifest


def write_with_card(bundle: Bundle, folder: Path) -> Manifest:
    """The same, leaving the plots as they are."""
    manifest = write(folder, bundle.manifest, bundle.meta)
    write_atomically(folder / "CARD.md", card(folder.name, manifest, PLOT).encode())
    return manifest


def bounded(bundle: Bundle, family: Family, settings: Sequence[Setting], closed_form: bool) -> Bundle:
    """The same bundle with its initial loss and what a request may ask of its inner loop."""
    bounds, kind = bundle.manifest.inner_loop, bundle.manifest.kind
    device = next(iter(bundle.meta.values())).device
    held_out = [
        draw(family, setting, device, tasks=tasks_for(family), split="validation", seed=SEED) for setting in settings
    ]
    initial = mean(scored(offline(bundle), kind, tasks, [0]).losses.mean().item() for tasks in held_out)
    bundle = replace(bundle, manifest=replace(bundle.manifest, initial_loss=initial))

    def curves(rate: float, steps: Sequence[int]) -> list[Curve]:
        return [curve(scored(offline(bundle, rate), kind, tasks, steps)) for tasks in held_out]

    if closed_form:
        return bundle
    better, rate = SCORES[kind].better, bounds.learning_rate
    learned, steps = bundle.algorithm.learned_rate, sorted({*STEPS, bounds.steps})
    most = Bounds(
        steps=bounds.steps,
        max_steps=largest_steps(curves(rate, steps), steps, bounds.steps, better),
        learning_rate=rate,
        max_learning_rate=rate if learned else largest_rate(rate, lambda rate: curves(rate, [0, bounds.steps]), better),
    )
    return replace(bundle, manifest=replace(bundle.manifest, inner_loop=most))


def made_by(run: Run, command: str, machine: str, choice: Choice | None) -> Mapping[str, Any]:
    """How a bundle was made, for bundle.json. Tasks seen are counted again each time that one is drawn."""
    cost = {
        "seconds": round(run.seconds, 1),
        "machine": machine,
        "processes": run.processes.count,
        "tasks": run.step * run.recipe.tasks,
    }
    return {
        "recipe": asdict(run.recipe),
        "command": command,
        "outer_steps": run.step,
        "validation": None if run.best is None else {"score": run.best.score, "outer_step": run.best.step},
        "cost": cost,
        **({} if choice is None else {"choice": choice.as_json()}),
        "device": run.device.type,
        "versions": {"innerloop": app.__version__, "torch": torch.__version__, "python": platform.python_version()},
    }
