"""The members of an ensemble, and its network and meta-parameters made of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from app.learn.algorithms import ALGORITHMS
from app.learn.ensemble_network import POOLED
from app.learn.heads import HEAD
from app.learn.networks import NetworkSpec, build, initialize, width
from app.learn.update_rules import Params
from app.training.tables.ensemble.feature_kinds import perceptron_features, radial_features
from app.training.tables.ensemble.learned_features import Features, train_features
from app.training.tables.ensemble.linear_prior import fit_prior
from app.training.tables.ensemble.pooled import pooled_options
from app.training.tables.ensemble.recent_offset import CHOSEN, LAST, RecentOffset
from app.training.tables.ensemble.spline_member import fit_splines
from app.training.tables.ensemble.training_rows import Scales, TrainingRows

MAX_COLUMNS = 40
"""A mixed model has at most so many columns; of more, it has their main directions."""


@dataclass(frozen=True)
class MemberKind:
    """A member, and how it is fitted.

    pooled: the prediction that it sees, one of POOLED; empty for none
    residual: whether it predicts the residuals of that prediction, so that its weight is fixed at 1
    columns: whether it sees the columns
    splines: whether it sees linear splines of the columns
    learned: number of features -> the features that it learns; None for none
    recent: for a member on residuals, how the last known rows count more than those before; None for all alike
    """

    name: str
    pooled: str = ""
    residual: bool = False
    columns: bool = False
    splines: bool = False
    learned: Callable[[int], Features] | None = None
    recent: RecentOffset | None = None


KINDS = (
    MemberKind("offset", "mixture", residual=True),
    MemberKind("linear", "linear", residual=True),
    MemberKind("boosting", "trees", residual=True),
    MemberKind("mixed", columns=True),
    MemberKind("mixed on pooled", "mixture", columns=True),
    MemberKind("learned 1", learned=lambda inputs: perceptron_features()),
    MemberKind("learned 2", learned=lambda inputs: perceptron_features()),
    MemberKind("process", learned=radial_features),
    MemberKind("process on residuals", "mixture", residual=True, learned=radial_features),
    MemberKind("splines", splines=True),
)
FORECAST_KINDS = (
    MemberKind("recent offset", "mixture", residual=True, recent=CHOSEN),
    MemberKind("last residual", "mixture", residual=True, recent=LAST),
    MemberKind("last residual of boosting", "trees", residual=True, recent=LAST),
)
"""Those that depend on the order of the known rows."""


def kinds_of(ordered: bool) -> Sequence[MemberKind]:
    """All members of an ensemble. ordered: whether it forecasts later rows from the first"""
    return (*KINDS, *FORECAST_KINDS) if ordered else KINDS


FEATURES, PRIOR, DISCOUNT = "features.", "prior.", "discount"
"""The names of a fitted member's tensors, or their prefixes: its features' parameters, its prior and its discount."""


def member_options(kind: MemberKind, member: Params, inputs: int) -> dict[str, Any]:
    """The options of `ensemble_network.Member` for a fitted member."""
    options: dict[str, Any] = {"pooled": kind.pooled}
    if kind.columns:
        options |= {"features": "linear", "outputs": min(inputs, MAX_COLUMNS)}
    if kind.splines:
        options |= {"features": "splines", "hinges": len(member[f"{FEATURES}knots"])}
    if kind.recent is not None:
        options |= {"discount": member[DISCOUNT].item()}
    return options if kind.learned is None else options | dict(kind.learned(inputs).options)


def fit_member(
    kind: MemberKind,
    rows: TrainingRows,
    pooled: np.ndarray,
    max_support: int,
    ordered: bool,
    seed: int,
    progress: Callable[[float], None] = lambda share: None,
) -> Params:
    """The parameters of a member's features (FEATURES), its prior (PRIOR, `linear_prior.fit_prior`) and its DISCOUNT.

    pooled: out-of-fold predictions, as `fit_pooled` returns them
    """
    prediction = pooled[:, POOLED.index(kind.pooled)] if kind.pooled else np.zeros(len(rows.targets), np.float32)
    targets = rows.targets - prediction if kind.residual else rows.targets
    params: Params = {}
    own: Params = {}
    if kind.recent is not None:
        discount, prior = kind.recent.fit(rows, targets, max_support)
        own = {DISCOUNT: torch.tensor(discount, dtype=torch.float64)}
    elif kind.learned is not None:
        learned = kind.learned(rows.inputs.shape[1])
        params, prior = train_features(learned, rows, targets.astype(np.float32), max_support, ordered, seed, progress)
    elif kind.splines:
        params, prior = fit_splines(rows, targets)
    else:
        params, prior = _fit_linear(kind, rows, prediction, targets)
    prior = _with_fixed_weight(prior) if kind.residual else prior
    return own | {
        f"{prefix}{name}": value.detach()
        for prefix, part in ((FEATURES, params), (PRIOR, prior))
        for name, value in part.items()
    }


def _fit_linear(
    kind: MemberKind, rows: TrainingRows, prediction: np.ndarray, targets: np.ndarray
) -> tuple[Params, Params]:
    """The parameters and the prior of a member whose terms are a prediction, the columns, or a constant alone."""
    params, terms = {}, np.ones((len(targets), 1))
    if kind.columns:
        directions = main_directions(rows.inputs)
        params = {"weight": torch.from_numpy(directions)}
        terms = np.concatenate([rows.inputs @ directions.T, terms], axis=1)
    if kind.pooled and not kind.residual:
        terms = np.concatenate([prediction[:, None], terms], axis=1)
    return params, fit_prior(rows, terms, targets)


def main_directions(inputs: np.ndarray) -> np.ndarray:
    """[direction, feature]: one for each feature, or the MAX_COLUMNS directions of the largest variance."""
    features = inputs.shape[1]
    if features <= MAX_COLUMNS:
        return np.eye(features, dtype=np.float32)
    _, vectors = np.linalg.eigh(np.cov(inputs.T))
    return np.ascontiguousarray(vectors[:, ::-1][:, :MAX_COLUMNS].T, np.float32)


def _with_fixed_weight(prior: Params) -> Params:
    """The prior of a member on residuals, with the prediction that it adds in front: a term of weight 1."""
    root = torch.nn.functional.pad(prior["root"], (1, 0, 1, 0))
    return {**prior, "mean": torch.nn.functional.pad(prior["mean"], (1, 0), value=1.0), "root": root}


def assemble(
    kinds: Sequence[MemberKind], members: Sequence[Params], pooled: Params, scales: Scales
) -> tuple[NetworkSpec, Params]:
    """The network and the meta-parameters of an ensemble, with even weights.

    members: as `fit_member` returns them
    """
    inputs = len(scales.input_mean)
    longest = max(len(member[f"{PRIOR}mean"]) for member in members) - 1
    each = [member_options(kind, member, inputs) for kind, member in zip(kinds, members, strict=True)]
    options = {"inputs": inputs, "width": longest, "members": each}
    spec = NetworkSpec("ensemble", options | pooled_options(pooled))
    network = build(spec.name, spec.options)
    params = initialize(spec.name, spec.options, seed=0)
    meta = ALGORITHMS["ensemble"].initial_meta(network, params, 1, width(network, inputs), rate=1.0, steps=1)
    meta |= {
        "standardise.mean": torch.from_numpy(scales.input_mean),
        "standardise.std": torch.from_numpy(scales.input_std),
        **{f"pooled.{name}": value for name, value in pooled.items()},
        **{
            f"member.{index}.{name}": value
            for index, member in enumerate(members)
            for name, value in member.items()
            if name.startswith(FEATURES)
        },
        **_priors(members, longest + 1),
    }
    return spec, {name: value.detach().float().contiguous() for name, value in meta.items()}


def _priors(members: Sequence[Params], terms: int) -> Params:
    """The priors of all members, padded to the same number of terms: the bias is last."""
    mean, root = torch.zeros(len(members), terms, 1), torch.zeros(len(members), terms, terms)
    for index, member in enumerate(members):
        own = len(member[f"{PRIOR}mean"])
        place = [*range(own - 1), terms - 1]
        mean[index, place, 0] = member[f"{PRIOR}mean"]
        root[index][np.ix_(place, place)] = member[f"{PRIOR}root"]
    noise = torch.stack([member[f"{PRIOR}log_noise"] for member in members])
    return {f"{HEAD}prior_mean": mean, f"{HEAD}prior_root": root, f"{HEAD}log_noise": noise}
