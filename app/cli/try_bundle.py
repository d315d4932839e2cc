"""The command `innerloop try`."""

import asyncio
from typing import Annotated, Any

import plotext
import torch
import typer

from app.cli.closed_loop import ask
from app.cli.connecting import connect
from app.cli.output import Server, console
from app.errors import InnerloopError
from app.families.registry import make


def try_bundle(
    bundle: Annotated[str, typer.Argument(help="Name of the bundle.")] = "sinusoid",
    shots: Annotated[int, typer.Option(min=1, help="Support examples.")] = 5,
    steps: Annotated[int | None, typer.Option(min=0, help="Inner steps; the bundle's default if none.")] = None,
    seed: Annotated[int, typer.Option(help="Of the task.")] = 0,
    server: Server = None,
) -> None:
    """Adapt to a random task over HTTP, predict, and draw the curve before and after."""
    asyncio.run(_try(bundle, shots, steps, seed, server))


async def _try(bundle: str, shots: int, steps: int | None, seed: int, server: str | None) -> None:
    async with connect(server) as client:
        model = await ask(client, "GET", f"/models/{bundle}")
        if "actions" in model:
            raise InnerloopError(f"{bundle} decides, and there is no curve to draw: the guide says how to ask it")
        family = make(model["family"], model["family_options"])
        queries = 200
        drawn = family.sample(1, shots + queries, torch.Generator().manual_seed(seed))
        inputs, targets = drawn.inputs[0].tolist(), drawn.targets[0].tolist()
        support = {"inputs": inputs[:shots], "targets": targets[:shots]}
        asked = {"queries": inputs[shots:]}
        body: dict[str, Any] = {"model": bundle, "support": support}
        adaptation = await ask(client, "POST", "/adapt", body if steps is None else body | {"steps": steps})
        before = await ask(client, "POST", "/predict", asked | {"model": bundle})
        after = await ask(client, "POST", "/predict", asked | {"adaptation_id": adaptation["adaptation_id"]})
    truth = torch.tensor(targets[shots:])
    for name, answer in (("before", before), ("after", after)):
        error = (torch.tensor(answer["predictions"]) - truth).square().mean()
        console.print(f"mean squared error {name} adapting to {shots} examples: {error:.4f}")
    console.print(f"support loss by step: {', '.join(f'{loss:.4f}' for loss in adaptation['losses'])}")
    console.print(f"adaptation {adaptation['adaptation_id']}: {adaptation['message']}")
    if family.features == 1:
        _draw(support, asked["queries"], truth.tolist(), before["predictions"], after["predictions"])


def _draw(support: Any, queries: Any, truth: Any, before: Any, after: Any) -> None:
    x = [row[0] for row in queries]
    figure = plotext.figure
    figure.plot_size(min(console.width, 100), 25)
    for label, values in (("truth", truth), ("before", before), ("after", after)):
        figure.draw(figure.signal(x, [row[0] for row in values]).label(label))
    shots = [row[0] for row in support["inputs"]], [row[0] for row in support["targets"]]
    figure.draw(figure.signal(*shots, marker="O").label("support"))
    figure.show(colorless=not console.is_terminal)
