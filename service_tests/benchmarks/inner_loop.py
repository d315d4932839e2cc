"""How many tasks a second does the inner loop adapt, beside `deepcopy` + SGD and beside TorchOpt?

Sinusoid MLP 1-40-40-1, 10 examples, 5 steps, one thread. Ours is what the server runs: the masked, compiled step over
a padded batch, from numpy arrays to states, losses and their judgement. The rivals adapt one task after another, which
is what their interfaces are made for; they too begin at numpy arrays.
"""

import copy
from pathlib import Path

import numpy as np
import torch
import torchopt
from report import seconds_each, write
from torch import nn

from app.bundles import load
from app.learn.networks import mlp
from app.service.model import Model
from app.service.task import Task

SHOTS, STEPS, RATE = 10, 5, 0.01


def rivals(network: nn.Module, task: Task) -> dict[str, float]:
    """Seconds a task of `deepcopy` + SGD and of TorchOpt."""
    x, y = torch.from_numpy(task.inputs), torch.from_numpy(task.targets)
    loss_of = nn.functional.mse_loss

    def deepcopy_and_sgd() -> nn.Module:
        fast = copy.deepcopy(network)
        optimizer = torch.optim.SGD(fast.parameters(), lr=RATE)
        for _ in range(STEPS):
            optimizer.zero_grad()
            loss_of(fast(x), y).backward()
            optimizer.step()
        return fast

    optimizer = torchopt.MetaSGD(network, lr=RATE)
    start = torchopt.extract_state_dict(network), torchopt.extract_state_dict(optimizer)

    def torchopt_meta_sgd() -> nn.Module:
        for _ in range(STEPS):
            optimizer.step(loss_of(network(x), y))
        torchopt.recover_state_dict(network, start[0])
        torchopt.recover_state_dict(optimizer, start[1])
        return network

    return {"deepcopy + SGD": seconds_each(deepcopy_and_sgd), "TorchOpt": seconds_each(torchopt_meta_sgd)}


def main() -> None:
    """Measure and write."""
    torch.set_num_threads(1)
    drawn = np.random.default_rng(0)
    x = drawn.uniform(-5, 5, (256, SHOTS, 1)).astype(np.float32)
    tasks = [Task(each, np.sin(each), STEPS, RATE) for each in x]

    bundle = load(Path(__file__).parents[2] / "models" / "sinusoid")
    network = mlp(1, 1)
    network.load_state_dict(bundle.meta)
    theirs = rivals(network, tasks[0])
    best = min(theirs.values())

    model = Model(bundle, torch.device("cpu"))
    ours = {f"eager vmap, {size} tasks": seconds_each(lambda n=size: model.adapt(tasks[:n])) / size for size in (1, 256)}
    model.compile()
    for size in (1, 8, 64, 256):
        ours[f"served step, {size} tasks"] = seconds_each(lambda n=size: model.adapt(tasks[:n])) / size

    rows = [
        {"way": way, "tasks_per_s": round(1 / seconds), "us_per_task": round(seconds * 1e6, 1),
         "times_the_best_rival": round(best / seconds, 1)}
        for way, seconds in (theirs | ours).items()
    ]  # fmt: skip
    write("inner_loop", f"Tasks a second of the inner loop: {SHOTS} examples, {STEPS} steps, MLP 1-40-40-1", rows)


if __name__ == "__main__":
    main()
