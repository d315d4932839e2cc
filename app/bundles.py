"""Bundles: an initialization on disk with all that serving it needs.

A bundle is a folder `models/<name>/`. Two of its files are read by the server, JSON and safetensors, never a pickle:

    weights.safetensors   the meta-parameters, float32, named as in the network's `state_dict`
    bundle.json           everything else, as the dataclasses below; it holds the sha256 of the weights

`load` verifies all of it and raises BundleError with the file and the reason. `CARD.md` and its plots are for people.
"""

import hashlib
import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from dataclasses import replace as replaced
from functools import cached_property
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch.func import grad_and_value

from app.errors import BundleError, NoFamily
from app.families.family import Actions, Family
from app.families.registry import families, make
from app.learn import policies
from app.learn.algorithms import ALGORITHMS, Algorithm
from app.learn.inner import InnerLoop, State
from app.learn.likeness import Calibration
from app.learn.losses import LOSSES, ONE_HOT, WEIGHTED
from app.learn.networks import build, find, width
from app.learn.policies import Weighing
from app.learn.rules import Params
from app.learn.trust import Trust

FORMAT = 1
MANIFEST = "bundle.json"
WEIGHTS = "weights.safetensors"


@dataclass(frozen=True)
class Named:
    """Something made from a name and options: a family, a network."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


IMAGES = ("ink",)
"""How an image can become an input (`Schema`)."""


@dataclass(frozen=True)
class Schema:
    """The form of an example.

    features: numbers in an input
    targets: numbers in a target; where targets are labels, classes of a training task, and those that the network tells
        apart at most, unless it embeds
    shape: of an input, as people write it; empty where it is a row of numbers
    image: how an image becomes an input; empty where none can. `ink`: shrunk to `shape`, rows and columns, by area
        average, 0 where it is white as paper or transparent, 1 where it is black as ink
    actions: of decisions, what they are; `targets` are the columns of an action then
    weighing: of decisions, what they count by what came of them
    """

    features: int
    targets: int
    shape: tuple[int, ...] = ()
    image: str = ""
    actions: Actions | None = None
    weighing: Weighing | None = None

    @classmethod
    def of(cls, family: Family) -> "Schema":
        """Of a family; what not all have is only what it has, if anything."""
        actions = getattr(family, "actions", None)
        return cls(
            family.features,
            family.targets,
            getattr(family, "shape", ()),
            getattr(family, "image", ""),
            actions,
            None if actions is None else getattr(family, "weighing", Weighing()),
        )

    @property
    def fits(self) -> bool:
        """Whether its parts fit each other."""
        if self.features < 1 or self.targets < 0:
            return False
        shaped = not self.shape or (min(self.shape) > 0 and math.prod(self.shape) == self.features)
        return shaped and (not self.image or (self.image in IMAGES and len(self.shape) == 2))

    def decides(self, kind: str) -> bool:
        """Whether it says what an action is and what it counts, for decisions, or neither, for all other kinds."""
        if self.actions is None or self.weighing is None:
            return kind not in WEIGHTED and self.actions is None and self.weighing is None
        return kind in WEIGHTED and self.actions.fits(self.targets) and self.weighing.fits


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

    family: the problem it was trained on; none where weights were brought from elsewhere (`app.training.adoption`)
    untouched_loss: the mean loss on evaluation tasks before any step, the scale for "diverged"
    weights_sha256: of the bytes of weights.safetensors
    evaluation: scores by shots and steps with their 95 % intervals (`app.training.evaluation`)
    training: how it was made: recipe, seed, versions
    calibration: what support sets of training tasks look like (`app.training.calibration`)
    trust: how far an answer can be trusted (`app.training.trust`)
    """

    family: Named | None
    network: Named
    algorithm: str
    kind: str
    schema: Schema
    inner_loop: Bounds
    untouched_loss: float
    weights_sha256: str
    evaluation: Mapping[str, Any]
    training: Mapping[str, Any]
    calibration: Calibration = field(default_factory=Calibration)
    trust: Trust = field(default_factory=Trust)
    format: int = FORMAT

    @cached_property
    def digest(self) -> str:
        """The identity of its predictions: sha256 over all that they depend on (the weights, and how they are used)."""
        others = ("evaluation", "training", "calibration", "trust")
        serving = {key: value for key, value in asdict(self).items() if key not in others}
        # what is empty was not there in older bundles, whose digests stay
        serving["schema"] = {key: value for key, value in serving["schema"].items() if value not in ((), "", None)}
        return hashlib.sha256(json.dumps(serving, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Bundle:
    """A verified bundle, ready to adapt."""

    name: str
    manifest: Manifest
    meta: Params

    def inner_loop(
        self, differentiate: Callable[..., Any] = grad_and_value, ways: int | None = None
    ) -> InnerLoop[State]:
        """Its inner loop, of one task, on a network of its own. differentiate: as for `gradient_descent`.

        ways: the width of the class axis, where there are classes; that of its targets if none is given

        One for each thread: a call swaps the parameters of the network's form in place (`torch.func.functional_call`).
        """
        kind, schema = self.manifest.kind, self.manifest.schema
        network = build(self.manifest.network.name, self.manifest.network.options)
        return self.algorithm.inner_loop(
            network,
            LOSSES[kind],
            differentiate,
            ways=(ways or schema.targets) if kind in ONE_HOT else None,
            targets=schema.targets,
            width=width(network, schema.features),
        )

    def family(self, data: Path | None = None) -> Family:
        """The problem that it was trained on. Raises NoFamily where it came without one.

        data: the folder of its data set, where it reads one
        """
        named = self.manifest.family
        if named is None:
            raise NoFamily(self.name)
        return make(named.name, named.options, data)

    @property
    def algorithm(self) -> Algorithm:
        """How it adapts."""
        return ALGORITHMS[self.manifest.algorithm]


def write(folder: Path, manifest: Manifest, meta: Params) -> Manifest:
    """Write the two files that are served; the manifest as written, with the digest of the weights filled in.

    Each file is replaced whole, the manifest last, so that a reader sees the old bundle, the new one, or a refusal.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = save_tensors({name: value.float().cpu().contiguous() for name, value in meta.items()})
    written = replaced(manifest, weights_sha256=hashlib.sha256(weights).hexdigest())
    replace(folder / WEIGHTS, weights)
    replace(folder / MANIFEST, (json.dumps(asdict(written), indent=2) + "\n").encode())
    return written


def replace(path: Path, content: bytes) -> None:
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
    shapes = _shapes(folder / MANIFEST, manifest)
    return Bundle(folder.name, manifest, _read_weights(folder / WEIGHTS, manifest.weights_sha256, shapes))


def load_all(folder: Path) -> tuple[dict[str, Bundle], dict[str, BundleError]]:
    """The bundles in the folders of `folder` by name: the good ones, and why each of the others is refused."""
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
        # bundles from before there were these
        contents.setdefault("calibration", asdict(Calibration()))
        contents.setdefault("trust", asdict(Trust()))
        if isinstance(contents.get("schema"), dict):
            absent = {"shape": (), "image": "", "actions": None, "weighing": None}
            schema = contents["schema"] = absent | contents["schema"]
            if isinstance(schema["weighing"], dict):
                schema["weighing"] = asdict(Weighing()) | schema["weighing"]
    manifest: Manifest = _typed(file, "", Manifest, contents)
    if manifest.format != FORMAT:
        raise BundleError(
            file, f"format {manifest.format}, only {FORMAT} can be read: train it again with this version"
        )
    return manifest


def _typed(file: Path, place: str, kind: Any, value: Any) -> Any:
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
        return kind(**{name: _typed(file, f"{place}.{name}".lstrip("."), hints[name], value[name]) for name in names})
    if get_origin(kind) is UnionType:
        return None if value is None else _typed(file, place, get_args(kind)[0], value)
    if get_origin(kind) is tuple:
        if not isinstance(value, list | tuple):
            raise BundleError(file, f"a list is expected at {place}")
        return tuple(_typed(file, f"{place}[{index}]", get_args(kind)[0], each) for index, each in enumerate(value))
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind or (kind is float and not math.isfinite(value)):
        raise BundleError(file, f"a {kind.__name__} is expected at {place}, got {value!r}")
    return value


def _shapes(file: Path, manifest: Manifest) -> dict[str, torch.Size]:
    """The shapes of the parameters that a manifest needs, once everything that it names exists and fits together."""

    def known(sort: str, name: str, names: Mapping[str, Any]) -> None:
        if name not in names:
            raise BundleError(file, f"unknown {sort} {name!r}; known here: {', '.join(sorted(names))}")

    schema = manifest.schema
    if manifest.family is not None:
        known("family", manifest.family.name, families())
    known("algorithm", manifest.algorithm, ALGORITHMS)
    known("kind", manifest.kind, LOSSES)
    algorithm, bounds = ALGORITHMS[manifest.algorithm], manifest.inner_loop
    try:
        find(manifest.network.name)
    except ValueError as error:
        raise BundleError(file, str(error)) from error
    try:
        family = None if manifest.family is None else make(manifest.family.name, manifest.family.options)
        network = build(manifest.network.name, manifest.network.options)
    except (ImportError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise BundleError(file, f"the options of the family or of the network do not fit: {error}") from error
    if family is not None and (family.kind, family.features, family.targets) != (
        manifest.kind,
        schema.features,
        schema.targets,
    ):
        raise BundleError(file, "kind and schema do not fit the family")
    if not schema.fits:
        raise BundleError(file, f"shape and image do not fit {schema.features} features or each other at schema")
    if not schema.decides(manifest.kind):
        targets = f"{schema.targets} targets"
        raise BundleError(file, f"actions and weighing do not fit the kind {manifest.kind} or {targets} at schema")
    if not (0 <= bounds.steps <= bounds.max_steps and 0 < bounds.learning_rate <= bounds.max_learning_rate):
        raise BundleError(file, "a default is outside its bound at inner_loop")
    if algorithm.closed_form and (bounds.steps, bounds.max_steps) != (1, 1):
        raise BundleError(file, f"{manifest.algorithm} takes one step, no more and no fewer, at inner_loop")
    if manifest.kind not in algorithm.kinds:
        raise BundleError(file, f"{manifest.algorithm} is not for {manifest.kind}")
    if not manifest.calibration.fits(schema.features):
        raise BundleError(file, f"the lists do not fit {schema.features} features or each other at calibration")
    if not manifest.trust.fits(schema.targets):
        raise BundleError(file, f"the lists do not fit {schema.targets} targets or each other at trust")
    try:
        outputs = width(network, schema.features)
        algorithm.check(network, schema.targets, outputs, manifest.kind)
        if schema.actions is not None:
            policies.check(outputs, schema.targets, schema.actions.is_box)
    except ValueError as error:
        raise BundleError(file, str(error)) from error
    start = algorithm.initial(
        network, dict(network.state_dict()), schema.targets, outputs, bounds.learning_rate, bounds.steps
    )
    return {name: value.shape for name, value in start.items()}


def _read_weights(file: Path, sha256: str, expected: Mapping[str, torch.Size]) -> Params:
    content = _read(file)
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise BundleError(
            file, f"sha256 is {found}, {MANIFEST} says {sha256}: one of the two was changed, copy both again"
        )
    try:
        # in one order always: it is part of a compiled graph, and so of what its cache knows it by
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
