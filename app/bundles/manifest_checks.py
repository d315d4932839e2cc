"""Whether the parts of a bundle fit each other: its manifest, its network and its encoder."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import torch

from app.bundles.bundle import Bundle
from app.bundles.file_names import COPY_AGAIN, MANIFEST, WEIGHTS
from app.bundles.manifest import Manifest
from app.encoders.encoder import ArraysError, CodeError, PackageMissing, StateError
from app.encoders.image import ImageEncoder
from app.encoders.meanings import Meanings
from app.errors import BundleError, ExtraMissing, exact, expectation
from app.learn import policies
from app.learn.algorithms import ALGORITHMS
from app.learn.calibration_table import Calibration
from app.learn.losses import KINDS
from app.learn.networks import build, width
from app.learn.support_ood import OODReference


def check_manifest(file: Path, manifest: Manifest) -> None:
    """Raise BundleError if the parts of a manifest do not fit each other. Nothing is imported or built here."""
    schema, bounds = manifest.schema, manifest.inner_loop
    for part, name, table in (("algorithm", manifest.algorithm, ALGORITHMS), ("kind", manifest.kind, KINDS)):
        if name not in table:
            raise BundleError(file, f"{part}: expected one of {', '.join(sorted(table))}, got {name!r}")
    algorithm = ALGORITHMS[manifest.algorithm]
    requirements = {
        f"inner_loop: expected steps from 0 to max_steps ({bounds.max_steps}) and learning_rate above 0 and at most "
        f"max_learning_rate ({exact(bounds.max_learning_rate)}), got {bounds.steps} and "
        f"{exact(bounds.learning_rate)}": (
            0 <= bounds.steps <= bounds.max_steps and 0 < bounds.learning_rate <= bounds.max_learning_rate
        ),
        f"inner_loop: expected steps and max_steps to be 1 for {manifest.algorithm}, got {bounds.steps} and "
        f"{bounds.max_steps}": not algorithm.closed_form or (bounds.steps, bounds.max_steps) == (1, 1),
        f"algorithm: expected one for {manifest.kind}, got {manifest.algorithm}, which is for "
        f"{' and '.join(sorted(algorithm.kinds))}": manifest.kind in algorithm.kinds,
        _lists("ood_reference", manifest.ood_reference, f"features ({schema.features})"): (
            manifest.ood_reference.fits(schema.features)
        ),
        expectation(
            "image_reference", "a range for each statistic of images", "other lists", COPY_AGAIN
        ): manifest.image_reference is None or (bool(schema.image) and manifest.image_reference.fits),
        _lists("calibration", manifest.calibration, f"targets ({schema.targets})"): (
            manifest.calibration.fits(schema.targets)
        ),
        expectation(
            "calibration.distances", "an ood_reference, which has the scale of each feature", "none", COPY_AGAIN
        ): manifest.ood_reference.tasks > 0 or not manifest.calibration.has_distances,
        expectation(
            "calibration.relative", "an algorithm that gives standard deviations", manifest.algorithm, COPY_AGAIN
        ): algorithm.gives_variance or not manifest.calibration.relative,
    }
    for reason in (*schema.errors(manifest.kind), *_meaning_errors(manifest), *_target_errors(manifest)):
        raise BundleError(file, reason)
    for reason, holds in requirements.items():
        if not holds:
            raise BundleError(file, reason)


def _meaning_errors(manifest: Manifest) -> Iterator[str]:
    """What is wrong with the meanings of a bundle (`expectation`)."""
    meanings, schema = manifest.meanings or Meanings(), manifest.schema
    inputs = 0 if manifest.encoder is not None else schema.features
    for name, expected, actual in (
        ("inputs", inputs, len(meanings.inputs)),
        ("actions", 0 if schema.actions is None else schema.targets, len(meanings.actions)),
    ):
        if actual not in (0, expected):
            yield expectation(f"meanings.{name}", f"{expected} or none, as the schema and the encoder have", actual)


def _target_errors(manifest: Manifest) -> Iterator[str]:
    """What is wrong with the description of the targets (`expectation`)."""
    if manifest.targets is None:
        return
    if not KINDS[manifest.kind].numeric:
        yield expectation("targets", f"null, because kind is {manifest.kind}", "an object")
    yield from manifest.targets.errors(manifest.schema.targets)


def _lists(place: str, part: OODReference | Calibration, size: str) -> str:
    """The error where the lists of a part of the manifest do not fit."""
    lengths = (f"{len(value)} in {name}" for name, value in asdict(part).items() if isinstance(value, tuple))
    return expectation(place, f"lists that fit {size} and each other", ", ".join(lengths), COPY_AGAIN)


def expected_network(file: Path, manifest: Manifest) -> tuple[dict[str, torch.Size], int]:
    """The shapes of the meta-parameters, and the length of the network's output.

    Raises BundleError where the network cannot be built or does not fit.
    """
    schema, bounds, algorithm = manifest.schema, manifest.inner_loop, ALGORITHMS[manifest.algorithm]
    with _network_errors_as_bundle_errors(file, manifest.network.name):
        network = build(manifest.network.name, manifest.network.options)
        outputs = width(network, schema.features)
        algorithm.check(network, schema.targets, outputs, manifest.kind)
        if schema.actions is not None:
            policies.check(outputs, schema.targets, schema.actions.is_box)
        initial = algorithm.initial_meta(
            network, dict(network.state_dict()), schema.targets, outputs, bounds.learning_rate, bounds.steps
        )
    return {name: value.shape for name, value in initial.items()}, outputs


@contextmanager
def _network_errors_as_bundle_errors(file: Path, network: str) -> Iterator[None]:
    """Turn whatever a network raises into a BundleError: it may be a user's own code, which may raise anything."""
    try:
        yield
    except ValueError as error:
        raise BundleError(file, " ".join(str(error).split())) from error
    except (Exception, SystemExit) as error:
        message = " ".join(str(error).split())
        actual = f"{network!r}, which fails: {type(error).__name__}: {message}"
        raise BundleError(file, expectation("network", "a network that runs", actual)) from error


def check_encoder(folder: Path, bundle: Bundle) -> None:
    """Raise BundleError unless the encoder that a bundle names can be restored and fits the schema."""
    spec, schema = bundle.manifest.encoder, bundle.manifest.schema
    if spec is None:
        return
    try:
        shape = bundle.encoder.feature_shape
    except PackageMissing as error:
        raise ExtraMissing(folder / MANIFEST, f"encoder: {error}") from error
    except StateError as error:
        file = WEIGHTS if isinstance(error, ArraysError) else MANIFEST
        fix = "" if isinstance(error, CodeError) else f": {COPY_AGAIN}"
        raise BundleError(folder / file, f"encoder: {error}{fix}") from error
    fix = "fit the encoder to the inputs of this network"
    if math.prod(shape) != schema.features:
        expected, actual = f"schema.features ({schema.features}) features", f"{math.prod(shape)} from {spec.name!r}"
        raise BundleError(folder / MANIFEST, expectation("encoder", expected, actual, fix))
    if schema.shape and shape != schema.shape:
        expected, actual = f"features of schema.shape {list(schema.shape)}", f"{list(shape)} from {spec.name!r}"
        raise BundleError(folder / MANIFEST, expectation("encoder", expected, actual, fix))
    if schema.image and spec.name != ImageEncoder.name:
        expected = f"{ImageEncoder.name!r}, because schema.image is set"
        raise BundleError(folder / MANIFEST, expectation("encoder.name", expected, repr(spec.name)))
