"""`innerloop try`: adapt a bundle to a random task, and show the errors and the curve."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from torch import Tensor

from app.cli.completion import complete_bundle
from app.cli.console import Data, Server, console
from app.cli.losses_text import number_text
from app.cli.option_bounds import MAX_EXAMPLES, MAX_STEPS
from app.cli.remote_learner import rows_of
from app.cli.server_connection import connect, get_model
from app.errors import DataError, NoFamily, TrainingError
from app.families.family import Family, HasEncoder, HasImages
from app.families.worlds_protocol import Worlds
from app.training.evaluation_tables import percent
from app.training.family_and_network import make_family, reads_data
from app.training.recipes.recipe import MAX_SEED
from app.training.tasks import draw_tasks, sample
from innerloop_client import AsyncAdaptation, AsyncClient, Model
from innerloop_client.descriptions import reading

QUERIES, CLASS_QUERIES = 200, 10
"""Queries of a task that `try` predicts: in all, or of each class."""

MAX_SHOWN = 300
"""Characters of a part of an example that `try` prints."""


def try_bundle(
    bundle: Annotated[
        str, typer.Argument(help="Name of the bundle, such as sinusoid.", autocompletion=complete_bundle)
    ] = "sinusoid",
    shots: Annotated[
        int,
        typer.Option(min=1, max=MAX_EXAMPLES, help="Number of support examples; for classification, of each class."),
    ] = 5,
    steps: Annotated[
        int | None, typer.Option(min=0, max=MAX_STEPS, help="Number of inner steps; by default the bundle's.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Seed of the random task.")] = 0,
    data: Data = None,
    server: Server = None,
) -> None:
    """Adapt a bundle to a random task over HTTP, and print how well it predicts.

    A regression bundle is scored before and after adapting. If its inputs are single numbers, the curve is drawn too.
    Where there is no random task, as for a policy or for imported weights, the bundle's example request is sent.
    """
    asyncio.run(_try(bundle, shots, steps, seed, data, server))


async def _try(bundle: str, shots: int, steps: int | None, seed: int, data: Path | None, server: str | None) -> None:
    async with connect(server) as client:
        model = await get_model(client, bundle)
        settings, generator = {} if steps is None else {"steps": steps}, torch.Generator().manual_seed(seed)
        try:
            family = _family(model, data)
            _check_draws(model, family)
            await TRIALS[model.kind](client, model, family, shots, settings, generator)
        except (NoFamily, TrainingError, DataError) as error:
            if data is not None:
                raise
            await _try_example(client, model, settings, _reason(error, bundle))


def _reason(error: Exception, bundle: str) -> str:
    """Why there is no random task, in sentences."""
    if isinstance(error, DataError):
        return (
            f"The tasks of {bundle} come from a data set, and `--data` is not given. To adapt to a random task, run "
            f"`innerloop try {bundle} --data FOLDER`"
        )
    return str(error)


def _check_draws(model: Model, family: Family) -> None:
    """Raise TrainingError if a random task of the family cannot be posted and scored."""
    name, inputs = model.name, model.inputs
    if model.kind not in TRIALS:
        raise TrainingError(
            f"{name} is a policy, so `try` has no random task for it. To score it, {_advice(model, family)}"
        )
    encoded = isinstance(family, HasEncoder) and not isinstance(family, HasImages)
    if encoded or not _takes_features(inputs):
        encoder = f"{inputs['encoder']}{', which standardises numbers' if inputs.get('scale', False) else ''}"
        raise TrainingError(
            f"{name} has an encoder ({encoder}), but its family draws features, so `try` has no random task for it"
        )


async def _try_example(client: AsyncClient, model: Model, settings: dict[str, Any], reason: str) -> None:
    """Print why there is no random task, and what the bundle answers to its example request."""
    text = f"{reason}. Here is the example request of {model.name} instead:"
    console.print(text, markup=False, highlight=False, soft_wrap=True)
    with reading("a model with an example"):
        support, queries = model.example["support"], model.example["queries"]
    adaptation = await client.adapt(model.name, **_arguments(support, model), **settings)
    predictions = await adaptation.predict(queries)
    if model.kind == "regression" or (model.actions or {}).get("form") == "box":
        predictions = rows_of(torch.tensor(predictions)).tolist()
    for name, value in (("support", support), ("queries", queries), ("predictions", predictions)):
        console.print(f"{name}: {_short(value)}", markup=False, highlight=False, soft_wrap=True)
    _print_adaptation(adaptation)


def _arguments(support: Mapping[str, Any], model: Model) -> dict[str, Any]:
    """The support set of an example request, as the client takes it."""
    if "episodes" in support:
        return {"episodes": support["episodes"]}
    if "inputs" in support:
        return {"x": support["inputs"], "y": support["targets"]}
    names = [column["name"] for column in model.target_columns]
    inputs = [{name: value for name, value in row.items() if name not in names} for row in support["rows"]]
    targets = [[row[name] for name in names] for row in support["rows"]]
    return {"x": inputs, "y": targets if len(names) > 1 else [value for (value,) in targets]}


def _short(value: Any) -> str:
    """A value as JSON, cut if it is long."""
    text = json.dumps(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def _family(model: Model, data: Path | None) -> Family:
    """The family of a served bundle. Raises NoFamily where it names none, and TrainingError where it cannot be made."""
    if model.family is None:
        raise NoFamily(model.name)
    try:
        return make_family(model.family, model.family_options, data)
    except TrainingError as error:
        raise TrainingError(f"`try` has no random task for {model.name}: {error}") from error


def _takes_features(inputs: Mapping[str, Any]) -> bool:
    """Whether the model takes what its family draws. inputs: of `GET /models/{name}`"""
    return inputs["encoder"] in ("numbers", "image") and not inputs.get("scale", False)


def _advice(model: Model, family: Family) -> str:
    """Which command to run for a policy."""
    if isinstance(family, Worlds):
        return f"run `innerloop navigate {model.name}`"
    if model.family == "driving":
        return f"run `innerloop drive {model.name}`"
    data = " --data FOLDER" if reads_data(family) else ""
    return f"run `innerloop evaluate {model.name} --no-write{data}`"


async def _try_regression(
    client: AsyncClient,
    model: Model,
    family: Family,
    shots: int,
    settings: dict[str, Any],
    generator: torch.Generator,
) -> None:
    """Print the errors before and after adapting, and draw the curves of one feature."""
    drawn = draw_tasks(family, 1, (shots, shots), QUERIES, generator, split="test")
    known = drawn.support.mask[0]
    inputs, targets = drawn.support.inputs[0][known], drawn.support.targets[0][known]
    queries, truth = drawn.query.inputs[0], drawn.query.targets[0]
    adaptation = await client.adapt(model.name, inputs, targets, **settings)
    before, after = await client.predict(model.name, queries), await adaptation.predict(queries)
    curves = {"truth": truth, "before": rows_of(before), "after": rows_of(after)}
    for name in ("before", "after"):
        error = number_text((curves[name] - truth).square().mean().item()) + _squared_unit(model)
        console.print(f"mean squared error {name} adapting to {_examples(len(inputs))}: {error}")
    _print_adaptation(adaptation)
    if family.features == 1:
        _draw((inputs[:, 0], targets[:, 0]), queries[:, 0], curves)


async def _try_classification(
    client: AsyncClient,
    model: Model,
    family: Family,
    shots: int,
    settings: dict[str, Any],
    generator: torch.Generator,
) -> None:
    """Print the accuracy on queries of the classes of a task, after adapting."""
    ways = family.targets
    examples = sample(family, 1, shots + CLASS_QUERIES, generator, ways=ways, split="test")
    inputs, labels = examples.inputs[0], [f"class {index}" for index in examples.targets[0].argmax(-1).tolist()]
    count = shots * ways  # the classes take turns
    adaptation = await client.adapt(model.name, inputs[:count], labels[:count], **settings)
    correct = sum(map(str.__eq__, await adaptation.predict(inputs[count:]), labels[count:]))
    task = f"{ways} classes with {_examples(shots)} each"
    console.print(
        f"{correct} of {len(labels) - count} queries are right after adapting to {task}; guessing gets "
        f"{percent(1 / ways)}"
    )
    _print_adaptation(adaptation)


def _squared_unit(model: Model) -> str:
    """What follows a squared error of a model with one target: ` K²` or ` (l/s)²`; empty where it has no unit."""
    units = [column["unit"] for column in model.target_columns]
    if len(units) != 1 or not units[0]:
        return ""
    return f" {units[0]}²" if units[0].isalpha() else f" ({units[0]})²"


def _examples(count: int) -> str:
    return f"{count} example{'' if count == 1 else 's'}"


def _print_adaptation(adaptation: AsyncAdaptation) -> None:
    losses = ", ".join(map(number_text, adaptation.losses))
    console.print(f"support loss by step: {losses}", soft_wrap=True)
    message = f"adaptation {adaptation.id}: {adaptation.message}"
    console.print(message, markup=False, soft_wrap=True)


def _draw(support: tuple[Tensor, Tensor], x: Tensor, curves: dict[str, Tensor]) -> None:
    """Draw the curves over x, and the support examples."""
    import plotext  # a quarter of a second, which no other command needs

    figure = plotext.figure
    figure.plot_size(min(console.width, 100), 25)
    for label, values in curves.items():
        figure.draw(figure.signal(x.tolist(), values[:, 0].tolist()).label(label))
    figure.draw(figure.signal(*(part.tolist() for part in support), marker="O").label("support"))
    figure.show(colorless=not console.is_terminal)


TRIALS = {"regression": _try_regression, "classification": _try_classification}
"""By kind. Policies have commands of their own."""
