"""Checkpoints: one safetensors file, with the recipe and the progress in its metadata, replaced atomically."""

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from app.atomic_write import write_atomically
from app.errors import TrainingError, expectation
from app.training.early_stopping import Best
from app.training.training_run import Run


def save_checkpoint(run: Run, path: Path) -> None:
    """Write everything that the run continues from: meta-parameters, the best so far, optimizer, generator, step."""
    tensors = {f"meta/{name}": value for name, value in run.meta.items()}
    for index, state in run.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{key}": value for key, value in state.items() if value is not None}
    tensors["generator"] = run.generator.get_state()
    metadata = {"recipe": _recipe_json(run), "step": str(run.step), "seconds": str(run.seconds)}
    if run.best is not None:
        tensors |= {f"best/{name}": value for name, value in run.best.meta.items()}
        metadata |= {"best_score": str(run.best.score), "best_step": str(run.best.step)}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, save({name: value.cpu().contiguous() for name, value in tensors.items()}, metadata))


def restore_checkpoint(run: Run, path: Path) -> None:
    """Put a fresh run into the saved state. Raises TrainingError where the checkpoint is of another recipe."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except SafetensorError as error:
        fix = "start again with --fresh, which replaces it"
        raise TrainingError(expectation(str(path), "a checkpoint", f'"{error}"', fix)) from error
    if metadata.get("recipe") != _recipe_json(run):
        fix = "start again with --fresh, which replaces it"
        raise TrainingError(expectation(str(path), "a checkpoint of this recipe", "one of another recipe", fix))
    optimizer: dict[int, dict[str, torch.Tensor]] = {}
    best: dict[str, torch.Tensor] = {}
    for name, value in tensors.items():
        match name.split("/", 2):
            # the name of a parameter may have slashes
            case ["meta", *parameter]:
                run.meta["/".join(parameter)].copy_(value)
            case ["best", *parameter]:
                best["/".join(parameter)] = value.to(run.device)
            case ["optimizer", index, key]:
                optimizer.setdefault(int(index), {})[key] = value
    groups = run.optimizer.state_dict()["param_groups"]
    run.optimizer.load_state_dict({"state": optimizer, "param_groups": groups})
    run.generator.set_state(tensors["generator"])
    run.step, run.seconds = int(metadata["step"]), float(metadata["seconds"])
    run.best = Best(float(metadata["best_score"]), int(metadata["best_step"]), best) if best else None


def _recipe_json(run: Run) -> str:
    return json.dumps(asdict(run.recipe), sort_keys=True)
