"""`innerloop try`: adapt a bundle to a random task, and show the errors and the curve."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import httpx
import torch
import typer
from torch import Tensor

from app.cli.console import Data, Server, console
from app.cli.remote import connect, from_raw, request, to_raw
from app.errors import InnerloopError, NoFamily, TrainingError, expectation
from app.families.family import Family, HasEncoder
from app.families.worlds import Worlds
from app.training.evaluation_tables import percent
from app.training.problem import make_family, reads_data

QUERIES, CLASS_QUERIES = 200, 10
"""Queries of a task that `try` predicts: in all, or of each class."""


def try_bundle(
    bundle: Annotated[str, typer.Argument(help="Name of the bundle, such as sinusoid.")] = "sinusoid",
    shots: Annotated[
        int, typer.Option(min=1, help="Number of support examples; for classification, of each class.")
    ] = 5,
    steps: Annotated[int | None, typer.Option(min=0, help="Number of inner steps; by default the bundle's.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the random task.")] = 0,
    data: Data = None,
    server: Server = None,
) -> None:
    """Adapt a bundle to a random task over HTTP, and print how well it predicts.

    A regression bundle is scored before and after adapting. If its inputs are single numbers, the curve is drawn too.
    """
    asyncio.run(_try(bundle, shots, steps, seed, data, server))


async def _try(bundle: str, shots: int, steps: int | None, seed: int, data: Path | None, server: str | None) -> None:
    async with connect(server) as client:
        model = await request(client, "GET", f"/models/{bundle}")
        family = _family(model, data)
        if isinstance(family, HasEncoder) or not _takes_features(model["inputs"]):
            actual = f"{bundle}, whose encoder is {model['inputs']['encoder']}"
            if model["inputs"].get("scale", False):
                actual += ", which standardises them"
            fix = f"see `example` of GET /models/{bundle} for a request"
            raise InnerloopError(expectation("bundle", "a bundle that takes features", actual, fix))
        settings = {} if steps is None else {"steps": steps}
        generator = torch.Generator().manual_seed(seed)
        if model["kind"] not in TRIALS:
            raise InnerloopError(
                expectation(
                    "bundle", "a regression or classification bundle", f"{bundle}, a policy", _advice(model, family)
                )
            )
        await TRIALS[model["kind"]](client, model, family, shots, settings, generator)


def _family(model: dict[str, Any], data: Path | None) -> Family:
    """The family of a served bundle. Raises NoFamily where it names none, and TrainingError where it cannot be made."""
    if "family" not in model:
        raise NoFamily(model["name"])
    try:
        return make_family(model["family"], model["family_options"], data)
    except TrainingError as error:
        raise TrainingError(f"{model['name']}: {error}") from error


def _takes_features(inputs: dict[str, Any]) -> bool:
    """Whether the model takes what its family draws. inputs: of `GET /models/{name}`"""
    return inputs["encoder"] in ("numbers", "image") and not inputs.get("scale", False)


def _advice(model: dict[str, Any], family: Family) -> str:
    """Which command to run for a policy."""
    if isinstance(family, Worlds):
        return f"run `innerloop navigate {model['name']}`"
    if model["family"] == "driving":
        return f"run `innerloop drive {model['name']}`"
    data = " --data FOLDER" if reads_data(family) else ""
    return f"run `innerloop evaluate {model['name']} --no-write{data}`"


async def _try_regression(
    client: httpx.AsyncClient,
    model: dict[str, Any],
    family: Family,
    shots: int,
    settings: dict[str, int],
    generator: torch.Generator,
) -> None:
    """Print the errors before and after adapting, and draw the curves of one feature."""
    inputs, targets = (part[0] for part in family.sample(1, shots + QUERIES, generator, split="test"))
    support = {"inputs": to_raw(inputs[:shots]), "targets": to_raw(targets[:shots])}
    queries, truth = {"queries": to_raw(inputs[shots:])}, targets[shots:]
    adaptation = await request(client, "POST", "/adapt", {"model": model["name"], "support": support, **settings})
    by = {"before": {"model": model["name"]}, "after": {"adaptation_id": adaptation["adaptation_id"]}}
    curves = {"truth": truth}
    for name, identity in by.items():
        curves[name] = from_raw((await request(client, "POST", "/predict", identity | queries))["predictions"])
        error = (curves[name] - truth).square().mean()
        console.print(f"mean squared error {name} adapting to {_examples(shots)}: {error:.4f}{_squared_unit(model)}")
    _print_adaptation(adaptation)
    if family.features == 1:
        _draw((inputs[:shots, 0], targets[:shots, 0]), inputs[shots:, 0], curves)


async def _try_classification(
    client: httpx.AsyncClient,
    model: dict[str, Any],
    family: Family,
    shots: int,
    settings: dict[str, int],
    generator: torch.Generator,
) -> None:
    """Print the accuracy on queries of the classes of a task, after adapting."""
    ways = family.targets
    examples = family.sample(1, shots + CLASS_QUERIES, generator, ways=ways, split="test")
    inputs, labels = examples.inputs[0], [f"class {index}" for index in examples.targets[0].argmax(-1).tolist()]
    count = shots * ways  # the classes take turns
    body = {"model": model["name"], "support": {"inputs": to_raw(inputs[:count]), "targets": labels[:count]}}
    adaptation = await request(client, "POST", "/adapt", body | settings)
    query = {"adaptation_id": adaptation["adaptation_id"], "queries": to_raw(inputs[count:])}
    answer = await request(client, "POST", "/predict", query)
    correct = sum(map(str.__eq__, answer["predictions"], labels[count:]))
    task = f"{ways} classes with {_examples(shots)} each"
    console.print(
        f"{correct} of {len(labels) - count} queries are right after adapting to {task}; guessing gets "
        f"{percent(1 / ways)}"
    )
    _print_adaptation(adaptation)


def _squared_unit(model: dict[str, Any]) -> str:
    """What follows a squared error of a model with one target: ` K²` or ` (l/s)²`; empty where it has no unit."""
    units = [column["unit"] for column in model.get("target_columns", [])]
    if len(units) != 1 or not units[0]:
        return ""
    return f" {units[0]}²" if units[0].isalpha() else f" ({units[0]})²"


def _examples(count: int) -> str:
    return f"{count} example{'' if count == 1 else 's'}"


def _print_adaptation(adaptation: dict[str, Any]) -> None:
    losses = ", ".join(f"{loss:.4f}" for loss in from_raw(adaptation["losses"]).tolist())
    console.print(f"support loss by step: {losses}", soft_wrap=True)
    message = f"adaptation {adaptation['adaptation_id']}: {adaptation['message']}"
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
