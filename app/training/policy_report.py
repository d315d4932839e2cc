"""From a policy that learned from its own decisions to a bundle: its returns, its card and its plots."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from app.bundles import Bundle, Manifest, write, write_atomically
from app.errors import TrainingError
from app.families.worlds import Episodes, Worlds
from app.training.algorithm_search import Choice
from app.training.card import policy_card
from app.training.on_policy import OnPolicy
from app.training.pictures import BEFORE, BY_SETTING, TRUTH
from app.training.plots import Line, Plot, svg
from app.training.problem import family_of
from app.training.publish import PLOT, made_by
from app.training.returns import SCORE, Returns, Trial, intervals, rivals, stage_label
from app.training.rollouts import practice_of

STAGE_COLORS = (BEFORE, "#9467bd", "#2ca02c", "#1f77b4")


def write_policy(run: OnPolicy, folder: Path, command: str, machine: str, choice: Choice | None = None) -> Manifest:
    """Try the run's initialization in worlds of the test split and write its bundle, as `write_bundle` does."""
    bundle = run.as_bundle(folder.name)
    found = tried(bundle, Trial(episodes=run.episodes, stages=run.recipe.stages), machine)
    manifest = replace(
        bundle.manifest,
        initial_loss=initial_loss(bundle, found.trial),
        evaluation=found.as_json(),
        training=made_by(run, command, machine, choice),
    )
    return publish(replace(bundle, manifest=manifest), folder)


def worlds_of(bundle: Bundle) -> Worlds[Any, Any]:
    """Where a bundle acts. Raises TrainingError where its family is no worlds."""
    family = family_of(bundle)
    if not isinstance(family, Worlds):
        raise TrainingError(f"{bundle.name} is of a family that has no worlds to act in")
    return family


def tried(bundle: Bundle, trial: Trial, machine: str = "") -> Returns:
    """What a bundle gains in its worlds, in this process, and what its rivals do."""
    worlds = worlds_of(bundle)
    return Returns(trial, intervals(trial.of_bundle(worlds, bundle)), rivals(worlds, bundle, trial), machine=machine)


def initial_loss(bundle: Bundle, trial: Trial) -> float:
    """The size of the loss on episodes of the initialization, averaged over the worlds."""
    episodes = replace(trial, stages=0).of_bundle(worlds_of(bundle), bundle)[0]
    learner = practice_of(bundle, trial.tasks, torch.Generator(episodes.mask.device))
    with torch.no_grad():
        loss = learner.inner.loss(learner.meta, learner.state, learner.examples(episodes))
    return loss.abs().mean().item()


def publish(bundle: Bundle, folder: Path) -> Manifest:
    """Write a bundle whose returns are known, with its card and its plots."""
    manifest = write(folder, bundle.manifest, bundle.meta)
    found = Returns.from_json(manifest.evaluation)
    write_atomically(folder / PLOT, svg(picture(bundle, found)).encode())
    write_atomically(folder / "CARD.md", policy_card(folder.name, manifest, PLOT).encode())
    return manifest


def picture(bundle: Bundle, found: Returns) -> list[Plot]:
    """The ways through one world, where an observation is a place in the plane, and the returns by stage."""
    plots = [by_stage(found)]
    if bundle.manifest.schema.features == 2:
        acted = replace(found.trial, tasks=2).of_bundle(worlds_of(bundle), bundle)
        plots.insert(0, ways(acted))
    return plots


def ways(acted: Sequence[Episodes]) -> Plot:
    """Where the first episode of the first world led in each stage."""
    lines = []
    for stage, (episodes, color) in enumerate(zip(acted, STAGE_COLORS, strict=False)):
        places = episodes.observations[0, 0][episodes.mask[0, 0]]
        lines.append(Line(stage_label(stage), places[:, 0].tolist(), places[:, 1].tolist(), color))
    return Plot("An episode in a held-out world", "x", "y", lines)


def by_stage(found: Returns) -> Plot:
    """The returns over the stages, with their 95 % intervals, and those of the rivals."""
    lines = []
    for (name, each), color in zip({"this bundle": found.by_stage, **found.rivals}.items(), BY_SETTING, strict=False):
        each = list(each) if len(each) > 1 else [each[0]] * len(found.by_stage)
        means, bands = [one.mean for one in each], [one.half_width for one in each]
        lines.append(Line(name, range(len(each)), means, TRUTH if name == "oracle" else color, band=bands))
    return Plot(f"{found.trial.tasks} held-out worlds", "stages", SCORE, lines)
