"""`innerloop compare`. The command `innerloop train` is in `app.train`, as it also runs without the server."""

from typing import Annotated

import typer

from app.cli.console import Data, console, show
from app.device import choose_device
from app.training.comparison import comparison_protocol, comparison_text, train_and_score
from app.training.overrides import Overrides, choose_recipe
from app.training.recipe_variants import at_budget, fitting_algorithms
from app.training.recipes.recipe import MAX_OUTER_STEPS
from app.training.training_run import Run


def compare(
    family: Annotated[str, typer.Argument(help="Family to train each algorithm on, such as sinusoid.")],
    algorithms: Annotated[
        str, typer.Option(help="Names of algorithms, separated by commas, or all for every algorithm that fits.")
    ] = "all",
    outer_steps: Annotated[
        int | None,
        typer.Option(
            min=1, max=MAX_OUTER_STEPS, help="Number of outer steps of each algorithm; by default the recipe's."
        ),
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="Option of the family, such as features=3; repeat it for several.")
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", help="Field of the recipe, such as inner_rate=0.1; repeat it for several."),
    ] = None,
    device: Annotated[
        str, typer.Option(help="Device that computes: cpu, cuda, or auto for the GPU if there is one.")
    ] = "auto",
    eager: Annotated[
        bool, typer.Option("--eager", help="Do not compile: training starts at once, but is slower.")
    ] = False,
    data: Data = None,
) -> None:
    """Train several algorithms for the same number of outer steps, and score them on the same held-out tasks."""
    base = choose_recipe(Overrides(family, None, None, outer_steps, None, option or [], setting or []), "--algorithms")
    names = fitting_algorithms(base) if algorithms == "all" else algorithms.split(",")
    contenders = []
    for name in names:
        run = Run(at_budget(base, name, "--algorithms"), choose_device(device), compiled=not eager, data=data)
        contenders.append(train_and_score(run))
        console.print(f"{name}: mean score {contenders[-1].mean:.4g}, trained in {contenders[-1].seconds:.0f} s")
    show(f"{comparison_protocol(base)}.\n\n{comparison_text(contenders)}")
