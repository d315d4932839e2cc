"""What policies gain in worlds, stage by stage: the score of what learns from its own decisions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch

from app.bundles import Bundle
from app.families.family import Split
from app.families.worlds import Episodes, HasOracle, Worlds, collect
from app.learn.metrics import Interval, interval
from app.learn.networks import build, initialize, width
from app.training.rollouts import Learner, practice_of, stages

SEED = 20170703
"""Of the worlds that a figure is published of, and of what is drawn in them."""
SCORE = "return of an episode"
OFFLINE, OVER_HTTP = "offline", "over HTTP"
"""The ways in which a policy is asked."""


@dataclass(frozen=True)
class Trial:
    """Which worlds are acted in, and how long.

    tasks: worlds, drawn with `seed` from `split`; episodes: in each world in each stage
    stages: that are learned from; what is gained is known before the first and after each
    """

    tasks: int = 40
    episodes: int = 20
    stages: int = 3
    seed: int = SEED
    split: Split = "test"

    def drawn(self, worlds: Worlds[Any, Any], device: torch.device) -> tuple[Any, torch.Generator]:
        """The worlds, and the generator of all that is left to chance in them."""
        generator = torch.Generator(device).manual_seed(self.seed)
        return worlds.draw(self.tasks, generator, self.split), generator

    def of(
        self, worlds: Worlds[Any, Any], learner: Callable[[torch.Generator], Learner], device: torch.device
    ) -> list[Episodes]:
        """What a learner does in them, stage by stage."""
        drawn, generator = self.drawn(worlds, device)
        return list(stages(worlds, drawn, learner(generator), self.episodes, self.stages, generator))

    def of_bundle(self, worlds: Worlds[Any, Any], bundle: Bundle) -> list[Episodes]:
        """What a bundle in this process does in them."""
        device = next(iter(bundle.meta.values())).device
        return self.of(worlds, lambda generator: practice_of(bundle, self.tasks, generator), device)


def stage_label(count: int) -> str:
    """So many stages in words."""
    return f"{count} stage{'' if count == 1 else 's'}"


@dataclass(frozen=True)
class Returns:
    """Mean returns over the worlds of a trial, with their 95 % intervals.

    by_stage: before the first stage and after each; rivals: the same of others, or one alone of who does not learn
    way: how the policy was asked; machine: on what
    """

    trial: Trial
    by_stage: Sequence[Interval]
    rivals: Mapping[str, Sequence[Interval]] = field(default_factory=dict)
    way: str = OFFLINE
    machine: str = ""

    @property
    def protocol(self) -> str:
        """Which worlds these are, in a sentence."""
        trial = self.trial
        return (
            f"Mean return of an episode, with 95 % intervals over {trial.tasks} worlds of the {trial.split} split "
            f"(seed {trial.seed}), {trial.episodes} episodes in each in each stage, actions as the policy draws them"
        )

    def as_json(self) -> dict[str, Any]:
        """For bundle.json."""
        return {
            "score": SCORE,
            "protocol": self.protocol,
            "way": self.way,
            "machine": self.machine,
            "trial": asdict(self.trial),
            **_split(self.by_stage),
            "rivals": {name: _split(each) for name, each in self.rivals.items()},
        }

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> "Returns":
        """Those that stand in a bundle.json."""
        rivals = {name: _joined(each) for name, each in written["rivals"].items()}
        return cls(Trial(**written["trial"]), _joined(written), rivals, written["way"], written["machine"])

    def as_text(self) -> str:
        """A table in Markdown, a row for each policy, a column a stage."""
        heads = list(map(stage_label, range(len(self.by_stage))))
        lines = ["| | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
        for name, each in {"this bundle": self.by_stage, **self.rivals}.items():
            cells = [f"{mean:.2f} ± {half:.2f}" for mean, half in each] + [""] * (len(heads) - len(each))
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        return "\n".join(lines)


def _split(intervals: Sequence[Interval]) -> dict[str, list[float]]:
    return {"mean": [each.mean for each in intervals], "half_width_95": [each.half_width for each in intervals]}


def _joined(written: Mapping[str, Any]) -> list[Interval]:
    return [Interval(*each) for each in zip(written["mean"], written["half_width_95"], strict=True)]


def intervals(episodes: Sequence[Episodes]) -> list[Interval]:
    """The mean return over the tasks in each stage."""
    return [interval(each.returns.mean(1)) for each in episodes]


def rivals(worlds: Worlds[Any, Any], bundle: Bundle, trial: Trial) -> dict[str, list[Interval]]:
    """What the same worlds bring to an untrained network, and to who knows them where the family has such an oracle."""
    found = {"untrained": intervals(trial.of_bundle(worlds, untrained(bundle)))}
    if isinstance(worlds, HasOracle):
        drawn, generator = trial.drawn(worlds, next(iter(bundle.meta.values())).device)
        alone = collect(worlds, worlds.reset(drawn, trial.episodes, generator), worlds.oracle(drawn))
        found["oracle"] = intervals([alone])
    return found


def untrained(bundle: Bundle, seed: int = 0) -> Bundle:
    """The bundle with the meta-parameters that training would begin with."""
    manifest = bundle.manifest
    network, bounds = manifest.network, manifest.inner_loop
    form = build(network.name, network.options)
    fresh = initialize(network.name, network.options, seed)
    sizes = manifest.schema.targets, width(form, manifest.schema.features)
    meta = bundle.algorithm.initial_meta(form, fresh, *sizes, bounds.learning_rate, bounds.steps)
    return replace(bundle, meta={name: value.to(bundle.meta[name].device) for name, value in meta.items()})
