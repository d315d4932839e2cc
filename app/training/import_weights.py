"""Bundles of weights that were trained elsewhere: from a state dict to a bundle that the server loads."""

import platform
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

import app
from app.bundles.bundle import Bundle
from app.bundles.folder import load, write
from app.bundles.manifest import Bounds, FamilySpec, Manifest
from app.bundles.schema import Schema
from app.encoders.encoder import Encoder
from app.encoders.spec import EncoderSpec
from app.errors import BundleError, TrainingError, cause_text, expectation, one_of
from app.families.family import Family
from app.families.registry import families
from app.learn.algorithms import ALGORITHMS
from app.learn.losses import KINDS
from app.learn.networks import NetworkSpec, build
from app.learn.target_scale import TargetSpec
from app.learn.update_rules import Params
from app.plugins import option_names, user_code
from app.training.card import targets_text
from app.training.family_and_network import find_algorithm, fit_network, make_family, size_text
from app.training.publish import with_calibration, with_ood_reference

OPTIONS = {"network": "--network", "options": "--option", "features": "--features"}
"""By `NetworkError.part`, the option of `innerloop bundle` to change."""


def import_weights(
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
    encoder: Encoder | None = None,
    targets: TargetSpec | None = None,
) -> Bundle:
    """Write the bundle of a state dict into `folder` and return it. Writes nothing where the bundle cannot be served.

    weights: a safetensors file with a state dict of the network. It may also hold what the algorithm learns besides
        the network, under the names that a bundle has; what is missing of that starts as training would start it.
    initial_loss: the usual loss before any step, the scale of the problem
    family: a family that tasks of the problem can be drawn from; the bundle is calibrated on them
    data: the folder of the family's data set, if the family reads one
    encoder: what turns posted inputs into features; None for the default of the schema
    targets: what the numbers of a target mean, and what the network's targets were standardised by

    Raises TrainingError with the reason where network, weights and schema do not fit each other, or where a prediction
    would depend on the other queries in its batch.
    """
    if kind not in KINDS:
        raise TrainingError(expectation("--kind", one_of(sorted(KINDS)), repr(kind)))
    closed_form = find_algorithm(algorithm, kind).closed_form
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
        encoder=None if encoder is None else EncoderSpec.of(encoder),
        targets=targets,
    )
    bundle = _verified(folder, weights, manifest, {} if encoder is None else encoder.arrays())
    if family is not None:
        problem = _family_for(bundle.manifest, family, data)
        bundle = with_calibration(with_ood_reference(bundle, problem), problem)
    write(folder, bundle.manifest, bundle.meta, bundle.encoder_arrays)
    (folder / "CARD.md").write_text(imported_card(folder.name, bundle.manifest))
    return bundle


def _family_for(manifest: Manifest, spec: FamilySpec, data: Path | None) -> Family:
    """The family that was named. Raises TrainingError where it does not fit what the network predicts."""
    family = make_family(spec.name, spec.options, data, place="--family", options_place="--family-option")
    schema = manifest.schema
    if family.kind != manifest.kind:
        fix = f"choose another family, or set --kind {family.kind}"
        raise TrainingError(
            expectation("--family", f"a family for {manifest.kind}", f"{spec.name}, which is for {family.kind}", fix)
        )
    if (family.features, family.targets) != (schema.features, schema.targets):
        known = option_names(families()[spec.name]()) or ()
        wanted = {"features": schema.features, "targets": schema.targets}
        options = " ".join(f"--family-option {name}={size}" for name, size in wanted.items() if name in known)
        fix = f"set {options}" if options else "choose another family"
        raise TrainingError(
            f"--family: the family {spec.name!r} has {size_text(family.features, family.targets)}, but the network has "
            f"{size_text(schema.features, schema.targets)}: {fix}"
        )
    return family


def _verified(folder: Path, weights: Path, manifest: Manifest, encoder_arrays: Mapping[str, np.ndarray]) -> Bundle:
    """The bundle of a manifest and a file of weights, as the server would load it. Leaves `folder` as it is."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    # written to a temporary folder first, so that a refused bundle replaces nothing
    with TemporaryDirectory(prefix=".", dir=folder.parent) as temporary:
        try:
            meta = complete_meta(manifest, read_weights(weights))
            write(Path(temporary) / folder.name, manifest, meta, encoder_arrays)
            bundle = load(Path(temporary) / folder.name)
        except BundleError as error:
            raise TrainingError(error.reason) from error
    with user_code(f"the network {manifest.network.name!r}"):
        independent = predicts_independently(bundle)
    if not independent:
        raise TrainingError(
            expectation(
                "--network",
                "an output that depends only on its own input",
                "one that changes with the batch or by chance",
                "replace batch normalisation with nn.GroupNorm or nn.LayerNorm, and remove dropout",
            )
        )
    return bundle


def read_weights(weights: Path) -> Params:
    """The tensors of a safetensors file, as float32. Nothing is unpickled."""
    try:
        with safe_open(weights, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except FileNotFoundError:
        raise TrainingError(
            expectation("--weights", "a safetensors file", f"{weights}, which does not exist")
        ) from None
    except (SafetensorError, OSError) as error:
        raise TrainingError(
            expectation(
                "--weights",
                "a safetensors file",
                f"{weights}, which cannot be read: {cause_text(error)}",
                "write it with safetensors.torch.save_file(network.state_dict(), FILE)",
            )
        ) from error
    for name, value in tensors.items():
        if not value.is_floating_point():
            raise TrainingError(
                expectation(f"--weights: {name}", "floating-point numbers", str(value.dtype)[6:], "convert them")
            )
    return {name: value.float() for name, value in tensors.items()}


def complete_meta(manifest: Manifest, params: Params) -> Params:
    """The meta-parameters: those of the file, and fresh ones for what else the algorithm learns."""
    algorithm, schema, bounds = ALGORITHMS[manifest.algorithm], manifest.schema, manifest.inner_loop
    try:
        form, outputs = fit_network(manifest.network, algorithm, schema, manifest.kind, OPTIONS)
    except TrainingError as error:
        rows = ". Set it to the length of the rows that the network takes"
        fix = rows if str(error).startswith(OPTIONS["features"]) else ""
        raise TrainingError(f"{error}{fix}") from error
    names = form.state_dict().keys()
    if missing := sorted(names - params.keys()):
        raise TrainingError(
            expectation(
                "--weights",
                f"the parameters {', '.join(sorted(names))}",
                f"{', '.join(sorted(params))}, without {', '.join(missing)}",
                "save the state dict of this network",
            )
        )
    own = {name: params[name] for name in names}
    return algorithm.initial_meta(form, own, schema.targets, outputs, bounds.learning_rate, bounds.steps) | params


@torch.no_grad()
def predicts_independently(bundle: Bundle) -> bool:
    """Whether the network gives the same output for an input alone as in a batch with others."""
    network = build(bundle.manifest.network.name, bundle.manifest.network.options)
    own = {name: bundle.meta[name] for name in network.state_dict()}
    inputs = torch.randn(4, bundle.manifest.schema.features, generator=torch.Generator().manual_seed(0))
    together = torch.func.functional_call(network, own, (inputs,))
    try:
        alone = torch.cat([torch.func.functional_call(network, own, (one,)) for one in inputs[:, None]])
    except ValueError:  # batch normalisation refuses a single example
        return False
    return torch.allclose(together, alone, rtol=1e-4, atol=1e-4)


def imported_card(name: str, manifest: Manifest) -> str:
    """The card of weights that were trained elsewhere."""
    bounds, schema = manifest.inner_loop, manifest.schema
    encoded = "" if manifest.encoder is None else f"Inputs are encoded by `{manifest.encoder.name}`. "
    return f"""# {name}

The network `{manifest.network.name}` with weights that were trained elsewhere (`{manifest.training["weights"]}`),
adapted by `{manifest.algorithm}`. {encoded}Features: {schema.features}.
Targets: {schema.targets}.{targets_text(manifest)}

| | default | at most |
|---|---|---|
| steps | {bounds.steps} | {bounds.max_steps} |
| learning_rate | {bounds.learning_rate:g} | {bounds.max_learning_rate:g} |
"""
