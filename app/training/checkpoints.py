"""Checkpoints: one safetensors file, with the recipe and the step as JSON in its metadata, replaced atomically."""

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from app.bundles import replace
from app.errors import TrainingError
from app.training.loop import Run


def save_checkpoint(run: Run, path: Path) -> None:
    """Write all that the run continues from: meta-parameters, optimizer, generator, recipe and step."""
    tensors = {f"meta/{name}": value for name, value in run.meta.items()}
    for index, state in run.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{key}": value for key, value in state.items() if value is not None}
    tensors["generator"] = run.generator.get_state()
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"recipe": _recipe_json(run), "step": str(run.step)}
    replace(path, save({name: value.cpu().contiguous() for name, value in tensors.items()}, metadata))


def restore_checkpoint(run: Run, path: Path) -> None:
    """Put a fresh run where the saved one was. Raises TrainingError where it is not a run of the same recipe."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except SafetensorError as error:
        raise TrainingError(f"{path}: not a checkpoint: {error}; remove it to begin again") from error
    if metadata.get("recipe") != _recipe_json(run):
        raise TrainingError(f"{path} was left by another recipe; --fresh begins again and replaces it")
    optimizer: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        match name.split("/", 2):
            case ["meta", parameter]:
                run.meta[parameter].copy_(value)
            case ["optimizer", index, key]:
                optimizer.setdefault(int(index), {})[key] = value
    groups = run.optimizer.state_dict()["param_groups"]
    run.optimizer.load_state_dict({"state": optimizer, "param_groups": groups})
    run.generator.set_state(tensors["generator"])
    run.step = int(metadata["step"])


def _recipe_json(run: Run) -> str:
    return json.dumps(asdict(run.recipe), sort_keys=True)
