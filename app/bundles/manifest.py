"""The manifest of a bundle: what bundle.json holds, and the identity of its predictions."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from app.bundles.schema import Schema
from app.encoders.meanings import Meanings
from app.encoders.spec import EncoderSpec
from app.learn.calibration_table import Calibration
from app.learn.image_ood import ImageReference
from app.learn.networks import NetworkSpec
from app.learn.support_ood import OODReference
from app.learn.target_scale import TargetScale, TargetSpec

FORMAT = 2
"""The format of the bundle.json that is written. Format 1 is read too; it has other names for the same fields."""
OPTIONAL = {"optional": True}
"""The metadata of a field that bundle.json leaves out where it is None."""


@dataclass(frozen=True)
class FamilySpec:
    """The family of tasks that a bundle was trained on, by name, with its options (plain JSON values).

    Serving never loads the family, so it need not be installed; training and evaluation do
    (`app.training.family_and_network.family_of`).
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


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
    ood_reference: what support sets of training tasks look like (`app.training.support_ood_reference`)
    calibration: what makes intervals and probabilities mean what they say (`app.training.calibration`)
    encoder: what turns posted inputs into features; None for the default of the schema (`bundle.default_encoder`)
    meanings: what the numbers of inputs and actions mean; no part of the digest
    label_names: for texts, whether the words of a label count as one more example where a request does not say it
    image_reference: where inputs are images, what those of training look like (`app.training.image_ood_reference`)
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
    image_reference: ImageReference | None = field(default=None, metadata=OPTIONAL)
    label_names: bool | None = field(default=None, metadata=OPTIONAL)
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
        if self.label_names is not None:
            identity["label_names"] = self.label_names
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
