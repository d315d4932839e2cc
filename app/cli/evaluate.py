"""`innerloop evaluate` and `innerloop value`: how well a bundle does, offline or over HTTP."""

import asyncio
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from app.bundles.bundle import Bundle
from app.bundles.folder import load_named
from app.cli.completion import complete_bundle
from app.cli.console import Data, ModelsDir, console, show
from app.cli.option_bounds import MAX_EXAMPLES, MAX_STEPS, MAX_TASKS, MAX_WAYS
from app.cli.remote_learner import over_http, returns_over_http
from app.device import describe
from app.errors import InnerloopError, expectation
from app.families.family import Family
from app.learn.losses import KINDS
from app.training.evaluate_bundle import evaluate_bundle, steps_to_evaluate
from app.training.evaluation_tables import as_json, as_text, calibration_as_text, settings_of
from app.training.family_and_network import family_of
from app.training.off_policy_evaluation import estimate_values, read_log, valuation_text
from app.training.ood_evaluation import TASKS as UNLIKE_TASKS
from app.training.optional_packages import PLOTS, require
from app.training.predictor import offline
from app.training.publish import publish, publish_policy, with_unlike, write_with_card
from app.training.returns import OFFLINE, OVER_HTTP, SCORE, Returns, evaluate_policy
from app.training.tasks import Setting
from app.training.trust_text import unlike_text

CPU = torch.device("cpu")


def evaluate(
    bundle: Annotated[
        str, typer.Argument(help="Name of the bundle, such as sinusoid.", autocompletion=complete_bundle)
    ],
    shots: Annotated[
        list[int] | None,
        typer.Option(
            min=1,
            max=MAX_EXAMPLES,
            help="Number of support examples; for classification, of each class. Repeat it for several. By default, "
            "the numbers of the last evaluation.",
        ),
    ] = None,
    ways: Annotated[
        list[int] | None,
        typer.Option(
            min=2,
            max=MAX_WAYS,
            help="Number of classes in a task, for classification. Repeat it for several. By default, the numbers of "
            "the last evaluation.",
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=MAX_STEPS,
            help="Largest number of inner steps to score: the bundle is scored after 0, 1, ... and this number of "
            "steps, and after its default. By default 10, or the largest of the bundle if that is less; for images "
            "only 0 and the bundle's default.",
        ),
    ] = None,
    tasks: Annotated[int, typer.Option(min=2, max=MAX_TASKS, help="Number of held-out tasks.")] = 600,
    scores: Annotated[
        bool,
        typer.Option(
            "--scores/--no-scores",
            help="Score the predictions. `--no-scores` only measures which queries `unlike` marks, and how well 90 % "
            "intervals hold.",
        ),
    ] = True,
    server: Annotated[
        str | None, typer.Option(help="URL of a running server that predicts. Without it, this process predicts.")
    ] = None,
    data: Data = None,
    save: Annotated[
        bool | None,
        typer.Option(
            "--write/--no-write",
            help="Write the scores into the bundle, its card and its plots, or only print them. By default they are "
            "written, unless the scores in the bundle are of more tasks.",
        ),
    ] = None,
    models_dir: ModelsDir = Path("models"),
) -> None:
    """Score a bundle on held-out tasks, by number of support examples and inner steps, with 95 % intervals.

    A policy that was trained by acting is scored by its returns in held-out worlds. Without --server, what `unlike`
    marks inside and outside of training's range is measured too, on up to 300 other tasks.
    """
    loaded = load_named(models_dir, bundle)
    stored, fewer = _more_tasks(loaded, tasks, scores=scores, offline=server is None)
    writes = not stored if save is None else save
    folder = models_dir / bundle if writes else None
    if not scores:
        if server is not None:
            fix = "leave --server or --no-scores out"
            raise InnerloopError(expectation("--no-scores", "a measurement in this process", "--server", fix))
        _evaluate_unlike(loaded, family_of(loaded, data), shots, ways, min(tasks, UNLIKE_TASKS), folder)
    else:
        if writes:
            require(PLOTS)
        _evaluate(loaded, shots, ways, steps, tasks, server, data, folder)
    if stored and save is None:
        text = f"wrote nothing, as the scores of {bundle} are of {stored} tasks, and these of {fewer}: add --write"
        console.print(f"{text} to replace them", markup=False, highlight=False, soft_wrap=True)


def _more_tasks(bundle: Bundle, tasks: int, *, scores: bool, offline: bool) -> tuple[int, int]:
    """How many tasks the stored scores are of and how many the new ones would be, where that is fewer; otherwise 0, 0.

    tasks: of the option; scores: whether predictions are scored, and not only what `unlike` marks
    """
    evaluation = bundle.manifest.evaluation
    pairs = []
    if scores and evaluation.get("score") != SCORE:
        pairs.append((evaluation.get("tasks", 0), tasks))
    if offline:
        pairs.append((evaluation.get("unlike", {}).get("tasks", 0), min(tasks, UNLIKE_TASKS)))
    return next(((stored, new) for stored, new in pairs if new < stored), (0, 0))


def _evaluate(
    loaded: Bundle,
    shots: Sequence[int] | None,
    ways: Sequence[int] | None,
    steps: int | None,
    tasks: int,
    server: str | None,
    data: Path | None,
    folder: Path | None,
) -> None:
    """Score a bundle, print the scores, and write them into the bundle in `folder`, if any."""
    if loaded.manifest.evaluation.get("score") == SCORE:
        trial = Returns.from_json(loaded.manifest.evaluation).trial
        returns = (
            evaluate_policy(loaded, trial) if server is None else asyncio.run(returns_over_http(loaded, trial, server))
        )
        if server is None:
            loaded = with_unlike(loaded, family_of(loaded, data), [], min(tasks, UNLIKE_TASKS))
        show_returns(loaded, returns, folder)
        return
    family = family_of(loaded, data)
    settings = _settings(loaded, family, shots, ways)
    result = evaluate_bundle(
        loaded,
        family,
        offline(loaded) if server is None else over_http(server, loaded),
        settings,
        steps_to_evaluate(loaded, steps),
        machine=describe(CPU),
        way=OFFLINE if server is None else OVER_HTTP,
        tasks=tasks,
    )
    if server is None:
        loaded = with_unlike(loaded, family, settings, min(tasks, UNLIKE_TASKS))
    unlike = f"\n\n{unlike_text(loaded.manifest)}" if server is None else ""
    show(f"{result.protocol}.\n\n{as_text(result)}\n\n{calibration_as_text(result)}{unlike}".rstrip())
    if folder is not None:
        content = as_json(result)
        beside = server is not None and "tasks" in loaded.manifest.evaluation
        publish(_with_evaluation(loaded, {"over_http": content} if beside else content), family, folder)


def _evaluate_unlike(
    bundle: Bundle,
    family: Family,
    shots: Sequence[int] | None,
    ways: Sequence[int] | None,
    tasks: int,
    folder: Path | None,
) -> None:
    """Measure what `unlike` marks, print it, and write it into the bundle in `folder` and its card, if any."""
    if not bundle.manifest.evaluation and folder is not None:
        expected, fix = "a bundle that has scores", "leave --no-scores out, or add --no-write"
        raise InnerloopError(expectation("--no-scores", expected, f"{bundle.name}, which has none", fix))
    measured = with_unlike(bundle, family, _settings(bundle, family, shots, ways), tasks)
    command = f"`innerloop calibrate {bundle.name}`"
    nothing = f"{bundle.name} has no ranges of training: {command} measures them for numbers, observations and images"
    show(unlike_text(measured.manifest) or nothing)
    if folder is not None:
        write_with_card(measured, family, folder)


def _settings(
    bundle: Bundle, family: Family, shots: Sequence[int] | None, ways: Sequence[int] | None
) -> Sequence[Setting]:
    """The support sizes and numbers of classes to score: those of the options, else those of the last evaluation."""
    settings = settings_of(bundle.manifest.evaluation)
    if settings and not shots and not ways:
        return settings
    sizes = shots or sorted({each.shots for each in settings}) or [5]
    classes = ways or sorted({each.ways for each in settings if each.ways}) or [family.targets]
    return [Setting(size, way) for way in (classes if KINDS[family.kind].one_hot else [None]) for size in sizes]


def _with_evaluation(bundle: Bundle, scores: Mapping[str, Any]) -> Bundle:
    evaluation = {**bundle.manifest.evaluation, **scores}
    return dataclasses.replace(bundle, manifest=dataclasses.replace(bundle.manifest, evaluation=evaluation))


def show_returns(bundle: Bundle, returns: Returns, folder: Path | None) -> None:
    """Print returns, and write them into the bundle in `folder`, if any: those over HTTP beside the offline ones."""
    unlike = f"\n\n{unlike_text(bundle.manifest)}" if returns.way == OFFLINE else ""
    show(f"{returns.protocol}.\n\n{returns.as_text()}{unlike}".rstrip())
    if folder is not None:
        beside = returns.way == OVER_HTTP and bundle.manifest.evaluation.get("score") == SCORE
        scores = returns.as_json()
        publish_policy(_with_evaluation(bundle, {"over_http": scores} if beside else scores), folder)


def value(
    bundle: Annotated[
        str, typer.Argument(help="Name of a bundle with discrete actions.", autocompletion=complete_bundle)
    ],
    log: Annotated[
        Path,
        typer.Argument(
            help="File with a JSON object on each line: observation, action, reward, propensity, optional task."
        ),
    ],
    support: Annotated[
        int,
        typer.Option(
            min=1,
            max=MAX_EXAMPLES,
            help="Adapt to this many decisions at the start of each task. The others are used for the estimate.",
        ),
    ] = 50,
    steps: Annotated[
        int | None, typer.Option(min=0, max=MAX_STEPS, help="Number of inner steps; by default the bundle's.")
    ] = None,
    drawn: Annotated[
        bool,
        typer.Option("--drawn", help="Let the policies draw actions. Without it, they take the most probable ones."),
    ] = False,
    models_dir: ModelsDir = Path("models"),
) -> None:
    """Estimate the value of the adapted policy from logged decisions of another policy.

    The value of the initialization is estimated too, for comparison.
    """
    loaded = load_named(models_dir, bundle)
    count = loaded.manifest.inner_loop.steps if steps is None else steps
    valuation = estimate_values(loaded, read_log(log, loaded), support, count, sample=drawn)
    tasks = "one task" if valuation.tasks == 1 else f"{valuation.tasks:,} tasks"
    decisions = f"{valuation.decisions:,} decisions in {tasks} after the first {support}"
    show(f"Mean reward of a decision, with 95 % intervals, estimated from {decisions}.\n\n{valuation_text(valuation)}")
