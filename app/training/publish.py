"""From a finished run to a bundle: find its bounds, calibrate it, evaluate it, write it with its card and its plots."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

import app
from app.bundles.bundle import Bundle
from app.bundles.folder import as_files, write_files
from app.bundles.manifest import Manifest
from app.errors import printable_lines
from app.families.decision_log import Logged
from app.families.family import Family, HasDescription
from app.training.algorithm_search import SearchResult
from app.training.card import card
from app.training.card_example import policy_example, task_example, with_example
from app.training.evaluate_bundle import evaluate_bundle, steps_to_evaluate
from app.training.evaluation import settings_for
from app.training.evaluation_tables import as_json, from_json
from app.training.family_and_network import family_of
from app.training.image_ood_reference import make_image_reference
from app.training.inner_loop_bounds import with_bounds
from app.training.on_policy import OnPolicyRun
from app.training.ood_evaluation import TASKS, measure_unlike
from app.training.plots import bundle_plots, policy_plots
from app.training.prediction_kinds import KINDS
from app.training.predictor import offline
from app.training.returns import Returns, Trial, evaluate_policy, initial_policy_loss
from app.training.tasks import Setting
from app.training.training_run import Run

PLOT = "before-after.svg"


def write_bundle(run: Run, folder: Path, command: str, machine: str, search: SearchResult | None = None) -> Manifest:
    """Evaluate the run's initialization and write its bundle into `folder`.

    A run that learns from its own decisions is evaluated by returns in worlds of the test split, any other by scores on
    tasks of the test split.

    command: the command that makes the same bundle again, for its card
    machine: the name of the machine that trained it, noted with the cost
    search: how the algorithm was chosen, if it was searched for
    """
    bundle = run.as_bundle(folder.name)
    bundle = replace(bundle, manifest=replace(bundle.manifest, training=training_record(run, command, machine, search)))
    if isinstance(run, OnPolicyRun):
        returns = evaluate_policy(bundle, Trial(episodes=run.episodes, stages=run.recipe.stages), machine)
        loss = initial_policy_loss(bundle, returns.trial)
        manifest = replace(bundle.manifest, initial_loss=loss, evaluation=returns.as_json())
        bundle = with_ood_reference(replace(bundle, manifest=manifest), run.family)
        return publish_policy(with_unlike(bundle, run.family, []), folder)
    return publish(evaluated(bundle, run.family, settings_for(run.recipe, run.family), machine), run.family, folder)


def evaluated(bundle: Bundle, family: Family, settings: Sequence[Setting], machine: str) -> Bundle:
    """The same bundle with its bounds, its calibration, its OOD reference and its evaluation."""
    bundle = with_bounds(bundle, family, settings)
    bundle = with_calibration(with_ood_reference(bundle, family), family)
    evaluation = evaluate_bundle(bundle, family, offline(bundle), settings, steps_to_evaluate(bundle), machine=machine)
    bundle = replace(bundle, manifest=replace(bundle.manifest, evaluation=as_json(evaluation)))
    return with_unlike(bundle, family, settings)


def with_calibration(bundle: Bundle, family: Family) -> Bundle:
    """The same bundle with a calibration on validation tasks of the family; empty for decisions."""
    calibration = KINDS[bundle.manifest.kind].calibrate(bundle, family)
    return replace(bundle, manifest=replace(bundle.manifest, calibration=calibration))


def with_ood_reference(bundle: Bundle, family: Family) -> Bundle:
    """The same bundle with what tells inputs unlike those of training, from tasks of the family, where there is any."""
    reference = KINDS[bundle.manifest.kind].make_ood_reference(bundle, family)
    images = make_image_reference(bundle, family)
    return replace(bundle, manifest=replace(bundle.manifest, ood_reference=reference, image_reference=images))


def with_unlike(bundle: Bundle, family: Family, settings: Sequence[Setting], tasks: int = TASKS) -> Bundle:
    """The same bundle with what `unlike` marks in its evaluation. Arguments as for `measure_unlike`."""
    evaluation = {name: part for name, part in bundle.manifest.evaluation.items() if name != "unlike"}
    unlike = measure_unlike(bundle, family, settings, tasks)
    if unlike is not None:
        evaluation["unlike"] = unlike
    return replace(bundle, manifest=replace(bundle.manifest, evaluation=evaluation))


def publish(bundle: Bundle, family: Family, folder: Path) -> Manifest:
    """Write an evaluated bundle with its card and its plots."""
    evaluation = from_json(bundle.manifest.kind, bundle.manifest.evaluation)
    if bundle.takes_features:  # a family draws features, not what people post
        bundle = with_example(bundle, task_example(bundle, family, min(evaluation.curves)))
    return write_with_card(bundle, family, folder, plots=bundle_plots(bundle, family, evaluation))


def publish_policy(bundle: Bundle, folder: Path) -> Manifest:
    """Write a bundle that was evaluated by returns, with its card and its plots."""
    returns = Returns.from_json(bundle.manifest.evaluation)
    if bundle.takes_features:
        bundle = with_example(bundle, policy_example(bundle))
    return write_with_card(bundle, family_of(bundle), folder, plots=policy_plots(bundle, returns))


def write_with_card(bundle: Bundle, family: Family, folder: Path, plots: bytes | None = None) -> Manifest:
    """Write an evaluated bundle with its card. Nothing is written where one of its parts cannot be made.

    plots: those of the card; None to leave the file of the plots as it is
    """
    manifest, files = as_files(bundle.manifest, bundle.meta, bundle.encoder_arrays)
    description = family.description if isinstance(family, HasDescription) else None
    text = printable_lines(card(folder.name, manifest, description, PLOT, weighted=isinstance(family, Logged)))
    beside = {"CARD.md": text.encode()} | ({} if plots is None else {PLOT: plots})
    write_files(folder, {**beside, **files})
    return manifest


def training_record(run: Run, command: str, machine: str, search: SearchResult | None) -> Mapping[str, Any]:
    """How a bundle was trained, for bundle.json. A task that is drawn twice counts twice in the cost."""
    cost = {
        "seconds": round(run.seconds, 1),
        "machine": machine,
        "processes": run.processes.count,
        "threads": torch.get_num_threads(),
        "tasks": run.step * run.recipe.tasks,
    }
    return {
        "recipe": asdict(run.recipe),
        "command": command,
        "outer_steps": run.step,
        "validation": None if run.best is None else {"score": run.best.score, "outer_step": run.best.step},
        "cost": cost,
        **({} if search is None else {"choice": search.as_json()}),
        "device": run.device.type,
        "versions": {"innerloop": app.__version__, "torch": torch.__version__, "python": platform.python_version()},
    }
