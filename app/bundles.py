"""Bundles: an initialization on disk with everything that serving it needs.

A bundle is a folder `models/<name>/`. The server reads two of its files, JSON and safetensors, and never a pickle:

    weights.safetensors   the meta-parameters, float32, named as in the network's `state_dict`
    bundle.json           everything else, as the dataclasses below; it holds the sha256 of the weights

`load` verifies both and raises BundleError with the file and the reason. `CARD.md` and its plots are for people.
"""

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import nn
from torch.func import grad_and_value

from app.errors import BundleError
from app.learn import policies
from app.learn.algorithms import ALGORITHMS, Algorithm
from app.learn.calibration import Calibration
from app.learn.inner import InnerLoop, State
from app.learn.losses import KINDS
from app.learn.networks import NetworkSpec, build, width
from app.learn.ood import OODReference
from app.learn.policies import Actions, Weighing
from app.learn.update_rules import Params

FORMAT = 2
"""Of the bundle.json that is written. Format 1, which has other names for the same, is read too."""
MANIFEST = "bundle.json"
WEIGHTS = "weights.safetensors"


@dataclass(frozen=True)
class FamilySpec:
    """The family of tasks that a bundle was trained on, with its options (plain JSON values)."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


IMAGES = ("ink",)
"""How an image can become an input (`Schema`)."""


@dataclass(frozen=True)
class Schema:
    """The form of an example.

    features: numbers in an input
    targets: numbers in a target. Where targets are labels: the classes of a training task, which is also the most that
        the network tells apart, unless it embeds
    shape: of an input, as people write it; empty where it is a row of numbers
    image: how an image becomes an input; empty where none can. `ink`: shrunk to `shape`, rows and columns, by area
        average, 0 where it is white as paper or transparent, 1 where it is black as ink
    actions: of decisions, what an action is; `targets` are the columns of an action then
    weighing: of decisions, how much each counts given its reward
    """

    features: int
    targets: int
    shape: tuple[int, ...] = ()
    image: str = ""
    actions: Actions | None = None
    weighing: Weighing | None = None

    @property
    def fits(self) -> bool:
        """Whether features, shape and image fit each other."""
        if self.features < 1 or self.targets < 0:
            return False
        shaped = not self.shape or (min(self.shape) > 0 and math.prod(self.shape) == self.features)
        return shaped and (not self.image or (self.image in IMAGES and len(self.shape) == 2))

    def decides(self, kind: str) -> bool:
        """Whether actions and weighing are there for decisions, and absent for all other kinds."""
        if self.actions is None or self.weighing is None:
            return not KINDS[kind].weighted and self.actions is None and self.weighing is None
        return KINDS[kind].weighted and self.actions.fits(self.targets) and self.weighing.fits


@dataclass(frozen=True)
class Bounds:
    """What a request may ask of the inner loop, and what it gets when it does not ask.

    A request may take 0 to `max_steps` steps at a rate above 0 and up to `max_learning_rate`.
    """

    steps: int
    max_steps: int
    learning_rate: float
    max_learning_rate: float


@dataclass(frozen=True)
class Manifest:
    """The contents of bundle.json.

    family: the family that it was trained on; None where weights were imported (`app.training.import_weights`)
    initial_loss: the mean loss on evaluation tasks before any step, the scale for "diverged"
    weights_sha256: of the bytes of weights.safetensors
    evaluation: scores by shots and steps with their 95 % intervals (`app.training.evaluation`)
    training: how it was made: recipe, seed, versions
    ood_reference: what support sets of training tasks look like (`app.training.ood`)
    calibration: how far an answer can be trusted (`app.training.calibration`)
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
    format: int = FORMAT

    @cached_property
    def digest(self) -> str:
        """The identity of its predictions: sha256 over everything they depend on (the weights, and how they are used).

        Computed over the names of format 1, so that no renaming changes it. Empty parts of the schema do not count:
        older bundles do not have them.
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
        }
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Bundle:
    """A verified bundle, ready to adapt."""

    name: str
    manifest: Manifest
    meta: Params

    def inner_loop(
        self, differentiate: Callable[..., Any] = grad_and_value, ways: int | None = None
    ) -> InnerLoop[State]:
        """Its inner loop for one task, on a network of its own. differentiate: as for `gradient_descent`.

        ways: the width of the class axis, where there are classes; None for that of its targets

        Make one for each thread: a call swaps the parameters of the network in place (`torch.func.functional_call`).
        """
        kind, schema = self.manifest.kind, self.manifest.schema
        network = build(self.manifest.network.name, self.manifest.network.options)
        return self.algorithm.inner_loop(
            network,
            KINDS[kind].loss,
            differentiate,
            ways=(ways or schema.targets) if KINDS[kind].one_hot else None,
            targets=schema.targets,
            width=width(network, schema.features),
        )

    @property
    def algorithm(self) -> Algorithm:
        """How it adapts."""
        return ALGORITHMS[self.manifest.algorithm]


def write(folder: Path, manifest: Manifest, meta: Params) -> Manifest:
    """Write the two files that are served. Returns the manifest as written, with the digest of the weights filled in.

    Each file is replaced atomically, the manifest last, so that a reader sees the old bundle, the new one, or a
    refusal.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = save_tensors({name: value.float().cpu().contiguous() for name, value in meta.items()})
    written = replace(manifest, weights_sha256=hashlib.sha256(weights).hexdigest(), format=FORMAT)
    write_atomically(folder / WEIGHTS, weights)
    write_atomically(folder / MANIFEST, (json.dumps(asdict(written), indent=2) + "\n").encode())
    return written


def write_atomically(path: Path, content: bytes) -> None:
    """Put `content` at `path` so that after a crash it holds either the old bytes or the new ones."""
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def load(folder: Path) -> Bundle:
    """Read and verify the bundle in `folder`. Raises BundleError with the file and the reason."""
    manifest = _read_manifest(folder / MANIFEST)
    _check(folder / MANIFEST, manifest)
    shapes = _shapes(folder / MANIFEST, manifest)
    return Bundle(folder.name, manifest, _read_weights(folder / WEIGHTS, manifest.weights_sha256, shapes))


def load_all(folder: Path) -> tuple[dict[str, Bundle], dict[str, BundleError]]:
    """The bundles in the folders of `folder` by name: those that can be served, and why the others cannot."""
    good: dict[str, Bundle] = {}
    refused: dict[str, BundleError] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if not path.is_dir() or path.name.startswith("."):
            continue
        try:
            good[path.name] = load(path)
        except BundleError as error:
            refused[path.name] = error
    return good, refused


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise BundleError(file, "the file is missing") from None
    except OSError as error:
        raise BundleError(file, f"the file cannot be read: {error.strerror}") from error


def _read_manifest(file: Path) -> Manifest:
    try:
        contents = json.loads(_read(file))
    except (ValueError, RecursionError) as error:
        raise BundleError(file, f"not JSON: {error}") from error
    if isinstance(contents, dict):
        number = contents.get("format")
        if number == 1:
            contents = _from_format_1(contents)
        elif type(number) is int and number != FORMAT:
            raise BundleError(
                file,
                f"format {number}, and this version reads formats 1 to {FORMAT}: train the bundle again, or upgrade",
            )
    manifest: Manifest = _parsed(file, "", Manifest, contents)
    return manifest


_FORMAT_1 = {"untouched_loss": "initial_loss", "calibration": "ood_reference", "trust": "calibration"}
_FORMAT_1_PARTS = {
    "ood_reference": {"adapted_to": "support_sizes", "error": "error_limits"},
    "calibration": {"familiar": "familiarity"},
}
"""Names of format 1, and what they are now."""


def _from_format_1(contents: Mapping[str, Any]) -> dict[str, Any]:
    """A bundle.json of format 1 with today's names; what the oldest ones lack is empty."""
    new = {_FORMAT_1.get(key, key): value for key, value in contents.items()} | {"format": FORMAT}
    for part, empty in (("ood_reference", OODReference()), ("calibration", Calibration())):
        new[part] = _renamed(new.get(part, asdict(empty)), _FORMAT_1_PARTS[part])
    schema = new.get("schema")
    if isinstance(schema, dict):
        new["schema"] = schema = {"shape": (), "image": "", "actions": None, "weighing": None} | schema
        if isinstance(schema["weighing"], dict):
            schema["weighing"] = asdict(Weighing()) | _renamed(schema["weighing"], {"most": "max_weight"})
    new["evaluation"] = _renamed(new.get("evaluation"), {"trust": "calibration"})
    return new


def _renamed(tree: Any, names: Mapping[str, str]) -> Any:
    """Nested objects with other names for some keys."""
    if not isinstance(tree, dict):
        return tree
    return {names.get(key, key): _renamed(value, names) for key, value in tree.items()}


def _parsed(file: Path, place: str, kind: Any, value: Any) -> Any:
    """`value`, as json.loads gives it, as an instance of the dataclass or plain type `kind`."""
    if kind == Mapping[str, Any]:
        kind = dict
    if hasattr(kind, "__dataclass_fields__"):
        if not isinstance(value, dict):
            raise BundleError(file, f"an object is expected at {place or 'the top'}")
        names = {item.name for item in fields(kind)}
        if names != value.keys():
            missing, unknown = sorted(names - value.keys()), sorted(value.keys() - names)
            raise BundleError(file, f"missing {missing}, unknown {unknown} at {place or 'the top'}")
        hints = get_type_hints(kind)
        return kind(**{name: _parsed(file, f"{place}.{name}".lstrip("."), hints[name], value[name]) for name in names})
    if get_origin(kind) is UnionType:
        return None if value is None else _parsed(file, place, get_args(kind)[0], value)
    if get_origin(kind) is tuple:
        if not isinstance(value, list | tuple):
            raise BundleError(file, f"a list is expected at {place}")
        return tuple(_parsed(file, f"{place}[{index}]", get_args(kind)[0], each) for index, each in enumerate(value))
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind or (kind is float and not math.isfinite(value)):
        raise BundleError(file, f"a {kind.__name__} is expected at {place}, got {value!r}")
    return value


def _check(file: Path, manifest: Manifest) -> None:
    """Raise BundleError where the parts of a manifest do not fit each other. Nothing is imported or built yet."""
    schema, bounds = manifest.schema, manifest.inner_loop
    for part, name, table in (("algorithm", manifest.algorithm, ALGORITHMS), ("kind", manifest.kind, KINDS)):
        if name not in table:
            raise BundleError(file, f"unknown {part} {name!r}; known here: {', '.join(sorted(table))}")
    algorithm = ALGORITHMS[manifest.algorithm]
    checks = {
        f"shape and image do not fit {schema.features} features or each other at schema": schema.fits,
        f"actions and weighing do not fit the kind {manifest.kind} or {schema.targets} targets at schema": (
            schema.decides(manifest.kind)
        ),
        "a default is outside its bound at inner_loop": (
            0 <= bounds.steps <= bounds.max_steps and 0 < bounds.learning_rate <= bounds.max_learning_rate
        ),
        f"{manifest.algorithm} takes one step, no more and no fewer, at inner_loop": (
            not algorithm.closed_form or (bounds.steps, bounds.max_steps) == (1, 1)
        ),
        f"{manifest.algorithm} is not for {manifest.kind}": manifest.kind in algorithm.kinds,
        f"the lists do not fit {schema.features} features or each other at ood_reference": (
            manifest.ood_reference.fits(schema.features)
        ),
        f"the lists do not fit {schema.targets} targets or each other at calibration": (
            manifest.calibration.fits(schema.targets)
        ),
    }
    for reason, passed in checks.items():
        if not passed:
            raise BundleError(file, reason)


def _shapes(file: Path, manifest: Manifest) -> dict[str, torch.Size]:
    """The shapes of the parameters that a manifest needs. Raises BundleError where its network cannot be built."""
    schema, bounds, algorithm = manifest.schema, manifest.inner_loop, ALGORITHMS[manifest.algorithm]
    with _refused(file, manifest.network.name):
        network = build(manifest.network.name, manifest.network.options)
        outputs = width(network, schema.features)
        algorithm.check(network, schema.targets, outputs, manifest.kind)
        if schema.actions is not None:
            policies.check(outputs, schema.targets, schema.actions.is_box)
        initial = algorithm.initial(
            network, _parameters(network), schema.targets, outputs, bounds.learning_rate, bounds.steps
        )
    return {name: value.shape for name, value in initial.items()}


def _parameters(network: nn.Module) -> Params:
    return dict(network.state_dict())


@contextmanager
def _refused(file: Path, network: str) -> Iterator[None]:
    """Whatever a network raises becomes a BundleError: it may be a user's own code, which may raise anything."""
    try:
        yield
    except ValueError as error:
        raise BundleError(file, str(error)) from error
    except (Exception, SystemExit) as error:
        raise BundleError(file, f"the network {network!r} fails: {type(error).__name__}: {error}") from error


def _read_weights(file: Path, sha256: str, expected: Mapping[str, torch.Size]) -> Params:
    content = _read(file)
    actual = hashlib.sha256(content).hexdigest()
    if actual != sha256:
        raise BundleError(
            file, f"sha256 is {actual}, {MANIFEST} says {sha256}: one of the two was changed, copy both again"
        )
    try:
        # always in one order: it is part of a compiled graph, and so of the key of its cache
        meta: Params = dict(sorted(load_tensors(content).items()))
    except SafetensorError as error:
        raise BundleError(file, f"not safetensors: {error}") from error
    if meta.keys() != expected.keys():
        raise BundleError(file, f"holds {sorted(meta)}, the network needs {sorted(expected)}")
    for name, value in meta.items():
        if value.dtype != torch.float32 or value.shape != expected[name]:
            wanted = f"float32 {list(expected[name])}"
            raise BundleError(file, f"{name} is {str(value.dtype)[6:]} {list(value.shape)}, the network needs {wanted}")
        if not value.isfinite().all():
            raise BundleError(file, f"{name} holds NaN or infinity")
    return meta
