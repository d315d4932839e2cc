"""The command `innerloop`."""

import asyncio
import dataclasses
import gc
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import torch
import typer
import uvicorn
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from app.api.uvicorn_protocol import OneWrite
from app.bundles import Bounds, FamilySpec, Schema, load, load_all, write
from app.cli.demos import act, collect, drive, navigate, show_returns
from app.cli.evaluation_tasks import over_http
from app.cli.output import Data, ModelsDir, console, show
from app.cli.try_bundle import try_bundle
from app.device import choose_device, describe, keep_freed_memory
from app.errors import InnerloopError
from app.learn.losses import KINDS
from app.learn.networks import NetworkSpec
from app.learn.policies import Actions, Weighing
from app.main import create_app
from app.settings import Settings
from app.train import Overrides, choose_recipe, parse_option, train
from app.training.card import calibration_text, ood_text
from app.training.comparison import comparison_protocol, comparison_text, train_and_score
from app.training.held_out import evaluate_bundle, steps_to_evaluate
from app.training.import_weights import import_weights
from app.training.off_policy_evaluation import estimate_values, read_log, valuation_text
from app.training.predictor import offline
from app.training.problem import family_of
from app.training.publish import publish, with_calibration, with_ood_reference
from app.training.returns import SCORE, Returns, evaluate_policy
from app.training.runs import make_run
from app.training.tables import as_json, as_text, calibration_as_text, settings_of
from app.training.tasks import Setting
from app.training.variants import at_budget, fitting_algorithms

cli = typer.Typer(no_args_is_help=True, help="The server for models that learn from a handful of examples.")
cli.command()(train)


@cli.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
) -> None:
    """Serve the bundles over HTTP. Every setting is an environment variable too: INNERLOOP_PORT and so on."""
    said = {"host": host, "port": port}
    settings = Settings.model_validate({name: value for name, value in said.items() if value is not None})
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # these belong to the process, so this is their place and not create_app
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(settings.compile_cache.absolute())
    torch.set_num_threads(settings.threads)
    keep_freed_memory()
    # a request leaves no cycles, so that looking for them at every seventh is in vain: a tenth of its time
    gc.set_threshold(20_000, 50, 100)
    application = create_app(settings)
    signal.signal(signal.SIGHUP, lambda *_: application.state.reloader.request())
    uvicorn.run(
        application,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        # no answer depends on who the client of a proxy was: 6 us of the 91 that a decision took
        proxy_headers=False,
        http=OneWrite,
    )


@cli.command()
def models(models_dir: ModelsDir = Path("models")) -> None:
    """List the bundles, and those that are refused with the reason."""
    good, refused = load_all(models_dir)
    table = Table("bundle", "algorithm", "family", "features → targets", "steps", "rate", "digest")
    for name, bundle in good.items():
        manifest, bounds = bundle.manifest, bundle.manifest.inner_loop
        form = f"{manifest.schema.features} → {manifest.schema.targets}"
        steps, rate = (
            f"{bounds.steps} of {bounds.max_steps}",
            f"{bounds.learning_rate:g} of {bounds.max_learning_rate:g}",
        )
        table.add_row(
            name,
            manifest.algorithm,
            manifest.family.name if manifest.family else "-",
            form,
            steps,
            rate,
            manifest.digest[:12],
        )
    console.print(table)
    for name, error in refused.items():
        console.print(f"[red]{name} is refused[/red]: {error}")


@cli.command()
def evaluate(
    bundle: Annotated[str, typer.Argument(help="Name of the bundle.")],
    shots: Annotated[list[int] | None, typer.Option(min=1, help="Support sizes; those of the bundle if none.")] = None,
    ways: Annotated[list[int] | None, typer.Option(min=2, help="Numbers of classes, where there are classes.")] = None,
    steps: Annotated[
        int | None, typer.Option(min=0, help="The most steps; 10 if none, and of images the bundle's default alone.")
    ] = None,
    tasks: Annotated[int, typer.Option(min=2, help="Held-out tasks.")] = 600,
    server: Annotated[str | None, typer.Option(help="Ask the running server at this URL.")] = None,
    data: Data = None,
    save: Annotated[bool, typer.Option("--write/--no-write", help="Into the bundle, its card and its plots.")] = True,
    models_dir: ModelsDir = Path("models"),
) -> None:
    """Score a bundle on held-out tasks, by support size and steps, with 95 % intervals; here or through a server."""
    loaded = load(models_dir / bundle)
    if loaded.manifest.evaluation.get("score") == SCORE:
        trial = Returns.from_json(loaded.manifest.evaluation).trial
        returns = evaluate_policy(loaded, trial) if server is None else asyncio.run(act(loaded, trial, server))
        show_returns(loaded, returns, models_dir / bundle if save else None)
        return
    family, manifest = family_of(loaded, data), loaded.manifest
    settings = settings_of(manifest.evaluation)
    if shots or ways or not settings:
        sizes = shots or sorted({each.shots for each in settings}) or [5]
        classes = ways or sorted({each.ways for each in settings if each.ways}) or [family.targets]
        settings = [Setting(size, way) for way in (classes if KINDS[family.kind].one_hot else [None]) for size in sizes]
    predictor = offline(loaded) if server is None else over_http(server, loaded)
    found = evaluate_bundle(
        loaded,
        family,
        predictor,
        settings,
        steps_to_evaluate(loaded, steps),
        machine=describe(torch.device("cpu")),
        way="offline" if server is None else "over HTTP",
        tasks=tasks,
    )
    show(f"{found.protocol}.\n\n{as_text(found)}\n\n{calibration_as_text(found)}")
    if save:
        written = as_json(found)
        kept = {**manifest.evaluation, **({"over_http": written} if server else written)}
        publish(
            dataclasses.replace(loaded, manifest=dataclasses.replace(manifest, evaluation=kept)),
            family,
            models_dir / bundle,
        )


@cli.command()
def value(
    bundle: Annotated[str, typer.Argument(help="Name of a bundle that decides among actions by name.")],
    log: Annotated[Path, typer.Argument(help="JSON lines: observation, action, reward, propensity, and task if any.")],
    support: Annotated[int, typer.Option(min=1, help="The first decisions of each task are adapted to.")] = 50,
    steps: Annotated[int | None, typer.Option(min=0, help="Inner steps; the bundle's default if none.")] = None,
    drawn: Annotated[bool, typer.Option("--drawn", help="Draw actions, instead of the most probable one.")] = False,
    models_dir: ModelsDir = Path("models"),
) -> None:
    """Say what the initialization and the adapted policy would earn, by a log of decisions that another policy took."""
    loaded = load(models_dir / bundle)
    count = loaded.manifest.inner_loop.steps if steps is None else steps
    found = estimate_values(loaded, read_log(log, loaded), support, count, sample=drawn)
    tasks = "one task" if found.tasks == 1 else f"{found.tasks:,} tasks"
    head = f"Reward a decision, with 95 % intervals, by {found.decisions:,} decisions about {tasks} after the first "
    show(f"{head}{support}.\n\n{valuation_text(found)}")


@cli.command()
def compare(
    recipe: Annotated[str, typer.Argument(help="A family, whose recipe is trained with each algorithm.")],
    algorithms: Annotated[str, typer.Option(help="Names with commas between them, or all that fit.")] = "all",
    outer_steps: Annotated[int | None, typer.Option(min=1, help="The budget of each, instead of the recipe's.")] = None,
    option: Annotated[list[str] | None, typer.Option(help="An option of the family, such as features=3.")] = None,
    setting: Annotated[list[str] | None, typer.Option("--set", help="Another choice of the recipe.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda; the GPU where there is one.")] = "auto",
    eager: Annotated[bool, typer.Option("--eager", help="Do not compile: slower, starts at once.")] = False,
    data: Data = None,
) -> None:
    """Train several algorithms at the same budget of outer steps, and score them on the same held-out tasks."""
    chosen = choose_recipe(Overrides(recipe, None, None, outer_steps, None, option or [], setting or []))
    names = fitting_algorithms(chosen) if algorithms == "all" else algorithms.split(",")
    contenders = []
    for name in names:
        run = make_run(at_budget(chosen, name), choose_device(device), compiled=not eager, data=data)
        contenders.append(train_and_score(run))
        console.print(f"{name}: {contenders[-1].mean:.4g} after {contenders[-1].seconds:.0f} s")
    show(f"{comparison_protocol(chosen)}.\n\n{comparison_text(contenders)}")


@cli.command()
def calibrate(
    bundle: Annotated[str, typer.Argument(help="Name of the bundle.")],
    data: Data = None,
    models_dir: ModelsDir = Path("models"),
) -> None:
    """Write into a bundle what training writes of its tasks: what support sets look like, how far to trust an answer.

    Weights and digest stay.
    """
    loaded = load(models_dir / bundle)
    family = family_of(loaded, data)
    made = with_calibration(with_ood_reference(loaded, family), family).manifest
    write(models_dir / bundle, made, loaded.meta)
    show(f"{calibration_text(made.calibration)}\n\n{ood_text(made.ood_reference)}")


@cli.command()
def bundle(
    name: Annotated[str, typer.Argument(help="Name of the bundle.")],
    network: Annotated[str, typer.Option(help="MODULE:NAME of a torch.nn.Module, or one of ours, such as mlp.")],
    weights: Annotated[Path, typer.Option(help="A safetensors file of its state dict.")],
    rate: Annotated[float, typer.Option(help="Inner learning rate.")] = 0.01,
    max_rate: Annotated[float | None, typer.Option(help="The largest that may be asked; --rate if none.")] = None,
    steps: Annotated[int, typer.Option(min=0, help="Inner steps.")] = 5,
    max_steps: Annotated[int, typer.Option(min=0, help="The most that may be asked.")] = 100,
    algorithm: Annotated[str, typer.Option(help="How it adapts.")] = "maml",
    kind: Annotated[str, typer.Option(help="What it predicts: regression, classification or decision.")] = "regression",
    features: Annotated[int, typer.Option(min=1, help="Numbers in an input.")] = 1,
    targets: Annotated[int, typer.Option(min=1, help="Numbers in a target or an action; of names, how many.")] = 1,
    low: Annotated[
        list[float] | None, typer.Option(help="The least of each number of an action; none where it is one of names.")
    ] = None,
    high: Annotated[list[float] | None, typer.Option(help="The most of each: --high 1 --high 0.5.")] = None,
    discount: Annotated[float, typer.Option(min=0, max=1, help="Of a reward, for each decision it comes later.")] = 1.0,
    smoothing: Annotated[float, typer.Option(min=0, max=1, help="Lambda of the advantages of decisions.")] = 1.0,
    shape: Annotated[list[int] | None, typer.Option(help="Of an input that is no row: --shape 28 --shape 28.")] = None,
    image: Annotated[str, typer.Option(help="How an image becomes an input, such as ink.")] = "",
    option: Annotated[list[str] | None, typer.Option(help="An option of the network, such as hidden=64.")] = None,
    family: Annotated[str | None, typer.Option(help="A family whose tasks it can be evaluated on.")] = None,
    family_option: Annotated[list[str] | None, typer.Option(help="An option of the family.")] = None,
    initial_loss: Annotated[float, typer.Option(help="The usual loss before any step.")] = 1.0,
    models_dir: ModelsDir = Path("models"),
) -> None:
    """Make a bundle of weights that were trained elsewhere: by learn2learn, higher or plain PyTorch."""
    actions = Actions(tuple(low or ()), tuple(high or ())) if KINDS[kind].weighted or low or high else None
    weighing = None if actions is None else Weighing(discount, smoothing)
    made = import_weights(
        models_dir / name,
        weights,
        NetworkSpec(network, dict(map(parse_option, option or []))),
        algorithm,
        kind,
        Schema(features, targets, tuple(shape or ()), image, actions, weighing),
        Bounds(steps, max(steps, max_steps), rate, max_rate or rate),
        initial_loss,
        None if family is None else FamilySpec(family, dict(map(parse_option, family_option or []))),
    )
    console.print(f"{models_dir / name} is made; digest {made.manifest.digest}")


# those that have rooms of their own
cli.command(name="try")(try_bundle)
cli.command()(navigate)
cli.command()(drive)
cli.command()(collect)


def main() -> None:
    """Run the command; what went wrong is said in a line."""
    # behind all that is installed: networks of one's own are found by their module's name, as by `python -m`
    sys.path.append(str(Path.cwd()))
    try:
        cli()
    except (InnerloopError, ValidationError) as error:
        Console(stderr=True).print(str(error), style="red", markup=False)
        raise SystemExit(1) from error
