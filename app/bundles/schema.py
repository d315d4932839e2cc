"""The form of the examples of a bundle."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from app.errors import expectation, one_of
from app.learn.decision_weights import Weighing
from app.learn.losses import KINDS
from app.learn.policies import Actions

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
