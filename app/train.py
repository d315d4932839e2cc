"""The offline training script: `python -m app.train sinusoid`, also `innerloop train` and `make train`.

It needs neither FastAPI nor pydantic, so a bare GPU machine can run it from a checkout. With several processes:
`torchrun --nproc-per-node 4 -m app.train sinusoid`.
"""

import dataclasses
import json
import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console

from app.atomic_write import write_atomically
from app.bundles.folder import check_name
from app.device import choose_device, describe
from app.errors import InnerloopError, TrainingError, expectation, one_of
from app.families.registry import families
from app.training.algorithm_search import Round, SearchResult, search_algorithm
from app.training.checkpoints import restore_checkpoint, save_checkpoint
from app.training.data_parallel import processes
from app.training.family_and_network import make_family
from app.training.loop import make_run, train_to_end
from app.training.optional_packages import LOG, PLOTS, require
from app.training.publish import write_bundle
from app.training.recipe_variants import with_algorithm
from app.training.recipes.recipe import Recipe
from app.training.recipes.registry import recipe_for
from app.training.tables.command import (
    CodeColumns,
    DecimalMark,
    InputColumns,
    OrderColumn,
    SupportSizes,
    TableFile,
    TableKind,
    TableWords,
    TargetColumn,
    TaskColumn,
    settings_of,
    train_on_table,
)
from app.training.texts.command import (
    LabelColumn,
    LeaveOut,
    SentenceModel,
    TextColumn,
    TextsFile,
    TextWords,
    train_on_texts,
)
from app.training.texts.command import settings_of as text_settings_of
from app.training.training_run import Run

AUTO = "auto"
DEFAULT_FAMILY = "sinusoid"
CHOICE = "choice.json"
"""The file of the result of a search, beside the checkpoint."""
ENVIRONMENTS = "environments"
"""The family that --env chooses."""
NOT_SET = {
    "family": "name the family as the first argument instead",
    "family_options": "use --option instead",
    "algorithm": "choose it with --algorithm (train) or --algorithms (compare)",
}
"""The fields of a recipe that --set does not change, and what to do instead."""


def _listed_families() -> str:
    """The names of the families, for --help."""
    return ", ".join(f"{name} (needs --env)" if name == ENVIRONMENTS else name for name in sorted(families()))


def train(
    family: Annotated[
        str, typer.Argument(help=f"Family of tasks: {_listed_families()}; or one of your own.")
    ] = DEFAULT_FAMILY,
    name: Annotated[str | None, typer.Option(help="Name of the bundle; by default the family's.")] = None,
    algorithm: Annotated[
        str | None,
        typer.Option(help="Algorithm, such as maml; by default the recipe's. auto tries several and keeps the best."),
    ] = None,
    outer_steps: Annotated[
        int | None, typer.Option(min=1, help="Number of outer steps; by default the recipe's.")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Seed of the initial parameters and the training tasks; by default the recipe's."),
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="Option of the family, such as features=3; repeat it for several.")
    ] = None,
    env: Annotated[
        str | None,
        typer.Option(
            help="MODULE:FUNCTION that takes a task number and returns a gymnasium environment; replaces the family."
        ),
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", help="Field of the recipe, such as precision=bfloat16; repeat it for several."),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of the data set, for a family that reads one.")] = None,
    models_dir: Annotated[
        Path, typer.Option(help="Folder of the bundles; the new one is written there.", envvar="INNERLOOP_MODELS_DIR")
    ] = Path("models"),
    runs_dir: Annotated[Path, typer.Option(help="Folder of checkpoints and TensorBoard logs.")] = Path("runs"),
    device: Annotated[
        str, typer.Option(help="Device that computes: cpu, cuda, or auto for the GPU if there is one.")
    ] = "auto",
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start again instead of continuing from the checkpoint.")
    ] = False,
    threads: Annotated[
        int, typer.Option(min=1, help="Number of CPU threads; small networks train fastest on one.")
    ] = 1,
    eager: Annotated[
        bool, typer.Option("--eager", help="Do not compile: training starts at once, but is slower.")
    ] = False,
    texts: TextsFile = None,
    text: TextColumn = None,
    label: LabelColumn = None,
    leave_out: LeaveOut = None,
    sentence_model: SentenceModel = None,
    table: TableFile = None,
    task: TaskColumn = None,
    target: TargetColumn = None,
    inputs: InputColumns = None,
    order: OrderColumn = None,
    kind: TableKind = None,
    categories: CodeColumns = None,
    decimal: DecimalMark = None,
    support: SupportSizes = None,
) -> None:
    """Meta-train an initialization and write it as a bundle. Interrupted training continues from its checkpoint.

    With --table, it trains on your own table: innerloop train --table visits.csv --task patient --target pain

    With --texts, it trains on your own texts: innerloop train --texts tickets.csv --text message --label topic
    """
    torch.set_num_threads(threads)
    options = option or []
    of_texts = TextWords(text, label, leave_out, sentence_model)
    if texts is not None:
        check_no_family("--texts", family, options, env, setting, data, algorithm, table)
        settings = text_settings_of(texts, of_texts, name=name, seed=seed, outer_steps=outer_steps)
        train_on_texts(settings, models_dir, runs_dir, Console(markup=False), fresh=fresh)
        return
    of_texts.check_texts()
    words = TableWords(task, target, inputs, order, kind, categories, decimal, support)
    if table is not None:
        check_no_family("--table", family, options, env, setting, data)
        own = settings_of(table, words, name=name, algorithm=algorithm, seed=seed, outer_steps=outer_steps)
        train_on_table(own, models_dir, runs_dir, Console(markup=False), fresh=fresh)
        return
    words.check_table()
    if env is not None:
        family, options = ENVIRONMENTS, [f"env={env}", *options]
    overrides = Overrides(family, name, algorithm, outer_steps, seed, options, setting or [], has_data=data is not None)
    runs_dir, models_dir = runs_dir / overrides.bundle, models_dir / overrides.bundle
    try:
        require(LOG, PLOTS)
        with processes(choose_device(device)) as (group, group_device):
            console = Console(quiet=not group.first, markup=False)
            start = partial(make_run, device=group_device, compiled=not eager, processes=group, data=data)
            recipe, search, checkpoint = choose_recipe(overrides), None, runs_dir / "checkpoint.safetensors"
            if algorithm == AUTO:
                search = choose_algorithm(recipe, start, checkpoint, console, fresh=fresh)
                recipe = always_validated(with_algorithm(recipe, search.algorithm))
            run = start(recipe)
            if checkpoint.exists() and not fresh:
                restore_checkpoint(run, checkpoint)
                console.print(
                    f"continuing from {checkpoint}, after {run.step} of {outer_steps_text(run.recipe.outer_steps)}"
                )
            if search is not None and search.best is not None:
                run.keep_if_better(search.best)
                if group.first:
                    save_search(search, run, checkpoint)
            train_to_end(run, checkpoint, console)
            if group.first:
                finish(run, checkpoint, models_dir, overrides.command, console, search)
        if not group.first:
            end_at_once()
    except InnerloopError as error:
        Console(stderr=True).print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error


def check_no_family(
    source: str,
    family: str,
    options: list[str],
    env: str | None,
    setting: list[str] | None,
    data: Path | None,
    algorithm: str | None = None,
    table: Path | None = None,
) -> None:
    """Raise TrainingError where --table or --texts, the source, stands beside what it replaces."""
    given = {"--option": options, "--env": env, "--set": setting, "--data": data}
    given |= {"--algorithm": algorithm, "--table": table}
    if family != DEFAULT_FAMILY:
        raise TrainingError(expectation(source, "no family beside it", family, "leave one of them out"))
    for name in (name for name, value in given.items() if value):
        raise TrainingError(expectation(name, f"no {source} beside it", "both", "leave one of them out"))


def end_at_once() -> None:
    """End this process without Python's own clean-up. Nothing is left to do.

    Within a moment of the last exchange with other processes, that clean-up sometimes aborts (SIGABRT, "terminate
    called without an active exception"). torchrun then stops the first process, before it has written the bundle.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def choose_algorithm(
    recipe: Recipe, start: Callable[[Recipe], Run], checkpoint: Path, console: Console, *, fresh: bool
) -> SearchResult:
    """Search for an algorithm, or take the result that an interrupted training left beside its checkpoint."""
    file = checkpoint.with_name(CHOICE)
    if file.exists() and checkpoint.exists() and not fresh:
        return SearchResult.from_json(json.loads(file.read_text()))
    search = search_algorithm(recipe, start, lambda each: console.print(round_text(each)))
    console.print(search.reason)
    return search


def save_search(search: SearchResult, run: Run, checkpoint: Path) -> None:
    """Save the result of a search, and the run that keeps the best of its meta-parameters."""
    save_checkpoint(run, checkpoint)
    write_atomically(checkpoint.with_name(CHOICE), json.dumps(search.as_json()).encode())


def always_validated(recipe: Recipe) -> Recipe:
    """The recipe with validations, so that training after a search ships nothing worse than the search has seen."""
    return dataclasses.replace(recipe, validate_every=recipe.validate_every or recipe.outer_steps)


def outer_steps_text(count: int) -> str:
    """A number of outer steps in words."""
    return f"{count} outer step{'' if count == 1 else 's'}"


def round_text(each: Round) -> str:
    """The scores of a round of the search, in a line."""
    scores = ", ".join(f"{name} {score:.4g}" for name, score in each.scores.items())
    return f"validation after {outer_steps_text(each.outer_steps)}: {scores}"


def finish(
    run: Run, checkpoint: Path, folder: Path, command: str, console: Console, search: SearchResult | None = None
) -> None:
    """Write the bundle of the best meta-parameters, and remove the checkpoint and the result of the search."""
    if run.best is not None:
        console.print(f"best score on validation tasks: {run.best.score:.4g}, after {outer_steps_text(run.best.step)}")
    run.take_best()
    console.print(f"evaluating, and writing {folder}")
    manifest = write_bundle(run, folder, command, describe(run.device), search)
    checkpoint.unlink(missing_ok=True)
    checkpoint.with_name(CHOICE).unlink(missing_ok=True)
    console.print((folder / "CARD.md").read_text())
    console.print(f"digest {manifest.digest}")


@dataclass(frozen=True)
class Overrides:
    """What the command line sets instead of the recipe's choices.

    options: of the family, as KEY=VALUE
    settings: other fields of the recipe, as KEY=VALUE
    has_data: whether the command line names the folder of a data set; the folder itself stays out of the bundle
    """

    family: str
    name: str | None
    algorithm: str | None
    outer_steps: int | None
    seed: int | None
    options: list[str]
    settings: list[str]
    has_data: bool = False

    @property
    def bundle(self) -> str:
        """The name of the bundle."""
        return self.name or self.family

    @property
    def command(self) -> str:
        """The command line that makes the same bundle again."""
        options = {
            "--name": self.name,
            "--algorithm": self.algorithm,
            "--outer-steps": self.outer_steps,
            "--seed": self.seed,
        }
        words = ["innerloop", "train", self.family, *(["--data", "FOLDER"] if self.has_data else [])]
        words += [str(word) for key, value in options.items() if value is not None for word in (key, value)]
        words += [word for option in self.options for word in ("--option", option)]
        return shlex.join(words + [word for setting in self.settings for word in ("--set", setting)])


def choose_recipe(overrides: Overrides, place: str = "--algorithm") -> Recipe:
    """The family's recipe with what the command line overrides. Raises TrainingError where that cannot be used.

    place: the option that names algorithms, for errors
    """
    check_name(overrides.bundle)
    recipe, changes = recipe_for(overrides.family), recipe_changes(overrides)
    if overrides.options:
        changes["family_options"] = {**recipe.family_options, **dict(map(parse_option, overrides.options))}
    make_family(overrides.family, changes.get("family_options", recipe.family_options))
    try:
        recipe = dataclasses.replace(recipe, **changes)
    except (TypeError, ValueError) as error:
        raise TrainingError(f"--set {error}") from error
    if overrides.algorithm == AUTO:
        return recipe
    # the changes are applied again because another algorithm has its own usual rates; but not those of the network,
    # which is in the form that the algorithm needs by now
    again = {key: value for key, value in changes.items() if key not in ("network", "network_options")}
    return dataclasses.replace(with_algorithm(recipe, overrides.algorithm or recipe.algorithm, place), **again)


def recipe_changes(overrides: Overrides) -> dict[str, Any]:
    """The fields of the recipe that the command line sets, but for the options of the family."""
    changes = dict(parse_option(text, "--set", "outer_steps=1000") for text in overrides.settings)
    fields = [field.name for field in dataclasses.fields(Recipe) if field.name not in NOT_SET]
    for name in NOT_SET.keys() & changes.keys():
        raise TrainingError(f"--set {name}: {NOT_SET[name]}")
    if unknown := sorted(changes.keys() - set(fields)):
        raise TrainingError(expectation("--set", one_of(list(fields)), ", ".join(unknown)))
    named = {"outer_steps": overrides.outer_steps, "seed": overrides.seed}
    return changes | {key: value for key, value in named.items() if value is not None}


def parse_option(text: str, flag: str = "--option", example: str = "features=3") -> tuple[str, Any]:
    """`features=3` as ("features", 3). The value is JSON, with lists as tuples, or else a string.

    flag, example: where the text comes from, and what it may be, for the error
    """
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise TrainingError(expectation(flag, f"KEY=VALUE, such as {example}", repr(text)))
    try:
        parsed = json.loads(value)
    except ValueError:
        return key, value
    return key, tuple(parsed) if isinstance(parsed, list) else parsed


def main() -> None:
    """The command line of `python -m app.train`."""
    typer.run(train)


if __name__ == "__main__":
    main()
