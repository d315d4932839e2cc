"""The requests that the benchmarks send: sinusoids, as a client would write them."""

import orjson
import torch

from app.families.family import Family
from app.families.sinusoid import Sinusoid

SHOTS, STEPS = 10, 5


def supports(count: int, family: Family | None = None, shots: int = SHOTS, model: str = "sinusoid") -> list[bytes]:
    """Bodies of POST /adapt, each of a task of its own. Numbers have the digits that a float32 has."""
    drawn = (family or Sinusoid()).sample(count, shots, torch.Generator().manual_seed(0))
    return [
        _json({"model": model, "support": {"inputs": inputs, "targets": targets}, "steps": STEPS})
        for inputs, targets in zip(drawn.inputs.numpy(), drawn.targets.numpy(), strict=True)
    ]


def _json(body: object) -> bytes:
    return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
