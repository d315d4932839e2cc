"""From texts with labels to a bundle."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from app.bundles.bundle import Bundle
from app.bundles.folder import check_name
from app.bundles.manifest import Manifest
from app.device import describe
from app.encoders.sentences.model_files import DEFAULT
from app.families.text import Text
from app.output_folder import check_folder
from app.training.card_example import with_example
from app.training.checkpoints import restore_checkpoint
from app.training.optional_packages import LOG, PLOTS, require
from app.training.print_text import print_text
from app.training.publish import evaluated, publish, training_record
from app.training.recipes.recipe import Recipe
from app.training.recipes.registry import recipe_for
from app.training.tasks import Setting
from app.training.texts.text_example import text_example
from app.training.texts.text_settings import TextSettings
from app.training.texts.text_summary import text_summary
from app.training.train_to_end import make_run, train_to_end

CHECKPOINT, EMBEDDINGS = "checkpoint.safetensors", "embeddings"


def train_texts(
    texts: Path | str | Any,
    *,
    text: str,
    label: str,
    leave_out: Sequence[str] = (),
    model: str = DEFAULT,
    name: str = "",
    seed: int = 0,
    outer_steps: int | None = None,
    models_dir: Path | str = "models",
    runs_dir: Path | str = "runs",
    fresh: bool = False,
    console: Console | None = None,
) -> Manifest:
    """Train a model on texts with labels and write it as a bundle, as `innerloop train --texts` does.

        train_texts(frame, text="message", label="topic", name="tickets")

    texts: a file, or a DataFrame of pandas or polars
    text, label: the columns
    leave_out: labels that are no classes of their own, such as one for everything else
    model: the sentence model: the one of the extra `text`, a folder, or the name of one that was downloaded
    name: of the bundle; by default that of the file
    seed, outer_steps: as for `innerloop train`
    models_dir: where the bundle is written
    runs_dir: where interrupted training continues from
    fresh: start again instead
    console: what is understood and how far training is are printed to it (None: to nothing)

    Returns the manifest of the bundle.

    Raises DataError where the texts cannot be read or used, and TrainingError where the other arguments do not fit.
    A folder that cannot be written to is an InnerloopError.
    """
    check_folder("models_dir", Path(models_dir))
    check_folder("runs_dir", Path(runs_dir))
    source = Path(texts) if isinstance(texts, str) else texts
    settings = TextSettings(source, text, label, tuple(leave_out), model, name, seed, outer_steps)
    return run_texts(settings, Path(models_dir), Path(runs_dir), console or Console(quiet=True), fresh=fresh)


def run_texts(
    settings: TextSettings, models_dir: Path, runs_dir: Path, console: Console, *, fresh: bool = False
) -> Manifest:
    """Read, embed, train, evaluate, write. Arguments as for `train_texts`."""
    require(LOG, PLOTS)
    check_name(settings.bundle)
    runs, machine = runs_dir / settings.bundle, describe(torch.device("cpu"))
    if fresh:
        shutil.rmtree(runs, ignore_errors=True)
    family = make_text(settings, runs / EMBEDDINGS)
    print_text(console, text_summary(family))
    bundle = _trained(settings, family, runs / family.fingerprint, console, machine)
    print_text(console, f"evaluating, and writing {models_dir / settings.bundle}")
    bundle = evaluated(bundle, family, evaluation_settings(family), machine)
    bundle = with_example(bundle, text_example(bundle, family))
    manifest = publish(bundle, family, models_dir / settings.bundle)
    shutil.rmtree(runs, ignore_errors=True)
    return manifest


def make_text(settings: TextSettings, cache: Path | None = None) -> Text:
    """The family, with what the texts themselves decide. Raises DataError where they cannot be used.

    cache: a folder for the embeddings
    """
    draft = Text(
        settings.text,
        settings.label,
        settings.leave_out,
        model=settings.model,
        source=settings.source,
        licence=settings.licence,
        data=settings.texts,
    )
    model, width, ways = draft.encoder.model, draft.encoder.width, max(2, min(draft.ways, draft.max_ways - 1))
    return replace(draft, model=model, width=width, ways=ways, fingerprint=draft.read.fingerprint, cache=cache)


def text_recipe(settings: TextSettings, family: Text) -> Recipe:
    """The recipe of the family, with the sizes of these texts and what the user says."""
    recipe = recipe_for("text")
    most = len(family.splits["training"])
    assert recipe.ways is not None, "it says how many classes a task has"
    options = {"text": family.text, "label": family.label, "width": family.width, "ways": family.ways}
    options |= {"leave_out": list(family.leave_out)} if family.leave_out else {}
    options |= {"model": family.model} if family.model != DEFAULT else {}
    options |= {"source": family.source} if family.source else {}
    return replace(
        recipe,
        family_options={**options, "licence": family.licence, "fingerprint": family.fingerprint},
        ways=(min(recipe.ways[0], most), min(recipe.ways[1], most)),
        evaluation_ways=tuple(sorted({each.ways for each in evaluation_settings(family) if each.ways})),
        outer_steps=settings.outer_steps or recipe.outer_steps,
        seed=settings.seed,
    )


def evaluation_settings(family: Text) -> list[Setting]:
    """The settings that a bundle is evaluated at: those of the recipe, with no more classes than each split has."""
    recipe = recipe_for("text")
    ways = sorted({min(each, family.max_ways) for each in recipe.evaluation_ways})
    return [Setting(shots, each) for each in ways for shots in recipe.evaluation_shots]


def _trained(settings: TextSettings, family: Text, folder: Path, console: Console, machine: str) -> Bundle:
    """A bundle that is not evaluated yet. folder: of what an interrupted training continues from"""
    recipe, checkpoint = text_recipe(settings, family), folder / CHECKPOINT
    run = make_run(recipe, torch.device("cpu"), compiled=False, family=family)
    if checkpoint.exists():
        restore_checkpoint(run, checkpoint)
        console.print(f"continuing from {checkpoint}, after outer step {run.step:,} of {recipe.outer_steps:,}")
    train_to_end(run, checkpoint, console)
    run.take_best()
    training = training_record(run, settings.command, machine, None)
    bundle = run.as_bundle(settings.bundle)
    return replace(bundle, manifest=replace(bundle.manifest, training=training))
