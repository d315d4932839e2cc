"""Returns of policies in worlds, stage by stage: the evaluation of policies that learn from their own decisions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch

from app.bundles.bundle import Bundle
from app.families.family import Split
from app.families.worlds_protocol import Episodes, HasOracle, Worlds, collect
from app.learn.networks import build, initialize
from app.learn.significance import Interval, interval
from app.training.evaluation_tables import with_interval
from app.training.family_and_network import device_of, worlds_of
from app.training.rollouts import Learner, local_learner, run_stages

SEED = 20170703
"""Of the worlds that published figures are measured in, and of everything drawn in them."""
SCORE = "return of an episode"
OFFLINE, OVER_HTTP = "offline", "over HTTP"
"""The ways in which a policy is run."""


@dataclass(frozen=True)
class Trial:
    """Which worlds a policy acts in, and for how long.

    tasks: worlds, drawn with `seed` from `split`
    episodes: in each world in each stage
    stages: stages of episodes that the policy learns from; it acts before the first and after each
    """

    tasks: int = 40
    episodes: int = 20
    stages: int = 3
    seed: int = SEED
    split: Split = "test"

    def draw_worlds(self, worlds: Worlds[Any, Any], device: torch.device) -> tuple[Any, torch.Generator]:
        """The worlds of the trial, and the generator of everything that is random in them."""
        generator = torch.Generator(device).manual_seed(self.seed)
        return worlds.draw(self.tasks, generator, self.split), generator

    def run(
        self, worlds: Worlds[Any, Any], make_learner: Callable[[torch.Generator], Learner], device: torch.device
    ) -> list[Episodes]:
        """The episodes of a learner in these worlds, stage by stage."""
        tasks, generator = self.draw_worlds(worlds, device)
        return list(run_stages(worlds, tasks, make_learner(generator), self.episodes, self.stages, generator))

    def run_bundle(self, worlds: Worlds[Any, Any], bundle: Bundle) -> list[Episodes]:
        """The episodes of a bundle in this process, stage by stage."""
        return self.run(worlds, lambda generator: local_learner(bundle, self.tasks, generator), device_of(bundle))


def stage_label(count: int) -> str:
    """A number of stages in words."""
    return f"{count} stage{'' if count == 1 else 's'}"


@dataclass(frozen=True)
class Returns:
    """Mean returns over the worlds of a trial, with their 95 % intervals.

    by_stage: before the first stage and after each
    rivals: the same for other policies; a single interval for one that does not learn
    way: how the policy was run; machine: what ran it
    """

    trial: Trial
    by_stage: Sequence[Interval]
    rivals: Mapping[str, Sequence[Interval]] = field(default_factory=dict)
    way: str = OFFLINE
    machine: str = ""

    @property
    def protocol(self) -> str:
        """How the returns were measured, in words."""
        trial = self.trial
        return (
            f"Mean return of an episode, with 95 % intervals over {trial.tasks} worlds of the {trial.split} split "
            f"(seed {trial.seed}). Each stage has {trial.episodes} episodes in each world. The policy draws its actions"
        )

    def as_json(self) -> dict[str, Any]:
        """The evaluation of a bundle.json."""
        return {
            "score": SCORE,
            "protocol": self.protocol,
            "way": self.way,
            "machine": self.machine,
            "trial": asdict(self.trial),
            **_intervals_to_json(self.by_stage),
            "rivals": {name: _intervals_to_json(each) for name, each in self.rivals.items()},
        }

    @classmethod
    def from_json(cls, evaluation: Mapping[str, Any]) -> "Returns":
        """The returns in the evaluation of a bundle.json."""
        rivals = {name: _intervals_from_json(each) for name, each in evaluation["rivals"].items()}
        trial, by_stage = Trial(**evaluation["trial"]), _intervals_from_json(evaluation)
        return cls(trial, by_stage, rivals, evaluation["way"], evaluation["machine"])

    def as_text(self) -> str:
        """A table in Markdown, a row a policy, a column a stage."""
        heads = list(map(stage_label, range(len(self.by_stage))))
        lines = ["| | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
        for name, each in {"this bundle": self.by_stage, **self.rivals}.items():
            cells = [with_interval(*pair) for pair in each] + [""] * (len(heads) - len(each))
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        return "\n".join(lines)


def _intervals_to_json(intervals: Sequence[Interval]) -> dict[str, list[float]]:
    return {"mean": [each.mean for each in intervals], "half_width_95": [each.half_width for each in intervals]}


def _intervals_from_json(values: Mapping[str, Any]) -> list[Interval]:
    return [Interval(*each) for each in zip(values["mean"], values["half_width_95"], strict=True)]


def mean_returns(stages: Sequence[Episodes]) -> list[Interval]:
    """The mean return over the tasks, stage by stage."""
    return [interval(each.returns.mean(1)) for each in stages]


def evaluate_policy(bundle: Bundle, trial: Trial, machine: str = "") -> Returns:
    """The returns of a bundle in its worlds, in this process, and those of its rivals.

    machine: the name of what this runs on
    """
    worlds = worlds_of(bundle)
    by_stage = mean_returns(trial.run_bundle(worlds, bundle))
    return Returns(trial, by_stage, rival_returns(worlds, bundle, trial), machine=machine)


def rival_returns(worlds: Worlds[Any, Any], bundle: Bundle, trial: Trial) -> dict[str, list[Interval]]:
    """The returns in the same worlds of an untrained network, and of the oracle if the worlds have one."""
    returns = {"untrained": mean_returns(trial.run_bundle(worlds, untrained(bundle)))}
    if isinstance(worlds, HasOracle):
        tasks, generator = trial.draw_worlds(worlds, device_of(bundle))
        episodes = collect(worlds, worlds.reset(tasks, trial.episodes, generator), worlds.oracle(tasks))
        returns["oracle"] = mean_returns([episodes])
    return returns


def untrained(bundle: Bundle, seed: int = 0) -> Bundle:
    """The bundle with the meta-parameters that training would begin with."""
    manifest = bundle.manifest
    network, bounds = manifest.network, manifest.inner_loop
    form = build(network.name, network.options)
    params = initialize(network.name, network.options, seed)
    sizes = manifest.schema.targets, bundle.width
    meta = bundle.algorithm.initial_meta(form, params, *sizes, bounds.learning_rate, bounds.steps)
    return replace(bundle, meta={name: value.to(bundle.meta[name].device) for name, value in meta.items()})


def initial_policy_loss(bundle: Bundle, trial: Trial) -> float:
    """The mean absolute loss on episodes of the initialization, over the worlds of the trial."""
    episodes = replace(trial, stages=0).run_bundle(worlds_of(bundle), bundle)[0]
    learner = local_learner(bundle, trial.tasks, torch.Generator(episodes.mask.device))
    with torch.no_grad():
        loss = learner.inner.loss(learner.meta, learner.state, learner.examples(episodes))
    return loss.abs().mean().item()
