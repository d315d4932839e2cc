"""Fitting in stages: each gives tensors by name, which can be kept, so that an interrupted fit goes on."""

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from typing import NamedTuple

from app.learn.update_rules import Params


class Progress(NamedTuple):
    """How far a fit is. text: what it does now; share: of the work that is done, from 0 to 1"""

    text: str
    share: float


@dataclass
class Stages:
    """Runs stages one after another.

    report: is told the progress
    kept: the results of stages by name; a stage that is there is not run again. A mapping that writes files can be
        given
    total: the work of all stages, in the unit of their weights
    """

    report: Callable[[Progress], None]
    kept: MutableMapping[str, Params]
    total: float
    done: float = field(default=0.0, init=False)

    def run(self, name: str, work: float, stage: Callable[[Callable[[float], None]], Params]) -> Params:
        """The result of a stage. stage: is given what it calls with the share of its work that is done"""

        def progress(share: float) -> None:
            self.report(Progress(name, min(1.0, (self.done + share * work) / self.total)))

        progress(0.0)
        if name not in self.kept:
            self.kept[name] = stage(progress)
        self.done += work
        return self.kept[name]
