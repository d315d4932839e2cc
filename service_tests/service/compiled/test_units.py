"""A target scale is compiled with the inner loop: the same numbers as eager, in the user's units."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from app.bundles.bundle import Bundle
from app.bundles.folder import load
from app.learn.networks import NetworkSpec
from app.learn.target_scale import TargetScale, TargetSpec
from app.service.compiled import choose_faster, single_task
from app.service.compiled.compile_models import compile_look_up, compile_single, compile_steps, compile_unrolled
from app.service.compiled.program import Recording
from app.service.model import Model
from app.service.task import Task
from service_tests.bundles import write_bundle

SCALES = {
    "one target": TargetScale((600.0,), (170.0,)),
    "several deviations": TargetScale((600.0, 0.0), (170.0, 1e-3)),
}
CPU = torch.device("cpu")


def scaled_bundle(folder: Path, scale: TargetScale) -> Bundle:
    targets = len(scale.mean)
    network = NetworkSpec("mlp", {"inputs": 1, "outputs": targets, "hidden": [16, 16]})
    write_bundle(folder, "linear", "maml", network, options={"targets": targets}, steps=2, rate=0.05)
    bundle = load(folder)
    return replace(bundle, manifest=replace(bundle.manifest, targets=TargetSpec(scale=scale)))


def some_task(scale: TargetScale, seed: int, steps: int) -> Task:
    rng = np.random.default_rng(seed)
    inputs = rng.uniform(-1, 1, (7, 1)).astype(np.float32)
    targets = rng.uniform(-1, 1, (7, len(scale.mean))) * scale.std + scale.mean
    return Task(inputs, targets.astype(np.float32), steps, 0.05)


@pytest.mark.compiled
@pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES)
def test_compiled_and_eager_agree(scale: TargetScale, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compare = choose_faster.speedup
    monkeypatch.setattr(choose_faster, "MIN_SECONDS", 0.0)
    # it still raises where the numbers differ
    monkeypatch.setattr(choose_faster, "speedup", lambda *words: max(2.0, compare(*words)))
    bundle = scaled_bundle(tmp_path / "scaled", scale)
    eager, compiled = Model(bundle, CPU), Model(bundle, CPU)
    recorded: list[Recording] = []

    def record(*words: Any) -> Recording:
        recorded.append(Recording(*words))
        return recorded[-1]

    monkeypatch.setattr(single_task, "Recording", record)
    for stage in (compile_steps, compile_look_up, compile_unrolled, compile_single):
        compiled.functions = stage(compiled)
    assert compiled.compiled
    queries = np.linspace(-1, 1, 5, dtype=np.float32)[:, None]
    for steps, count in ((2, 1), (2, 20), (3, 4)):
        tasks = [some_task(scale, seed, steps) for seed in range(count)]
        (states, outcomes), (expected_states, expected) = compiled.adapt(tasks), eager.adapt(tasks)
        torch.testing.assert_close(states[:count], expected_states[:count], rtol=1e-4, atol=1e-4)
        for one, two in zip(outcomes, expected, strict=True):
            np.testing.assert_allclose(one.losses, two.losses, rtol=1e-3)
        answers = [model.predict(states, [queries] * count) for model in (compiled, eager)]
        for answer, other in zip(*answers, strict=True):
            np.testing.assert_allclose((answer - other) / scale.std, 0, atol=max(1e-3, 1e-7 * max(scale.mean)))
        rows = torch.arange(count)
        looked_up = compiled.predict_rows(states, rows, [queries[:1]] * count)
        np.testing.assert_allclose(looked_up, eager.predict_rows(states, rows, [queries[:1]] * count), rtol=1e-4)
    assert recorded, "the program of a single task is still one of C functions alone"
