"""Bundles: an initialization on disk with everything that serving it needs.

A bundle is a folder `models/<name>/`. The server reads two of its files, JSON and safetensors, and never a pickle:

    weights.safetensors   the meta-parameters, float32, named as in the network's `state_dict`, and the arrays of the
                          encoder under names that start with ENCODER_PREFIX
    bundle.json           everything else, as the dataclasses below, with the sha256 of the weights

`load` verifies both files and raises BundleError with the file and the reason. `CARD.md` and its plots are for people.
"""

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch.func import grad_and_value

from app.atomic_write import write_atomically
from app.encoders.encoder import ArraysError, CodeError, Encoder, StateError
from app.encoders.image import ImageEncoder
from app.encoders.meaning import Meanings
from app.encoders.numbers import NumbersEncoder
from app.encoders.registry import restore
from app.encoders.spec import EncoderSpec
from app.errors import BundleError, InnerloopError, expectation, one_of
from app.learn import policies
from app.learn.algorithms import ALGORITHMS, Algorithm
from app.learn.calibration import Calibration
from app.learn.decision_weights import Weighing
from app.learn.inner import InnerLoop, State
from app.learn.losses import KINDS, Loss
from app.learn.networks import NetworkSpec, build, width
from app.learn.policies import Actions
from app.learn.support_ood import OODReference
from app.learn.targets import TargetScale, TargetSpec, with_target_scale
from app.learn.update_rules import Params

FORMAT = 2
"""The format of the bundle.json that `write` writes. Format 1 is read too; it has other names for the same fields."""
MANIFEST = "bundle.json"
WEIGHTS = "weights.safetensors"
ENCODER_PREFIX = "encoder/"
"""How the names of the encoder's arrays begin in weights.safetensors."""
NO_ARRAYS: Mapping[str, np.ndarray] = MappingProxyType({})
COPY_AGAIN = "copy the whole bundle again"
OPTIONAL = {"optional": True}
"""The metadata of a field that bundle.json leaves out where it is None."""


@dataclass(frozen=True)
class FamilySpec:
    """The family of tasks that a bundle was trained on, by name, with its options (plain JSON values).

    Serving never loads the family, so it need not be installed; training and evaluation do
    (`app.training.problem.family_of`).
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


IMAGES = ("ink",)
"""The ways in which an image can become an input (`Schema.image`)."""


@dataclass(frozen=True)
class Schema:
    """The form of an example.

    features: the length of an input
    targets: the length of a target. For classification the number of classes of a training task; unless the network
        gives embeddings, it tells at most so many classes apart. For decisions the length of an action
    shape: the shape of an input as people write it; empty if an input is a row of numbers
    image: how an image becomes an input; empty if it cannot. `ink`: shrunk to `shape` (rows, columns) by area average,
        0 for white paper or transparent pixels, 1 for black ink
    actions: for decisions, the form of an action
    weighing: for decisions, how rewards become the weights of decisions
    """

    features: int
    targets: int
    shape: tuple[int, ...] = ()
    image: str = ""
    actions: Actions | None = None
    weighing: Weighing | None = None

    def errors(self, kind: str) -> Iterator[str]:
        """What is wrong in the schema of a bundle of that kind (`expectation`)."""
        shape = list(self.shape)
        if self.features < 1:
            yield expectation("schema.features", "at least 1", self.features)
        if self.targets < 0:
            yield expectation("schema.targets", "at least 0", self.targets)
        if shape and (min(shape) < 1 or math.prod(shape) != self.features):
            yield expectation("schema.shape", f"lengths whose product is features ({self.features})", shape)
        if self.image and self.image not in IMAGES:
            yield expectation("schema.image", f"{one_of(IMAGES)}, or an empty string", repr(self.image))
        if self.image and len(shape) != 2:
            yield expectation("schema.shape", "[rows, columns], because image is set", shape)
        if not KINDS[kind].weighted:
            for name, part in (("actions", self.actions), ("weighing", self.weighing)):
                if part is not None:
                    yield expectation(f"schema.{name}", f"null, because kind is {kind}", "an object")
            return
        if self.actions is None:
            yield expectation("schema.actions", f"an object, because kind is {kind}", "null")
        elif not self.actions.fits(self.targets):
            bounds = f"{list(self.actions.low)} and {list(self.actions.high)}"
            expected = f"{self.targets} numbers in low, each below its number in high, or none in both"
            yield expectation("schema.actions", expected, bounds)
        if self.weighing is None:
            yield expectation("schema.weighing", f"an object, because kind is {kind}", "null")
        elif not self.weighing.is_valid:
            expected = "discount and smoothing from 0 to 1, max_weight of at least 1, and ridge above 0"
            yield expectation("schema.weighing", expected, asdict(self.weighing))


@dataclass(frozen=True)
class Bounds:
    """The default steps and rate of the inner loop, and the largest that a request may ask for.

    A request may take 0 to `max_steps` steps, at a rate above 0 and at most `max_learning_rate`.
    """

    steps: int
    max_steps: int
    learning_rate: float
    max_learning_rate: float


@dataclass(frozen=True)
class Manifest:
    """The contents of bundle.json.

    family: the family that it was trained on; None for imported weights that came without one
        (`app.training.import_weights`)
    kind: a key of `app.learn.losses.KINDS`
    inner_loop: defaults and bounds of the inner loop
    initial_loss: the mean loss on evaluation tasks before any step; "diverged" is measured on this scale
    weights_sha256: the sha256 of the bytes of weights.safetensors
    evaluation: scores by shots and steps with their 95 % intervals (`app.training.evaluation`)
    training: how the bundle was made: recipe, seed, versions
    ood_reference: what support sets of training tasks look like (`app.training.support_ood`)
    calibration: what makes intervals and probabilities mean what they say (`app.training.calibration`)
    encoder: what turns posted inputs into features; None for the default of the schema (`default_encoder`)
    meanings: what the numbers of inputs and actions mean; no part of the digest
    targets: for regression, what the numbers of a target mean, and by what they are standardised. bundle.json need not
        have it
    """

    family: FamilySpec | None
    network: NetworkSpec
    algorithm: str
    kind: str
    schema: Schema
    inner_loop: Bounds
    initial_loss: float
    weights_sha256: str
    evaluation: Mapping[str, Any]
    training: Mapping[str, Any]
    ood_reference: OODReference = field(default_factory=OODReference)
    calibration: Calibration = field(default_factory=Calibration)
    encoder: EncoderSpec | None = field(default=None, metadata=OPTIONAL)
    meanings: Meanings | None = field(default=None, metadata=OPTIONAL)
    targets: TargetSpec | None = field(default=None, metadata=OPTIONAL)
    format: int = FORMAT

    @property
    def target_scale(self) -> TargetScale | None:
        """By what targets are standardised; None if the network predicts in the user's units itself."""
        return None if self.targets is None else self.targets.scale

    @cached_property
    def digest(self) -> str:
        """The identity of the bundle's predictions: sha256 over all that they depend on, the weights and their use.

        It is computed over the field names of format 1, so that renaming a field does not change it. Empty fields of
        the schema are left out, because the oldest bundles do not have them, and so is the default encoder. Of the
        targets only the scale counts.
        """
        schema = {key: value for key, value in asdict(self.schema).items() if value not in ((), "", None)}
        if "weighing" in schema:
            schema["weighing"]["most"] = schema["weighing"].pop("max_weight")
        identity = {
            "family": None if self.family is None else asdict(self.family),
            "network": asdict(self.network),
            "algorithm": self.algorithm,
            "kind": self.kind,
            "schema": schema,
            "inner_loop": asdict(self.inner_loop),
            "untouched_loss": self.initial_loss,
            "weights_sha256": self.weights_sha256,
            "format": 1,
            **({} if self.encoder is None else {"encoder": asdict(self.encoder)}),
        }
        if self.target_scale is not None:
            identity["target_scale"] = asdict(self.target_scale)
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Bundle:
    """A verified bundle, ready to adapt.

    width: the length of the network's output
    encoder_arrays: the arrays of the encoder that the manifest names
    """

    name: str
    manifest: Manifest
    meta: Params
    width: int
    encoder_arrays: Mapping[str, np.ndarray] = field(default_factory=dict)

    def inner_loop(
        self, differentiate: Callable[..., Any] = grad_and_value, ways: int | None = None
    ) -> InnerLoop[State]:
        """The inner loop for one task, on a network of its own. Its targets are in the user's units.

        differentiate: as for `app.learn.inner.gradient_descent`
        ways: for classification, the width of the class axis; None for `schema.targets`

        Make one for each thread: a call swaps the parameters of the network in place (`torch.func.functional_call`).
        Raises ValueError as `app.learn.networks.build` does.
        """
        kind, schema = self.manifest.kind, self.manifest.schema
        network = build(self.manifest.network.name, self.manifest.network.options)

        def make(loss: Loss) -> InnerLoop[State]:
            return self.algorithm.inner_loop(
                network,
                loss,
                differentiate,
                ways=(ways or schema.targets) if KINDS[kind].one_hot else None,
                targets=schema.targets,
                width=self.width,
            )

        scale, loss = self.manifest.target_scale, KINDS[kind].loss
        return make(loss) if scale is None else with_target_scale(make, loss, scale)

    @cached_property
    def encoder(self) -> Encoder:
        """What turns posted inputs into features. Raises StateError where it cannot be restored."""
        spec = self.manifest.encoder
        return default_encoder(self.manifest.schema) if spec is None else restore(spec, self.encoder_arrays)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns of an input; empty where they have none."""
        names = [column["name"] for column in self.encoder.describe()["columns"]]
        return () if None in names else tuple(names)

    @property
    def algorithm(self) -> Algorithm:
        """The algorithm that the bundle adapts with."""
        return ALGORITHMS[self.manifest.algorithm]


def default_encoder(schema: Schema) -> Encoder:
    """The encoder of a bundle that names none: images where the schema has them, else rows of numbers as they are."""
    if schema.image:
        return ImageEncoder((schema.shape[0], schema.shape[1]))
    return NumbersEncoder(schema.shape or (schema.features,))


def _without_default_encoder(manifest: Manifest, arrays: Mapping[str, np.ndarray]) -> Manifest:
    """The same manifest, which names no encoder if that is the default."""
    if manifest.encoder is None or arrays or manifest.encoder != EncoderSpec.of(default_encoder(manifest.schema)):
        return manifest
    return replace(manifest, encoder=None)


def load_named(folder: Path, name: str) -> Bundle:
    """The bundle of that name in a folder of bundles. Raises BundleError, and InnerloopError where there is none."""
    if not (folder / name).is_dir():
        names = sorted(each.name for each in folder.iterdir() if each.is_dir()) if folder.is_dir() else []
        expected = f"{one_of(names)} in {folder}" if names else f"the name of a bundle in {folder}, which has none"
        raise InnerloopError(expectation("bundle", expected, repr(name)))
    return load(folder / name)


def check_name(name: str) -> None:
    """Raise InnerloopError for a name that cannot be that of a bundle: it is a folder, and part of addresses."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise InnerloopError(
            f"the name of a bundle: expected letters, digits, -, _ and ., such as pump-2, got {name!r}"
        )


def write(
    folder: Path, manifest: Manifest, meta: Params, encoder_arrays: Mapping[str, np.ndarray] = NO_ARRAYS
) -> Manifest:
    """Write bundle.json and weights.safetensors. Returns the manifest as written, with the sha256 of the weights.

    encoder_arrays: the arrays of the encoder that the manifest names

    Each file is replaced atomically, bundle.json last, so that a reader gets the old bundle, the new one, or a
    BundleError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: value.float().cpu().contiguous() for name, value in meta.items()}
    tensors |= {f"{ENCODER_PREFIX}{name}": torch.tensor(value) for name, value in encoder_arrays.items()}
    weights = save_tensors(tensors)
    manifest = _without_default_encoder(manifest, encoder_arrays)
    manifest = replace(manifest, weights_sha256=hashlib.sha256(weights).hexdigest(), format=FORMAT)
    write_atomically(folder / WEIGHTS, weights)
    left_out = {
        each.name for each in fields(manifest) if each.metadata == OPTIONAL and getattr(manifest, each.name) is None
    }
    contents = {name: value for name, value in asdict(manifest).items() if name not in left_out}
    write_atomically(folder / MANIFEST, (json.dumps(contents, indent=2) + "\n").encode())
    return manifest


def load(folder: Path) -> Bundle:
    """Read and verify the bundle in `folder`. Raises BundleError with the file and the reason."""
    manifest = _read_manifest(folder / MANIFEST)
    _check(folder / MANIFEST, manifest)
    shapes, width = _expected_network(folder / MANIFEST, manifest)
    meta, arrays = _read_weights(folder / WEIGHTS, manifest, shapes)
    bundle = Bundle(folder.name, _without_default_encoder(manifest, arrays), meta, width, arrays)
    _check_encoder(folder, bundle)
    return bundle


def load_all(folder: Path) -> tuple[dict[str, Bundle], dict[str, BundleError]]:
    """Load the bundles in the subfolders of `folder`: the valid ones by name, and the error of each other one by name.

    Hidden folders are skipped. A bad bundle does not keep the others from loading.
    """
    bundles: dict[str, Bundle] = {}
    errors: dict[str, BundleError] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if not path.is_dir() or path.name.startswith("."):
            continue
        try:
            bundles[path.name] = load(path)
        except BundleError as error:
            errors[path.name] = error
    return bundles, errors


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise BundleError(file, f"expected a file, got none: {COPY_AGAIN}") from None
    except OSError as error:
        raise BundleError(file, f'expected a file that can be read, got "{error.strerror}"') from error


def _read_manifest(file: Path) -> Manifest:
    try:
        contents = json.loads(_read(file))
    except (ValueError, RecursionError) as error:
        raise BundleError(file, f'expected JSON, got "{error}": {COPY_AGAIN}') from error
    if isinstance(contents, dict):
        number = contents.get("format")
        if type(number) is int and number == 1:
            try:
                contents = _from_format_1(contents)
            except RecursionError as error:
                reason = f"expected JSON, got objects that are nested too deeply: {COPY_AGAIN}"
                raise BundleError(file, reason) from error
        elif type(number) is int and number != FORMAT:
            raise BundleError(
                file,
                expectation(
                    "format", f"1 to {FORMAT}", number, "upgrade Innerloop, or train the bundle again with this version"
                ),
            )
    manifest: Manifest = _parse(file, "", Manifest, contents)
    return manifest


_FORMAT_1 = {"untouched_loss": "initial_loss", "calibration": "ood_reference", "trust": "calibration"}
_FORMAT_1_PARTS = {
    "ood_reference": {"adapted_to": "support_sizes", "error": "error_limits"},
    "calibration": {"familiar": "familiarity"},
}
"""Names of format 1 with the names of today, at the top level and in two of its parts."""


def _from_format_1(contents: Mapping[str, Any]) -> dict[str, Any]:
    """A bundle.json of format 1 under the names of today. Parts that the oldest bundles do not have are empty."""
    new = {_FORMAT_1.get(key, key): value for key, value in contents.items()} | {"format": FORMAT}
    for part, empty in (("ood_reference", OODReference()), ("calibration", Calibration())):
        new[part] = _rename_keys(new.get(part, asdict(empty)), _FORMAT_1_PARTS[part])
    schema = new.get("schema")
    if isinstance(schema, dict):
        new["schema"] = schema = {"shape": (), "image": "", "actions": None, "weighing": None} | schema
        if isinstance(schema["weighing"], dict):
            schema["weighing"] = asdict(Weighing()) | _rename_keys(schema["weighing"], {"most": "max_weight"})
    new["evaluation"] = _rename_keys(
        new.get("evaluation"), {"trust": "calibration", "strangers_found": "unfamiliar_found"}
    )
    return new


def _rename_keys(tree: Any, names: Mapping[str, str]) -> Any:
    """Nested objects with some of their keys renamed; any other value as it is."""
    if not isinstance(tree, dict):
        return tree
    return {names.get(key, key): _rename_keys(value, names) for key, value in tree.items()}


_JSON_NAMES = {bool: "true or false", int: "an integer", float: "a number", str: "a string", dict: "an object"}


def _json_name(value: Any) -> str:
    """A value of the wrong type, in the words of JSON."""
    return {list: "a list", type(None): "null"}.get(type(value)) or _JSON_NAMES[type(value)]


def _parse(file: Path, place: str, kind: Any, value: Any) -> Any:
    """A value of `json.loads` as an instance of the dataclass or plain type `kind`.

    place: its path in the file, for errors
    """
    if kind == Mapping[str, Any]:
        kind = dict
    if hasattr(kind, "__dataclass_fields__"):
        return _parse_object(file, place, kind, value)
    if get_origin(kind) is UnionType:  # a type or None
        return None if value is None else _parse(file, place, get_args(kind)[0], value)
    if get_origin(kind) is tuple:
        if not isinstance(value, list | tuple):
            raise BundleError(file, f"{place}: expected a list, got {value!r}")
        return tuple(_parse(file, f"{place}[{index}]", get_args(kind)[0], item) for index, item in enumerate(value))
    if kind is float and type(value) is int:
        try:
            value = float(value)
        except OverflowError as error:
            reason = expectation(place, "a number in the range of float64", "a larger one")
            raise BundleError(file, reason) from error
    if type(value) is not kind or (kind is float and not math.isfinite(value)):
        raise BundleError(file, f"{place}: expected {_JSON_NAMES[kind]}, got {value!r}")
    return value


def _parse_object(file: Path, place: str, kind: Any, value: Any) -> Any:
    if not isinstance(value, dict):
        raise BundleError(file, expectation(place or "top level", "an object", _json_name(value)))
    names = {item.name for item in fields(kind)}
    optional = {item.name for item in fields(kind) if item.metadata == OPTIONAL}
    missing, unknown = sorted(names - optional - value.keys()), sorted(value.keys() - names)
    if missing:
        raise BundleError(file, expectation(f"{place}.{missing[0]}".lstrip("."), "a value", "none"))
    if unknown:
        expected = f"only the fields {', '.join(sorted(names))}"
        raise BundleError(file, expectation(place or "top level", expected, f"also {', '.join(unknown)}"))
    hints = get_type_hints(kind)
    return kind(**{name: _parse(file, f"{place}.{name}".lstrip("."), hints[name], value.get(name)) for name in names})


def _check(file: Path, manifest: Manifest) -> None:
    """Raise BundleError if the parts of a manifest do not fit each other. Nothing is imported or built here."""
    schema, bounds = manifest.schema, manifest.inner_loop
    for part, name, table in (("algorithm", manifest.algorithm, ALGORITHMS), ("kind", manifest.kind, KINDS)):
        if name not in table:
            raise BundleError(file, f"{part}: expected one of {', '.join(sorted(table))}, got {name!r}")
    algorithm = ALGORITHMS[manifest.algorithm]
    requirements = {
        f"inner_loop: expected steps from 0 to max_steps ({bounds.max_steps}) and learning_rate above 0 and at most "
        f"max_learning_rate ({bounds.max_learning_rate:g}), got {bounds.steps} and {bounds.learning_rate:g}": (
            0 <= bounds.steps <= bounds.max_steps and 0 < bounds.learning_rate <= bounds.max_learning_rate
        ),
        f"inner_loop: expected steps and max_steps to be 1 for {manifest.algorithm}, got {bounds.steps} and "
        f"{bounds.max_steps}": not algorithm.closed_form or (bounds.steps, bounds.max_steps) == (1, 1),
        f"algorithm: expected one for {manifest.kind}, got {manifest.algorithm}, which is for "
        f"{' and '.join(sorted(algorithm.kinds))}": manifest.kind in algorithm.kinds,
        _lists("ood_reference", manifest.ood_reference, f"features ({schema.features})"): (
            manifest.ood_reference.fits(schema.features)
        ),
        _lists("calibration", manifest.calibration, f"targets ({schema.targets})"): (
            manifest.calibration.fits(schema.targets)
        ),
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


def _expected_network(file: Path, manifest: Manifest) -> tuple[dict[str, torch.Size], int]:
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


def _check_encoder(folder: Path, bundle: Bundle) -> None:
    """Raise BundleError unless the encoder that a bundle names can be restored and fits the schema."""
    spec, schema = bundle.manifest.encoder, bundle.manifest.schema
    if spec is None:
        return
    try:
        shape = bundle.encoder.feature_shape
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


def _read_weights(
    file: Path, manifest: Manifest, expected: Mapping[str, torch.Size]
) -> tuple[Params, Mapping[str, np.ndarray]]:
    """The meta-parameters, and the arrays of the encoder that the manifest names.

    Raises BundleError unless the file has the sha256 of the manifest, and the meta-parameters the expected names and
    shapes.
    """
    content, sha256 = _read(file), manifest.weights_sha256
    actual = hashlib.sha256(content).hexdigest()
    if actual != sha256:
        raise BundleError(
            file,
            f"expected the sha256 {sha256} of {MANIFEST}, got {actual}: one of the files was changed; copy both again",
        )
    try:
        # always in one order: it is part of a compiled graph, and so of the key of its cache
        meta: Params = dict(sorted(load_tensors(content).items()))
    except SafetensorError as error:
        raise BundleError(file, f'expected safetensors, got "{error}": {COPY_AGAIN}') from error
    names = [] if manifest.encoder is None else [name for name in meta if name.startswith(ENCODER_PREFIX)]
    arrays = {name: meta.pop(name) for name in names}
    if meta.keys() != expected.keys():
        reason = f"expected the parameters {sorted(expected)}, got {sorted(meta)}: save those of this network"
        raise BundleError(file, reason)
    for name, value in meta.items():
        if value.dtype != torch.float32 or value.shape != expected[name]:
            shape, needed = list(value.shape), list(expected[name])
            raise BundleError(file, f"{name}: expected float32 {needed}, got {str(value.dtype)[6:]} {shape}")
        if not value.isfinite().all():
            raise BundleError(file, f"{name}: expected finite numbers, got NaN or infinity")
    return meta, {name.removeprefix(ENCODER_PREFIX): _as_numpy(file, name, value) for name, value in arrays.items()}


def _as_numpy(file: Path, name: str, value: torch.Tensor) -> np.ndarray:
    try:
        return value.numpy()
    except TypeError as error:
        raise BundleError(file, f"{name}: expected a type that NumPy has, got {str(value.dtype)[6:]}") from error
