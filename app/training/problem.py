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
from app.families.worlds import Worlds
from app.learn import policies
from app.learn.algorithms import ALGORITHMS, Algorithm
from app.learn.decision_weights import Weighing
from app.learn.losses import KINDS
from app.learn.networks import NetworkSpec, build, width
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


def make_family(name: str, options: Mapping[str, Any], data: Path | None = None) -> Family:
    """The family of that name with these options.

    data: the folder of its data set, if the family reads one

    Raises TrainingError for an unknown name, for options that the family does not have or refuses, and for whatever
    else a plug-in raises when it is imported or called.
    """
    if name not in families():
        raise TrainingError(expectation("family", one_of(sorted(families())), repr(name)))
    with user_code(f"the family {name!r}"):
        factory = families()[name]()
        parameters = option_names(factory)
        if parameters is not None:
            known = sorted(set(parameters) - {"data"})
            if unknown := sorted(options.keys() - set(known)):
                expected = (
                    f"{one_of(known)} for the family {name!r}" if known else f"no options for the family {name!r}"
                )
                raise TrainingError(expectation("family options", expected, ", ".join(unknown)))
            if data is not None and "data" not in parameters:
                raise TrainingError(
                    expectation("--data", f"no data set for the family {name!r}", str(data), "leave --data out")
                )
            _check_types(factory, options)
        try:
            family = make(name, options, data)
        except ValueError as error:
            raise TrainingError(f"the family {name!r}: {error}") from error
        if family.kind not in KINDS:
            kinds = ", ".join(sorted(KINDS))
            raise TrainingError(f"the family {name!r}: kind: expected one of {kinds}, got {family.kind!r}")
        for part, size in (("features", family.features), ("targets", family.targets)):
            if size < 1:
                place = f"--option {part}" if part in options else f"the family {name!r}: {part}"
                raise TrainingError(expectation(place, "at least 1", size))
    return family


def reads_data(family: Family) -> bool:
    """Whether a family reads a data set, so that its folder has to be named."""
    return "data" in (option_names(type(family)) or ())


def _check_types(factory: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """The options have the types that the factory declares, as far as these are simple. Raises TrainingError."""
    try:
        hints = get_type_hints(factory if inspect.isfunction(factory) else factory.__init__)
    except (NameError, TypeError):  # a plug-in may import its types for type checkers only
        return
    for name, value in options.items():
        if hints.get(name) in TYPES:
            expected, types = TYPES[hints[name]]
            if type(value) not in types:
                raise TrainingError(f"--option {name}: expected {expected}, got {value!r}")


def family_of(bundle: Bundle, data: Path | None = None) -> Family:
    """The family that a bundle was trained on. data: the folder of its data set, if the family reads one.

    Raises NoFamily where the bundle names none, and TrainingError where its family cannot be made (`make_family`), or
    has another kind or other numbers of features and targets than the bundle.
    """
    spec, manifest = bundle.manifest.family, bundle.manifest
    if spec is None:
        raise NoFamily(bundle.name)
    try:
        family = make_family(spec.name, spec.options, data)
    except TrainingError as error:
        raise TrainingError(f"{bundle.name}: {error}") from error
    form = manifest.kind, manifest.schema.features, manifest.schema.targets
    if (family.kind, family.features, family.targets) != form:
        expected = f"a bundle of the family {spec.name!r}: {_form_text(family.kind, family.features, family.targets)}"
        raise TrainingError(expectation(bundle.name, expected, _form_text(*form), "train it again"))
    return family


def _form_text(kind: str, features: int, targets: int) -> str:
    return f"{kind} with {features} features and {targets} targets"


def find_algorithm(name: str, kind: str) -> Algorithm:
    """The algorithm of that name. Raises TrainingError where it is not for the kind of prediction."""
    algorithm = ALGORITHMS[name]
    if kind not in algorithm.kinds:
        fitting = ", ".join(sorted(each for each, other in ALGORITHMS.items() if kind in other.kinds))
        actual = f"{name}, which is for {' and '.join(sorted(algorithm.kinds))}"
        raise TrainingError(expectation("algorithm", f"an algorithm for {kind}", actual, f"choose one of {fitting}"))
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


def fit_network(spec: NetworkSpec, algorithm: Algorithm, schema: Schema, kind: str) -> tuple[nn.Module, int]:
    """The network on the meta device, and the width of its outputs.

    Raises TrainingError where it cannot be built, or does not fit the algorithm or the schema.
    """
    with user_code(f"the network {spec.name!r}"):
        try:
            network = build(spec.name, spec.options)
            outputs = width(network, schema.features)
            algorithm.check(network, schema.targets, outputs, kind)
            if KINDS[kind].weighted and schema.actions is not None:
                policies.check(outputs, schema.targets, schema.actions.is_box)
        except ValueError as error:
            raise TrainingError(str(error)) from error
    return network, outputs
