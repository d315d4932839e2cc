"""Members whose features are learned: trained to predict the queries of a task from its known rows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from app.learn.ensemble_network import FEATURES
from app.learn.update_rules import Params
from app.training.tables.ensemble.episodes import Episodes, draw
from app.training.tables.ensemble.training_rows import TrainingRows

TASKS, QUERIES = 16, 32
"""The tasks of a training step, and the queries of each."""
MAX_GRADIENT = 10.0
"""The largest norm of the gradient of a step; a longer one is shortened."""
REPORT_EVERY = 50


@dataclass(frozen=True)
class Features:
    """How the features of a member are trained.

    options: those of `ensemble_network.Member`, `features` with its own
    start: (rows, random numbers) -> the parameters before training
    network: trained parameters -> those of the member's network
    root: trained parameters -> the root of the prior covariance of the weights, the bias last
    steps, rate, decay: of AdamW
    """

    options: Mapping[str, Any]
    start: Callable[[TrainingRows, np.random.Generator], Params]
    network: Callable[[Params], Params]
    root: Callable[[Params], Tensor]
    steps: int
    rate: float
    decay: float


def train_features(
    features: Features,
    rows: TrainingRows,
    targets: np.ndarray,
    max_support: int,
    ordered: bool,
    seed: int,
    progress: Callable[[float], None],
) -> tuple[Params, Params]:
    """The parameters of a member's features, and its prior (`linear_prior.fit_prior`).

    The loss is the negative log-likelihood of queries given 0 to `max_support` known rows, under Bayesian linear
    regression on the features. Harrison et al. 2018 (ALPaCA)

    targets: [row] what the member predicts
    progress: is called with the share that is done
    """
    rng = np.random.default_rng(seed)
    network = _network(features, rows.inputs.shape[1])
    trained = {key: value.clone().requires_grad_() for key, value in features.start(rows, rng).items()}
    optimizer = torch.optim.AdamW(trained.values(), lr=features.rate, weight_decay=features.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, features.rate, features.steps, pct_start=0.1)
    for step in range(features.steps):
        tasks = rng.choice(rows.tasks, min(TASKS, rows.tasks), replace=False)
        sizes = np.floor((max_support + 1) * rng.random(len(tasks)) ** 1.5).astype(int)
        episodes = draw(rows, tasks, sizes, QUERIES, ordered, rng)
        embed = _embedding(network, features.network(trained))
        loss = query_nll(_prior_of(features, trained), embed, rows.inputs, targets, episodes)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(trained.values(), MAX_GRADIENT)
        optimizer.step()
        schedule.step()
        if step % REPORT_EVERY == 0:
            progress(step / features.steps)
    fixed = {key: value.detach() for key, value in trained.items()}
    return features.network(fixed), _prior_of(features, fixed)


def _network(features: Features, inputs: int) -> nn.Module:
    """The structure of the network of the features."""
    options = {key: value for key, value in features.options.items() if key != "features"}
    with torch.device("meta"):
        return FEATURES[features.options["features"]](inputs, **options)


def _embedding(network: nn.Module, params: Params) -> Callable[[Tensor], Tensor]:
    """[task, row, feature] -> [task, row, embedding]."""

    def embed(inputs: Tensor) -> Tensor:
        flat: Tensor = functional_call(network, params, (inputs.flatten(0, 1),))
        return flat.reshape(*inputs.shape[:2], -1)

    return embed


def _prior_of(features: Features, params: Params) -> Params:
    root = features.root(params).contiguous()
    return {"mean": params["prior.mean"], "root": root, "log_noise": params["prior.log_noise"]}


def query_nll(
    prior: Params, embed: Callable[[Tensor], Tensor], inputs: np.ndarray, targets: np.ndarray, episodes: Episodes
) -> Tensor:
    """The mean over tasks of the negative log-likelihood of their queries; in nats, without the constant.

    The algebra is that of `app.learn.ensemble_head` for one member, in float32 and over a batch of tasks.
    """
    (support, query), (known, queried) = episodes.tensors(inputs), episodes.masks()
    y_support, y_query = episodes.tensors(targets)
    terms = nn.functional.pad(embed(torch.cat([support, query], 1)), (0, 1), value=1.0)
    x, x_query = terms[:, : support.shape[1]] * known[..., None], terms[:, support.shape[1] :]
    z = x @ prior["root"]
    factor = torch.linalg.cholesky(torch.eye(z.shape[-1]) + z.mT @ z)
    residual = (y_support - x @ prior["mean"]) * known
    sides = torch.cat([z.mT @ residual[..., None], (x_query @ prior["root"]).mT], 2)
    solved = torch.linalg.solve_triangular(factor, sides, upper=False)
    offset, spread = solved[..., :1], solved[..., 1:]
    predicted = x_query @ prior["mean"] + (spread * offset).sum(1)
    log_variance = (1 + spread.square().sum(1)).log() + prior["log_noise"]
    each = ((y_query - predicted).square() * (-log_variance).exp() + log_variance) / 2
    loss: Tensor = ((each * queried).sum(1) / queried.sum(1)).mean()
    return loss
