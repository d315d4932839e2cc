"""Compatible models: those that take the examples of adaptations that other models were adapted to."""

from collections import OrderedDict

import numpy as np

from app.bundles.bundle import ValueNames
from app.service import decisions
from app.service.model import Model
from app.service.record import Adaptation

MAX_REFUSALS = 10_000
"""Refusals that the server remembers."""


class Compatibility:
    """Tells whether a model takes the examples of an adaptation. Where it encodes them, it may refuse them later."""

    def __init__(self) -> None:
        self._refusals: OrderedDict[tuple[str, int, str], None] = OrderedDict()  # id, revision, digest of the model

    def refuse(self, model: Model, adaptation: Adaptation) -> None:
        """Remember that the encoder of a model refused an example, so that it is not asked again."""
        self._refusals[adaptation.id, adaptation.revision, model.digest] = None
        if len(self._refusals) > MAX_REFUSALS:
            self._refusals.popitem(last=False)

    def __call__(self, model: Model, adaptation: Adaptation) -> bool:
        """Whether a model takes the examples, as far as it is known."""
        manifest, stages = model.bundle.manifest, adaptation.stages
        if adaptation.kind != manifest.kind or not all(_may_encode(model, stage.inputs) for stage in stages):
            return False
        if adaptation.value_names is not None and not _have_one_order(adaptation.value_names, model.bundle.value_names):
            return False
        if (adaptation.id, adaptation.revision, model.digest) in self._refusals:
            return False
        if model.bundle.algorithm.needs_examples and not adaptation.task.rows:
            return False
        if (classes := len(adaptation.labels)) > 0:
            return model.max_classes is None or classes <= model.max_classes
        if manifest.schema.actions is not None:
            return all(decisions.fits(each.targets, manifest.schema) for each in stages)
        return stages[0].targets.shape[1:] == (manifest.schema.targets,)


def _have_one_order(ours: ValueNames, theirs: ValueNames) -> bool:
    """Whether the names of numbers are the same. A number alone has no order, whatever its name is."""
    pairs = zip(ours, theirs, strict=True)
    return all(one == other or max(len(one), len(other)) == 1 for one, other in pairs)


def _may_encode(model: Model, inputs: np.ndarray) -> bool:
    """Whether a model may take the inputs of a record. Where it encodes them, it is known for certain only then."""
    if inputs.dtype == object:
        return model.encodes
    return not model.bundle.encoder.keeps_features or inputs.shape[1] == model.bundle.manifest.schema.features
