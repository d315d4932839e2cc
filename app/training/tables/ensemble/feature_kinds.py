"""Which features members learn: those of a perceptron, or of a Gaussian process."""

import itertools

import numpy as np
import torch
from torch import Tensor

from app.learn.update_rules import Params
from app.training.tables.ensemble.learned_features import Features
from app.training.tables.ensemble.training_rows import TrainingRows

NOISE = 0.3
"""The variance of the noise before training, in those of the targets."""


def perceptron_features(hidden: tuple[int, ...] = (64, 64), outputs: int = 32, steps: int = 400) -> Features:
    """Features by a perceptron, and any prior covariance."""

    def start(rows: TrainingRows, rng: np.random.Generator) -> Params:
        params: Params = {}
        widths = [rows.inputs.shape[1], *hidden, outputs]
        for index, (before, after) in enumerate(itertools.pairwise(widths)):
            weight = rng.normal(size=(after, before)) / np.sqrt(before)
            params[f"{2 * index}.weight"] = torch.from_numpy(weight.astype(np.float32))
            params[f"{2 * index}.bias"] = torch.zeros(after)
        scale = torch.full((outputs + 1,), 0.3)
        return {**params, **_prior(rng, outputs + 1), "prior.root": torch.diag(scale)}

    def network(params: Params) -> Params:
        return {key: value for key, value in params.items() if not key.startswith("prior.")}

    options = {"features": "perceptron", "hidden": list(hidden), "outputs": outputs}
    # few steps at a large rate: with more steps the features tell the training tasks apart by heart
    return Features(options, start, network, lambda params: params["prior.root"].tril(), steps, 1e-2, 1e-3)


def radial_features(inputs: int, points: int = 40, outputs: int = 20, steps: int = 350) -> Features:
    """A Gaussian process in the span of some points: RBF with a length per column, linear and constant kernels.

    Snelson and Ghahramani 2006, "Sparse Gaussian Processes using Pseudo-inputs"
    """
    outputs = min(inputs, outputs)

    def start(rows: TrainingRows, rng: np.random.Generator) -> Params:
        chosen = rng.choice(len(rows.inputs), points, replace=len(rows.inputs) < points)
        jitter = rng.normal(size=(points, inputs)) * 0.05
        directions = (
            np.linalg.svd(rows.inputs - rows.inputs.mean(0), full_matrices=False)[2][:outputs]
            if inputs > outputs
            else np.eye(inputs)
        )
        return {
            **_prior(rng, points + outputs + 1, spread=0.0),
            "points": torch.from_numpy((rows.inputs[chosen] + jitter).astype(np.float32)),
            "log_length": torch.full((inputs,), 0.5 * float(np.log(inputs)) + 0.3),
            "linear": torch.from_numpy(directions.astype(np.float32)),
            "prior.log_radial": torch.zeros(()),
            "prior.log_linear": torch.full((outputs,), -1.0),
            "prior.log_constant": torch.zeros(()),
        }

    def network(params: Params) -> Params:
        length = params["log_length"].exp()
        scaled = params["points"] / length
        kernel = (-torch.cdist(scaled, scaled, compute_mode="donot_use_mm_for_euclid_dist").square() / 2).exp()
        factor = torch.linalg.cholesky(kernel + 1e-3 * torch.eye(points))
        whiten = torch.linalg.solve_triangular(factor, torch.eye(points), upper=False).mT
        return {
            "points": params["points"],
            "length": length,
            "whiten": whiten,
            "linear.weight": params["linear"].detach(),
        }

    def root(params: Params) -> Tensor:
        radial = params["prior.log_radial"].exp().expand(points)
        linear, constant = params["prior.log_linear"].exp(), params["prior.log_constant"].exp().reshape(1)
        return torch.diag(torch.cat([radial, linear, constant]))

    options = {"features": "radial", "points": points, "outputs": outputs}
    return Features(options, start, network, root, steps, 2e-2, 0.0)


def _prior(rng: np.random.Generator, terms: int, spread: float = 0.05) -> Params:
    """The mean of the weights and the noise before training."""
    mean = (rng.normal(size=terms) * spread).astype(np.float32)
    return {"prior.mean": torch.from_numpy(mean), "prior.log_noise": torch.full((1,), float(np.log(NOISE)))}
