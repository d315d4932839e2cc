"""The problem of a run or a bundle: its family and its network, checked, with errors that name what to change.

Families, recipes and networks may be a plug-in's or a user's own code. Whatever that code raises becomes a
TrainingError that names it (`app.plugins.user_code`).
"""

import inspect
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import torch
from torch import nn

from app.bundles.bundle import Bundle
from app.bundles.schema import Schema
from app.encoders.encoder import StateError
from app.encoders.registry import restore
from app.encoders.spec import EncoderSpec
from app.errors import NoFamily, TrainingError, expectation, one_of
from app.families.family import Family, HasActions, HasEncoder, HasImages, HasShape, HasWeighing
from app.families.registry import families, make
from app.families.worlds_protocol import Worlds
from app.learn import policies
from app.learn.algorithms import ALGORITHMS, Algorithm
from app.learn.decision_weights import Weighing
from app.learn.losses import KINDS
from app.learn.networks import NetworkError, NetworkSpec, build, find, width
from app.plugins import option_names, user_code
from app.training.recipes.recipe import TYPES


def schema_of(family: Family) -> Schema:
    """The form of a family's examples, as its bundles hold it."""
    return Schema(
        family.features,
        family.targets,
        shape=family.shape if isinstance(family, HasShape) else (),
        image=family.image if isinstance(family, HasImages) else "",
        actions=family.actions if isinstance(family, HasActions) else None,
        weighing=weighing_of(family) if isinstance(family, HasActions) else None,
    )


def encoder_of(family: Family) -> tuple[EncoderSpec | None, Mapping[str, np.ndarray]]:
    """The encoder of a family's bundles with its arrays; None where it is the default.

    Raises TrainingError where it does not fit the family, or cannot be restored from what a bundle stores.
    """
    if not isinstance(family, HasEncoder):
        return None, {}
    with user_code("the encoder of the family"):
        encoder = family.encoder
        spec, arrays = EncoderSpec.of(encoder), encoder.arrays()
        features = math.prod(encoder.feature_shape)
    if features != family.features:
        raise TrainingError(expectation("the encoder of the family", f"{family.features} features", features))
    try:
        restore(spec, arrays)
    except StateError as error:
        raise TrainingError(f"the encoder of the family: {error}") from error
    return spec, arrays


def weighing_of(family: Family) -> Weighing:
    """How the decisions of a family are weighed; the default if the family does not define it."""
    return family.weighing if isinstance(family, HasWeighing) else Weighing()


def make_family(
    name: str,
    options: Mapping[str, Any],
    data: Path | None = None,
    *,
    place: str = "family",
    options_place: str = "--option",
) -> Family:
    """The family of that name with these options.

    data: the folder of its data set, if the family reads one
    place, options_place: where the name and the options come from, for errors

    Raises TrainingError for an unknown name, for options that the family does not have or refuses, and for whatever
    else a plug-in raises when it is imported or called.
    """
    if name not in families():
        raise TrainingError(expectation(place, one_of(sorted(families())), repr(name)))
    with user_code(f"the family {name!r}"):
        factory = families()[name]()
        parameters = option_names(factory)
        if parameters is not None:
            known = sorted(set(parameters) - {"data"})
            if unknown := sorted(options.keys() - set(known)):
                expected = (
                    f"{one_of(known)} for the family {name!r}" if known else f"no options for the family {name!r}"
                )
                raise TrainingError(expectation(options_place, expected, ", ".join(unknown)))
            if data is not None and "data" not in parameters:
                raise TrainingError(
                    expectation("--data", f"no data set for the family {name!r}", str(data), "leave --data out")
                )
            _check_types(factory, options, options_place)
        try:
            family = make(name, options, data)
        except ValueError as error:
            raise TrainingError(f"the family {name!r}: {error}") from error
        if family.kind not in KINDS:
            kinds = ", ".join(sorted(KINDS))
            raise TrainingError(f"the family {name!r}: kind: expected one of {kinds}, got {family.kind!r}")
        for part, size in (("features", family.features), ("targets", family.targets)):
            if size < 1:
                wrong = f"{options_place} {part}" if part in options else f"the family {name!r}: {part}"
                raise TrainingError(expectation(wrong, "at least 1", size))
    return family


def reads_data(family: Family) -> bool:
    """Whether a family reads a data set, so that its folder has to be named."""
    return "data" in (option_names(type(family)) or ())


def _check_types(factory: Callable[..., Any], options: Mapping[str, Any], place: str) -> None:
    """The options have the types that the factory declares, as far as these are simple. Raises TrainingError."""
    try:
        hints = get_type_hints(factory if inspect.isfunction(factory) else factory.__init__)
    except (NameError, TypeError):  # a plug-in may import its types for type checkers only
        return
    for name, value in options.items():
        if hints.get(name) in TYPES:
            expected, types = TYPES[hints[name]]
            if type(value) not in types:
                raise TrainingError(expectation(f"{place} {name}", expected, repr(value)))


def family_of(bundle: Bundle, data: Path | None = None) -> Family:
    """The family that a bundle was trained on. data: the folder of its data set, if the family reads one.

    Raises NoFamily where the bundle names none, and TrainingError where its family cannot be made (`make_family`), or
    has another kind or other numbers of features and targets than the bundle.
    """
    spec, manifest = bundle.manifest.family, bundle.manifest
    if spec is None:
        raise NoFamily(bundle.name)
    try:
        family = make_family(spec.name, spec.options, data, options_place="family options")
    except TrainingError as error:
        raise TrainingError(f"{bundle.name}: {error}") from error
    form = manifest.kind, manifest.schema.features, manifest.schema.targets
    if (family.kind, family.features, family.targets) != form:
        expected = f"a bundle of the family {spec.name!r}: {_form_text(family.kind, family.features, family.targets)}"
        raise TrainingError(expectation(bundle.name, expected, _form_text(*form), "train it again"))
    return family


def _form_text(kind: str, features: int, targets: int) -> str:
    return f"{kind} with {size_text(features, targets)}"


def size_text(features: int, targets: int) -> str:
    """`1 feature and 2 targets`."""
    counts = ((features, "feature"), (targets, "target"))
    return " and ".join(f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts)


def find_algorithm(name: str, kind: str, place: str = "--algorithm") -> Algorithm:
    """The algorithm of that name. Raises TrainingError where there is none, or none for the kind of prediction.

    place: where the name comes from, for errors
    """
    fitting = sorted(each for each, other in ALGORITHMS.items() if kind in other.kinds)
    if name not in ALGORITHMS:
        raise TrainingError(expectation(place, one_of(fitting), repr(name)))
    algorithm = ALGORITHMS[name]
    if kind not in algorithm.kinds:
        actual, fix = f"{name}, which is for {' and '.join(sorted(algorithm.kinds))}", f"choose {one_of(fitting)}"
        raise TrainingError(expectation(place, f"an algorithm for {kind}", actual, fix))
    return algorithm


def worlds_of(bundle: Bundle) -> Worlds[Any, Any]:
    """The worlds that a bundle acts in. Raises TrainingError where its family has none."""
    family = family_of(bundle)
    if not isinstance(family, Worlds):
        raise TrainingError(
            expectation(bundle.name, "a bundle whose family has worlds to act in", "one without worlds")
        )
    return family


def device_of(bundle: Bundle) -> torch.device:
    """The device of a bundle's meta-parameters."""
    return next(iter(bundle.meta.values())).device


IN_A_RECIPE = {"network": "--set network", "options": "--set network_options", "features": "--set network_options"}
"""By `NetworkError.part`, what to change where a recipe names the network."""


def build_network(spec: NetworkSpec, features: int, places: Mapping[str, str] | None = None) -> tuple[nn.Module, int]:
    """The network on the meta device, and the width of its outputs. Raises TrainingError where it cannot be built.

    places: by `NetworkError.part`, what to change, for errors (None: these name the network)
    """
    with user_code(f"the network {spec.name!r}"):
        try:
            network = build(spec.name, spec.options)
            return network, width(network, features)
        except NetworkError as error:
            raise TrainingError(f"{places[error.part]}: {error.reason}" if places else str(error)) from error


def check_network_name(name: str) -> None:
    """Raise TrainingError where a recipe names a network that does not exist."""
    try:
        find(name)
    except NetworkError as error:
        raise TrainingError(f"{IN_A_RECIPE[error.part]}: {error.reason}") from error


def fit_network(
    spec: NetworkSpec, algorithm: Algorithm, schema: Schema, kind: str, places: Mapping[str, str] | None = None
) -> tuple[nn.Module, int]:
    """The network on the meta device, and the width of its outputs.

    places: as for `build_network`

    Raises TrainingError where it cannot be built, or does not fit the algorithm or the schema.
    """
    network, outputs = build_network(spec, schema.features, places)
    with user_code(f"the network {spec.name!r}"):
        try:
            algorithm.check(network, schema.targets, outputs, kind)
            if KINDS[kind].weighted and schema.actions is not None:
                policies.check(outputs, schema.targets, schema.actions.is_box)
        except ValueError as error:
            place = places["network"] if places else "network"
            raise TrainingError(f"{place}: {str(error).removeprefix('network: ')}") from error
    return network, outputs
