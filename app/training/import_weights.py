"""Bundles of weights that were trained elsewhere: a state dict becomes what the server loads."""

import platform
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from safetensors import SafetensorError, safe_open

import app
from app.bundles import Bounds, Bundle, FamilySpec, Manifest, Schema, load, write
from app.errors import BundleError, TrainingError
from app.learn.algorithms import ALGORITHMS
from app.learn.networks import NetworkSpec, build, width
from app.learn.update_rules import Params
from app.training.calibration import with_calibration
from app.training.ood import with_ood_reference
from app.training.problem import family_of


def adopt(
    folder: Path,
    weights: Path,
    network: NetworkSpec,
    algorithm: str,
    kind: str,
    schema: Schema,
    inner_loop: Bounds,
    initial_loss: float,
    family: FamilySpec | None = None,
    data: Path | None = None,
) -> Bundle:
    """Write the bundle of a state dict into `folder` and return it; nothing is written where it cannot be served.

    weights: a safetensors file of a state dict of the network. What the algorithm learns besides may be in it under
        its names in a bundle, and begins as training would begin it where it is not.
    initial_loss: the usual loss before any step, the scale of the problem
    family: where tasks of the problem can be drawn; the bundle is calibrated with them
    data: the folder of the family's data set, where it reads one

    Raises TrainingError with the reason where network, weights and schema do not fit each other, or where an answer
    would depend on the other queries beside it.
    """
    if algorithm not in ALGORITHMS:
        raise TrainingError(f"there is no algorithm {algorithm!r}; known here: {', '.join(sorted(ALGORITHMS))}")
    closed_form = ALGORITHMS[algorithm].closed_form
    manifest = Manifest(
        family=family,
        network=network,
        algorithm=algorithm,
        kind=kind,
        schema=schema,
        inner_loop=replace(inner_loop, steps=1, max_steps=1) if closed_form else inner_loop,
        initial_loss=initial_loss,
        weights_sha256="",
        evaluation={},
        training={
            "weights": weights.name,
            "versions": {"innerloop": app.__version__, "torch": torch.__version__, "python": platform.python_version()},
        },
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    # tried where load finds no bundle, so that what is refused replaces nothing
    with TemporaryDirectory(prefix=".", dir=folder.parent) as new:
        try:
            write(Path(new) / folder.name, manifest, completed(manifest, read(weights)))
            bundle = load(Path(new) / folder.name)
        except BundleError as error:
            raise TrainingError(f"{weights} does not make a bundle: {error.reason}") from error
    if not independent(bundle):
        raise TrainingError(
            f"what {network.name} gives for an input depends on the others beside it, or on chance: the server answers "
            "many queries at once, so take a normalisation over each example alone (nn.GroupNorm, nn.LayerNorm) "
            "instead of one over the batch, and no dropout"
        )
    if family is not None:
        made = family_of(bundle, data)
        bundle = with_calibration(with_ood_reference(bundle, made), made)
    write(folder, bundle.manifest, bundle.meta)
    (folder / "CARD.md").write_text(card(folder.name, bundle.manifest))
    return bundle


def read(weights: Path) -> Params:
    """The tensors of a safetensors file, as float32. Nothing is unpickled."""
    try:
        with safe_open(weights, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except FileNotFoundError:
        raise TrainingError(f"{weights}: the file is missing") from None
    except (SafetensorError, OSError) as error:
        raise TrainingError(
            f"{weights}: not safetensors: {error}; safetensors.torch.save_file(network.state_dict(), FILE) makes one"
        ) from error
    for name, value in tensors.items():
        if not value.is_floating_point():
            raise TrainingError(f"{weights}: {name} is {str(value.dtype)[6:]}; a bundle holds parameters, float32 each")
    return {name: value.float() for name, value in tensors.items()}


def completed(manifest: Manifest, params: Params) -> Params:
    """The meta-parameters: those given, and fresh ones of what the algorithm learns besides and the file has not."""
    algorithm, schema, bounds = ALGORITHMS[manifest.algorithm], manifest.schema, manifest.inner_loop
    try:
        form = build(manifest.network.name, manifest.network.options)
        outputs = width(form, schema.features)
        algorithm.check(form, schema.targets, outputs, manifest.kind)
    except (TypeError, ValueError) as error:
        raise TrainingError(f"the network {manifest.network.name} does not fit: {error}") from error
    own = form.state_dict()
    if missing := sorted(own.keys() - params.keys()):
        raise TrainingError(f"the weights lack {', '.join(missing)}; they have {', '.join(sorted(params))}")
    given = {name: params[name] for name in own}
    return algorithm.initial_meta(form, given, schema.targets, outputs, bounds.learning_rate, bounds.steps) | params


@torch.no_grad()
def independent(bundle: Bundle) -> bool:
    """Whether the network gives the same for an input alone as beside others, and again."""
    network = build(bundle.manifest.network.name, bundle.manifest.network.options)
    own = {name: bundle.meta[name] for name in network.state_dict()}
    inputs = torch.randn(4, bundle.manifest.schema.features, generator=torch.Generator().manual_seed(0))
    together = torch.func.functional_call(network, own, (inputs,))
    try:
        alone = torch.cat([torch.func.functional_call(network, own, (one,)) for one in inputs[:, None]])
    except ValueError:  # batch normalisation refuses a single example
        return False
    return torch.allclose(together, alone, rtol=1e-4, atol=1e-4)


def card(name: str, manifest: Manifest) -> str:
    """CARD.md of weights from elsewhere."""
    bounds, schema = manifest.inner_loop, manifest.schema
    return f"""# {name}

The network `{manifest.network.name}` with weights that were trained elsewhere (`{manifest.training["weights"]}`),
adapted by `{manifest.algorithm}`. An input has {schema.features} feature(s), a target {schema.targets} number(s).

| | default | up to |
|---|---|---|
| steps | {bounds.steps} | {bounds.max_steps} |
| learning_rate | {bounds.learning_rate:g} | {bounds.max_learning_rate:g} |
"""
