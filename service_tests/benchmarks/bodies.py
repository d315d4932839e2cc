"""The requests that the benchmarks send: sinusoids, as a client would write them."""

import random
from collections.abc import Sequence

import orjson
import torch

from app.families.family import Family
from app.families.sinusoid import Sinusoid
from service_tests.benchmarks.connections import ask_all, post
from service_tests.benchmarks.servers import Server

SHOTS, STEPS = 10, 5


def supports(count: int, family: Family | None = None, shots: int = SHOTS, model: str = "sinusoid") -> list[bytes]:
    """Bodies of POST /adapt, each of a task of its own. Numbers have the digits that a float32 has."""
    drawn = (family or Sinusoid()).sample(count, shots, torch.Generator().manual_seed(0))
    return [
        _json({"model": model, "support": {"inputs": inputs, "targets": targets}, "steps": STEPS})
        for inputs, targets in zip(drawn.inputs.numpy(), drawn.targets.numpy(), strict=True)
    ]


def adapted(server: Server, bodies: Sequence[bytes], path: str = "/adapt") -> list[str]:
    """The ids of the adaptations that a server made of these bodies."""
    answers = ask_all(server.url, [post(path, body) for body in bodies])
    bad = [answer for answer in answers if not answer.good]
    assert not bad, f"{server.name}: {len(bad)} of {len(answers)} did not adapt, the first: {bad[0]}"
    return [orjson.loads(answer.body)["adaptation_id"] for answer in answers]


def queries(ids: Sequence[str], seed: int = 0) -> list[bytes]:
    """Bodies of POST /predict with one query each, by these ids in random turn."""
    generator = random.Random(seed)
    inputs = (generator.uniform(-5, 5) for _ in ids)
    return [
        _json({"adaptation_id": adaptation, "queries": [[round(x, 6)]]})
        for adaptation, x in zip(generator.sample(ids, len(ids)), inputs, strict=False)
    ]


def _json(body: object) -> bytes:
    return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
