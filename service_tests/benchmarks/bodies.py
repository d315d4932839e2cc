"""The requests that the benchmarks send: sinusoids, as a client would write them."""

import random
from collections.abc import Sequence

import orjson
import torch

from app.families.family import Family
from app.families.sinusoid import Sinusoid
from service_tests.benchmarks.connections import post, send_all
from service_tests.benchmarks.servers import Server

SHOTS, STEPS = 10, 5


def supports(count: int, family: Family | None = None, shots: int = SHOTS, model: str = "sinusoid") -> list[bytes]:
    """Bodies of POST /adapt, each for a task of its own. Numbers have the digits of a float32."""
    samples = (family or Sinusoid()).sample(count, shots, torch.Generator().manual_seed(0))
    return [
        _json({"model": model, "support": {"inputs": inputs, "targets": targets}, "steps": STEPS})
        for inputs, targets in zip(samples.inputs.numpy(), samples.targets.numpy(), strict=True)
    ]


def adapt_all(server: Server, bodies: Sequence[bytes], path: str = "/adapt") -> list[str]:
    """Send these bodies to a server; return the ids of its adaptations."""
    answers = send_all(server.url, [post(path, body) for body in bodies])
    failed = [answer for answer in answers if not answer.good]
    assert not failed, f"{server.name}: {len(failed)} of {len(answers)} did not adapt, the first: {failed[0]}"
    return [orjson.loads(answer.body)["adaptation_id"] for answer in answers]


def queries(ids: Sequence[str], seed: int = 0) -> list[bytes]:
    """Bodies of POST /predict with one query each, for these ids in random order."""
    generator = random.Random(seed)
    inputs = (generator.uniform(-5, 5) for _ in ids)
    return [
        _json({"adaptation_id": adaptation, "queries": [[round(x, 6)]]})
        for adaptation, x in zip(generator.sample(ids, len(ids)), inputs, strict=False)
    ]


def _json(body: object) -> bytes:
    return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
