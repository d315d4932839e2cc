"""An encoder as a bundle stores it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from app.encoders.encoder import Encoder


@dataclass(frozen=True)
class EncoderSpec:
    """An encoder by name, with its state, as `Encoder.to_json` gives it. Its arrays are kept apart."""

    name: str
    state: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, encoder: Encoder) -> Self:
        """What restores the encoder, together with its arrays."""
        return cls(encoder.name, encoder.to_json())
