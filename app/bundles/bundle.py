"""A bundle in memory."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from torch.func import grad_and_value

from app.bundles.manifest import Manifest
from app.bundles.schema import Schema
from app.encoders.encoder import Encoder
from app.encoders.image import ImageEncoder
from app.encoders.meanings import Meanings
from app.encoders.numbers import NumbersEncoder
from app.encoders.registry import restore
from app.encoders.spec import EncoderSpec
from app.learn.algorithms import ALGORITHMS, Algorithm
from app.learn.inner import InnerLoop, State
from app.learn.losses import KINDS, Loss
from app.learn.networks import build
from app.learn.target_scale import TargetSpec, with_target_scale
from app.learn.update_rules import Params

ValueNames = tuple[tuple[str, ...], tuple[str, ...]]
"""Of the numbers in an input, and of those in a target or an action."""


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

    @property
    def takes_features(self) -> bool:
        """Whether features can be posted, as a family draws them: numbers as they are, or images."""
        return self.manifest.encoder is None or bool(self.manifest.schema.image)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns of an input; empty where they have none."""
        names = [column["name"] for column in self.encoder.describe()["columns"]]
        return () if None in names else tuple(names)

    @cached_property
    def value_names(self) -> ValueNames:
        """The names of the values that a record keeps by their position alone; empty where they have none."""
        meanings = self.manifest.meanings or Meanings()
        inputs = [each.name for each in meanings.inputs] or self.columns
        targets = [each.name for each in meanings.actions] or (self.manifest.targets or TargetSpec()).names
        return tuple(inputs) if self.encoder.name == NumbersEncoder.name else (), tuple(targets)

    @property
    def algorithm(self) -> Algorithm:
        """The algorithm that the bundle adapts with."""
        return ALGORITHMS[self.manifest.algorithm]


def default_encoder(schema: Schema) -> Encoder:
    """The encoder of a bundle that names none: images where the schema has them, else rows of numbers as they are."""
    if schema.image:
        return ImageEncoder((schema.shape[0], schema.shape[1]))
    return NumbersEncoder(schema.shape or (schema.features,))


def without_default_encoder(manifest: Manifest, arrays: Mapping[str, np.ndarray]) -> Manifest:
    """The same manifest, which names no encoder if that is the default."""
    if manifest.encoder is None or arrays or manifest.encoder != EncoderSpec.of(default_encoder(manifest.schema)):
        return manifest
    return replace(manifest, encoder=None)
