"""`innerloop models`, `innerloop bundle` and `innerloop calibrate`: the bundles in a folder."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from app.bundles import Bounds, FamilySpec, Schema, load, load_all, write
from app.cli.console import Data, ModelsDir, console, show
from app.errors import InnerloopError
from app.learn.decision_weights import Weighing
from app.learn.losses import KINDS
from app.learn.networks import NetworkSpec
from app.learn.policies import Actions
from app.train import parse_option
from app.training.card import calibration_text, ood_text
from app.training.import_weights import import_weights
from app.training.problem import family_of
from app.training.publish import with_calibration, with_ood_reference


def models(models_dir: ModelsDir = Path("models")) -> None:
    """List the bundles, and those that are refused with the reason."""
    bundles, refused = load_all(models_dir)
    table = Table("bundle", "algorithm", "family", "in → out", "steps", "rate", "digest", box=None, pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"
    for name, bundle in bundles.items():
        manifest, bounds = bundle.manifest, bundle.manifest.inner_loop
        table.add_row(
            name,
            manifest.algorithm,
            manifest.family.name if manifest.family else "-",
            f"{manifest.schema.features} → {manifest.schema.targets}",
            f"{bounds.steps} of {bounds.max_steps}",
            f"{bounds.learning_rate:g}",
            manifest.digest[:8],
        )
    console.print(table)
    for name, error in refused.items():
        console.print(f"{name} is refused: {error}", style="red", markup=False, highlight=False, soft_wrap=True)


def calibrate(
    bundle: Annotated[str, typer.Argument(help="Name of the bundle.")],
    data: Data = None,
    models_dir: ModelsDir = Path("models"),
) -> None:
    """Measure the calibration and the OOD reference of a bundle again, and store both in it.

    Training does the same. The weights and the digest do not change.
    """
    loaded = load(models_dir / bundle)
    family = family_of(loaded, data)
    manifest = with_calibration(with_ood_reference(loaded, family), family).manifest
    write(models_dir / bundle, manifest, loaded.meta)
    show(f"{calibration_text(manifest.calibration)}\n\n{ood_text(manifest.ood_reference)}")


def bundle(
    name: Annotated[str, typer.Argument(help="Name of the bundle.")],
    network: Annotated[str, typer.Option(help="MODULE:NAME of a torch.nn.Module, or a network of ours such as mlp.")],
    weights: Annotated[Path, typer.Option(help="Safetensors file with its state dict.")],
    rate: Annotated[float, typer.Option(help="Inner learning rate.")] = 0.01,
    max_rate: Annotated[
        float | None, typer.Option(help="Largest rate that a request may ask for; --rate by default.")
    ] = None,
    steps: Annotated[int, typer.Option(min=0, help="Inner steps.")] = 5,
    max_steps: Annotated[int, typer.Option(min=0, help="Most steps that a request may ask for.")] = 100,
    algorithm: Annotated[str, typer.Option(help="Algorithm that adapts it.")] = "maml",
    kind: Annotated[str, typer.Option(help="What it predicts: regression, classification or decision.")] = "regression",
    features: Annotated[int, typer.Option(min=1, help="Numbers in an input.")] = 1,
    targets: Annotated[
        int, typer.Option(min=1, help="Numbers in a target or an action; the number of discrete actions.")
    ] = 1,
    low: Annotated[
        list[float] | None, typer.Option(help="Lower bound of each number of an action. Discrete actions have none.")
    ] = None,
    high: Annotated[
        list[float] | None, typer.Option(help="Upper bound of each number of an action: --high 1 --high 0.5.")
    ] = None,
    discount: Annotated[float, typer.Option(min=0, max=1, help="Discount factor of decisions.")] = 1.0,
    smoothing: Annotated[float, typer.Option(min=0, max=1, help="Lambda of the advantages of decisions.")] = 1.0,
    shape: Annotated[
        list[int] | None, typer.Option(help="Shape of an input that is not a row: --shape 28 --shape 28.")
    ] = None,
    image: Annotated[str, typer.Option(help="How an image becomes an input, such as ink.")] = "",
    option: Annotated[list[str] | None, typer.Option(help="Option of the network, such as hidden=64.")] = None,
    family: Annotated[str | None, typer.Option(help="Family whose tasks it can be evaluated on.")] = None,
    family_option: Annotated[list[str] | None, typer.Option(help="Option of the family.")] = None,
    initial_loss: Annotated[float, typer.Option(help="Usual loss before any step.")] = 1.0,
    models_dir: ModelsDir = Path("models"),
) -> None:
    """Make a bundle from weights that were trained elsewhere: by learn2learn, higher or plain PyTorch."""
    if kind not in KINDS:
        raise InnerloopError(f"there is no kind {kind!r}: --kind is one of {', '.join(KINDS)}")
    actions = Actions(tuple(low or ()), tuple(high or ())) if KINDS[kind].weighted or low or high else None
    weighing = None if actions is None else Weighing(discount, smoothing)
    imported = import_weights(
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
    console.print(f"wrote {models_dir / name}, digest {imported.manifest.digest}", markup=False, soft_wrap=True)
