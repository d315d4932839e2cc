"""The offline training script: `python -m app.train sinusoid`, also `innerloop train` and `make train`.

It needs neither FastAPI nor pydantic, so a bare GPU machine can run it from a checkout. With several processes:
`torchrun --nproc-per-node 4 -m app.train sinusoid`.
"""

from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console

from app.errors import InnerloopError, TrainingError, expectation
from app.families.registry import families
from app.output_folder import check_folder
from app.training.overrides import Overrides
from app.training.recipes.recipe import MAX_OUTER_STEPS, MAX_SEED
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
from app.training.train_family import Place, train_family

DEFAULT_FAMILY = "sinusoid"
ENVIRONMENTS = "environments"
"""The family that --env chooses."""


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
        int | None, typer.Option(min=1, max=MAX_OUTER_STEPS, help="Number of outer steps; by default the recipe's.")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0, max=MAX_SEED, help="Seed of the initial parameters and the training tasks; by default the recipe's."
        ),
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
        int, typer.Option(min=1, max=1024, help="Number of CPU threads; small networks train fastest on one.")
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
    check_folder("--models-dir", models_dir)
    check_folder("--runs-dir", runs_dir)
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
    try:
        train_family(overrides, Place(models_dir, runs_dir, data, device, compiled=not eager, fresh=fresh))
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


def main() -> None:
    """The command line of `python -m app.train`."""
    typer.run(train)


if __name__ == "__main__":
    main()
