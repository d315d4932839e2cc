"""`innerloop models`, `innerloop bundle` and `innerloop calibrate`: the bundles in a folder."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from app.bundles.file_names import MANIFEST
from app.bundles.folder import check_name, load_all, load_named, write
from app.bundles.manifest import FamilySpec
from app.cli.bundle_options import actions_of, check_initial_loss, inner_bounds, schema_of, targets_of, weighing_of
from app.cli.completion import complete_bundle
from app.cli.console import Data, ModelsDir, console
from app.cli.option_bounds import MAX_NUMBERS, MAX_STEPS
from app.errors import InnerloopError, expectation, one_of
from app.learn.losses import KINDS
from app.learn.networks import NetworkSpec
from app.output_folder import check_folder
from app.training.encoder_file import read_encoder
from app.training.family_and_network import family_of
from app.training.import_weights import import_weights
from app.training.overrides import parse_option
from app.training.publish import with_calibration, with_ood_reference


def models(models_dir: ModelsDir = Path("models")) -> None:
    """List the bundles in the models folder, and those that cannot be loaded, each with the reason.

    `in` and `out` are how many numbers an input and a target have; for classifiers, `out` is the number of classes.
    `steps` is the default number of inner steps, and `max` the largest of a request.
    `rate` is the default learning rate: none for closed forms, learned if training learned the rates.
    """
    bundles, refused = load_all(models_dir)
    columns = "bundle", "algorithm", "family", "in", "out", "steps", "max", "rate", "digest"
    table = Table(*columns, box=None, pad_edge=False, collapse_padding=True)
    for column in table.columns:
        column.overflow = "fold"
    for name, bundle in bundles.items():
        manifest, bounds, algorithm = bundle.manifest, bundle.manifest.inner_loop, bundle.algorithm
        any_classes = manifest.kind == "classification" and algorithm.embeds
        table.add_row(
            name,
            manifest.algorithm,
            manifest.family.name if manifest.family else "-",
            f"{manifest.schema.features}",
            "any" if any_classes else f"{manifest.schema.targets}",
            f"{bounds.steps}",
            f"{bounds.max_steps}",
            f"{bounds.learning_rate:g}" if algorithm.takes_rate else "none" if algorithm.closed_form else "learned",
            manifest.digest[:8],
        )
    console.print(table)
    for name, error in refused.items():
        console.print(f"{name} is refused: {error}", style="red", markup=False, highlight=False, soft_wrap=True)


def calibrate(
    bundle: Annotated[
        str, typer.Argument(help="Name of the bundle, such as sinusoid.", autocompletion=complete_bundle)
    ],
    data: Data = None,
    models_dir: ModelsDir = Path("models"),
) -> None:
    """Measure the calibration of a bundle, and what inputs were usual in training, on tasks of its family.

    Store the results in the bundle. Training does the same, so only older and imported bundles need this.
    The weights and the digest do not change.
    """
    folder = models_dir / bundle
    loaded = load_named(models_dir, bundle)
    family = family_of(loaded, data)
    manifest = with_calibration(with_ood_reference(loaded, family), family).manifest
    write(folder, manifest, loaded.meta, loaded.encoder_arrays)
    images, each_size = manifest.image_reference, " of each support size" if manifest.kind != "decision" else ""
    for name, tasks, kind_of_task in (
        ("calibration", manifest.calibration.tasks, each_size),
        ("OOD reference", manifest.ood_reference.tasks, each_size),
        ("image reference", images.tasks if images else 0, " of training and as many of validation"),
    ):
        if tasks:
            console.print(f"{name}: measured on {tasks:,} tasks{kind_of_task}", highlight=False)
    console.print(f"wrote {folder / MANIFEST}", markup=False, soft_wrap=True)


def bundle(
    name: Annotated[str, typer.Argument(help="Name of the new bundle.")],
    network: Annotated[str, typer.Option(help="MODULE:CLASS of a torch.nn.Module, or a built-in network such as mlp.")],
    weights: Annotated[Path, typer.Option(help="Safetensors file with the network's state dict.")],
    rate: Annotated[float, typer.Option(help="Inner learning rate, above 0.")] = 0.01,
    max_rate: Annotated[
        float | None, typer.Option(help="Largest learning rate of a request; by default the value of --rate.")
    ] = None,
    steps: Annotated[int, typer.Option(min=0, max=MAX_STEPS, help="Number of inner steps.")] = 5,
    max_steps: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=MAX_STEPS,
            help="Largest number of inner steps of a request; by default 100, or the value of --steps if larger.",
        ),
    ] = None,
    algorithm: Annotated[str, typer.Option(help="Algorithm that adapts the network.")] = "maml",
    kind: Annotated[
        str, typer.Option(help="What the network predicts: regression, classification or decision.")
    ] = "regression",
    features: Annotated[
        int | None,
        typer.Option(
            min=1, max=MAX_NUMBERS, help="How many numbers an input has; by default 1, or as many as the encoder makes."
        ),
    ] = None,
    targets: Annotated[
        int,
        typer.Option(
            min=1,
            max=MAX_NUMBERS,
            help="How many numbers a target or an action has. For classification, how many classes a task has; for "
            "discrete actions, how many actions there are.",
        ),
    ] = 1,
    low: Annotated[
        list[float] | None,
        typer.Option(
            help="Lower bound of one number of an action; repeat it for each number. Omit it for discrete actions."
        ),
    ] = None,
    high: Annotated[
        list[float] | None,
        typer.Option(
            help="Upper bound of one number of an action; repeat it for each number, as in --high 1 --high 0.5."
        ),
    ] = None,
    discount: Annotated[
        float | None, typer.Option(min=0, max=1, help="For decisions: discount factor of the rewards; by default 1.")
    ] = None,
    smoothing: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="For decisions: lambda of generalized advantage estimation; by default 1."),
    ] = None,
    shape: Annotated[
        list[int] | None,
        typer.Option(
            max=MAX_NUMBERS,
            help="Length of one axis of an input; repeat it for each axis, as in --shape 28 --shape 28. Omit it for "
            "flat inputs.",
        ),
    ] = None,
    image: Annotated[
        str,
        typer.Option(
            help="How a PNG becomes an input: ink, for dark drawings on light paper. Omit it if inputs are numbers."
        ),
    ] = "",
    encoder: Annotated[
        Path | None,
        typer.Option(
            help="JSON file with the encoder that turns posted inputs, such as rows of a table, into the numbers that "
            "the network sees. Omit it if inputs are numbers or drawings."
        ),
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="Option of the network, such as hidden=64; repeat it for several.")
    ] = None,
    family: Annotated[
        str | None, typer.Option(help="Family whose tasks the bundle is evaluated and calibrated on, if there is one.")
    ] = None,
    family_option: Annotated[
        list[str] | None, typer.Option(help="Option of the family, such as features=3; repeat it for several.")
    ] = None,
    target_name: Annotated[
        list[str] | None, typer.Option(help="Name of one number of a target, such as temperature; repeat it for each.")
    ] = None,
    target_unit: Annotated[
        list[str] | None, typer.Option(help="Unit of one number of a target, such as K; repeat it for each.")
    ] = None,
    target_mean: Annotated[
        list[float] | None,
        typer.Option(
            help="For a network that predicts standardised targets, (target - mean) / std: the mean of one number of "
            "a target; repeat it for each."
        ),
    ] = None,
    target_std: Annotated[
        list[float] | None,
        typer.Option(help="The standard deviation that goes with --target-mean; repeat it for each."),
    ] = None,
    initial_loss: Annotated[
        float,
        typer.Option(
            help="Typical support loss before the first step, in the units of the targets. A loss over 100 times this, "
            "and over 100 times the first loss, counts as diverged."
        ),
    ] = 1.0,
    force: Annotated[bool, typer.Option("--force", help="Replace the bundle of that name, if there is one.")] = False,
    models_dir: ModelsDir = Path("models"),
) -> None:
    """Make a bundle from weights that you trained elsewhere, such as with learn2learn, higher or plain PyTorch."""
    check_name(name)
    if (models_dir / name).exists() and not force:
        fix = "choose another name, or replace it with --force"
        raise InnerloopError(f"name: the bundle {name!r} exists in {models_dir}: {fix}")
    if kind not in KINDS:
        raise InnerloopError(expectation("--kind", one_of(list(KINDS)), repr(kind)))
    check_folder("--models-dir", models_dir)
    bounds = inner_bounds(steps, max_steps, rate, max_rate)
    check_initial_loss(initial_loss)
    actions = actions_of(kind, targets, low or (), high or ())
    weighing = weighing_of(kind, discount, smoothing)
    chosen = None if encoder is None else read_encoder(encoder)
    imported = import_weights(
        models_dir / name,
        weights,
        NetworkSpec(network, dict(parse_option(text, "--option", "hidden=64") for text in option or [])),
        algorithm,
        kind,
        schema_of(features, targets, shape or (), image, chosen, encoder, actions, weighing),
        bounds,
        initial_loss,
        None
        if family is None
        else FamilySpec(family, dict(parse_option(text, "--family-option") for text in family_option or [])),
        encoder=chosen,
        targets=targets_of(kind, targets, target_name or (), target_unit or (), target_mean or (), target_std or ()),
    )
    console.print(
        f"wrote the bundle {models_dir / name} with the digest {imported.manifest.digest}", markup=False, soft_wrap=True
    )
