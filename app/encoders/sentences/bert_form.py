"""The sizes of a BERT."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self


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
        """The form in a config.json. Raises KeyError and ValueError where it is not that of a BERT."""
        if config["model_type"] != "bert" or config["hidden_act"] != "gelu":
            raise ValueError(f"a {config['model_type']!r} with {config['hidden_act']!r}")
        names = "num_hidden_layers", "num_attention_heads", "hidden_size", "vocab_size", "max_position_embeddings"
        sizes = [config[name] for name in names]
        if not all(type(size) is int and size > 0 for size in sizes):
            raise ValueError(f"the sizes {sizes}")
        layers, heads, width, tokens, positions = (int(str(size)) for size in sizes)
        return cls(layers, heads, width, tokens, positions, float(str(config["layer_norm_eps"])))
