"""The sizes of a BERT."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from app.encoders.error_places import show
from app.errors import expectation

KNOWN = {"model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute", "is_decoder": False}
"""What a config.json has to say to be read rightly here."""
DEFAULTS = {"position_embedding_type": "absolute", "is_decoder": False}
"""Of fields that may be missing."""
SIZES = "num_hidden_layers", "num_attention_heads", "hidden_size", "vocab_size", "max_position_embeddings"
CHOOSE = "choose another model"


class Pooling(StrEnum):
    """How the outputs for the tokens of a sentence become one embedding: their mean, or that of the first token."""

    mean = "mean"
    first = "first"


@dataclass(frozen=True)
class BertForm:
    """The sizes of a BERT, as its config.json has them.

    epsilon: of the normalisations
    """

    layers: int
    heads: int
    width: int
    tokens: int
    positions: int
    epsilon: float

    @classmethod
    def of(cls, config: Mapping[str, object]) -> Self:
        """The form in a config.json. Raises ValueError with the field where it is not that of a BERT."""
        for name, known in KNOWN.items():
            if (value := config.get(name, DEFAULTS.get(name))) != known:
                raise ValueError(expectation(name, show(known), show(value), CHOOSE))
        for name in SIZES:
            size = config.get(name)
            if type(size) is not int or size <= 0:
                raise ValueError(expectation(name, "a whole number above 0", show(size), CHOOSE))
        layers, heads, width, tokens, positions = (int(str(config[name])) for name in SIZES)
        if width % heads:
            raise ValueError(expectation("hidden_size", f"a multiple of {heads} heads", width, CHOOSE))
        epsilon = config.get("layer_norm_eps")
        if not isinstance(epsilon, int | float) or not 0 < epsilon < 1:
            raise ValueError(expectation("layer_norm_eps", "a number from 0 to 1", show(epsilon), CHOOSE))
        return cls(layers, heads, width, tokens, positions, float(epsilon))
