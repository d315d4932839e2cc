"""Did adapting help? Errors on examples that were left out, in the same fused batch as the adaptation itself."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import numpy as np
import torch

from app.errors import Invalid
from app.learn.losses import ERRORS
from app.learn.metrics import sign_test
from app.service.engine import UNTOUCHED, Job, Result
from app.service.model import Model
from app.service.task import Task

FOLDS, MOST_LEFT_OUT_ALONE = 10, 64
"""Above so many examples they are left out in so many folds instead of one by one."""
CHANCE = 0.05
"""Adapting has helped, or has not, where so clear a difference is no more probable than this by chance alone.

On 4,064 support sets where adapting truly did no good (noise, steps, lines, parabolas, other waves; 3 to 20 examples;
sinusoid and linear) the smaller mean alone said of 42 % that it had helped, this test of 3 %. Of shipped bundles' own
tasks, where it nearly always helps, the test says so of 52 to 80 % with 5 examples and of 85 to 95 % with 10.
"""
DIVERGED = float("-inf")
"""The gain where the inner loop diverged."""


class Method(Enum):
    """How an adaptation is assessed."""

    leave_one_out = "leave_one_out"
    k_fold = "k_fold"


class Assessment:
    """The jobs that assess one task, and what their results say."""

    def __init__(self, model: Model, task: Task, method: Method) -> None:
        """Raises Invalid where there are not two examples."""
        size = len(task.inputs)
        if size < 2:
            raise Invalid("assessing takes 2 examples at least: one to leave out, one to adapt from", "support")
        many = method is Method.k_fold or size > MOST_LEFT_OUT_ALONE
        self._folds = min(FOLDS, size) if many else size
        self._fold = np.arange(size) % self._folds
        self._task, self._manifest = task, model.bundle.manifest
        self.jobs = [Job(model, UNTOUCHED, None, task.inputs), *self._without_each_fold(model, task)]
        # likeness is of the support set, whatever settings were asked for: it needs errors at those of the calibration
        usual = self._manifest.inner_loop.steps, self._manifest.inner_loop.learning_rate
        if self._manifest.calibration.tasks and (task.steps, task.learning_rate) != usual:
            self.jobs += self._without_each_fold(model, replace(task, steps=usual[0], learning_rate=usual[1]))

    def _without_each_fold(self, model: Model, task: Task) -> Iterator[Job]:
        for fold in range(self._folds):
            out = self._fold == fold
            rest = replace(task, inputs=task.inputs[~out], targets=task.targets[~out])
            yield Job(model, object(), rest, task.inputs[out], keep=False)

    def quality(self, results: Sequence[Result]) -> dict[str, Any]:
        """What came of the jobs, as it stands in the record and in the answer (`app.schemas.Quality`)."""
        untouched = results[0].predictions
        assert untouched is not None, "the initialization always answers"
        left_out = self._left_out(results[1 : 1 + self._folds], untouched)
        before, after = self._errors(untouched), self._errors(left_out)
        # batches of other sizes round differently, and a sign test would count that
        after = np.where(np.isclose(left_out, untouched, rtol=1e-5, atol=1e-5).all(1), before, after)
        usual = self._errors(self._left_out(results[-self._folds :], untouched))
        known = np.isfinite(before) & np.isfinite(after)
        # a fold is one piece of evidence, as its examples were predicted by the same adaptation
        parts = [self._fold == fold for fold in range(self._folds)]
        gains = [float((before - after)[part].mean()) if known[part].all() else DIVERGED for part in parts]
        found = Comparison(_mean(before[known]), _mean(after[known]), gains)
        likeness = self._manifest.calibration.judge(
            torch.tensor(self._task.inputs), torch.from_numpy(usual), len(usual) - int(np.bincount(self._fold).max())
        )
        worst = int(np.nanargmax(np.where(known, after, np.nan))) if known.any() else None
        sentences = [
            _diverged(gains.count(DIVERGED), self._folds),
            found.sentence,
            "" if worst is None else f"Example {worst} fits worst (error {after[worst]:.3g}).",
            likeness.value,
        ]
        method = Method.leave_one_out if self._folds == len(self._fold) else Method.k_fold
        return {
            "method": method.value,
            "folds": self._folds,
            "error": found.after,
            "untouched_error": found.before,
            "errors": [float(error) if finite else None for error, finite in zip(after, known, strict=True)],
            "helped": found.helped,
            "unlike_training": likeness.unlike,
            "worst_example": worst,
            "message": " ".join(filter(None, sentences)),
        }

    def _left_out(self, results: Sequence[Result], like: np.ndarray) -> np.ndarray:
        """The prediction of each example by the adaptation that had not seen it; NaN where that diverged."""
        predictions = np.full_like(like, np.nan)
        for fold, result in enumerate(results):
            if result.predictions is not None:
                predictions[self._fold == fold] = result.predictions
        return predictions

    def _errors(self, predictions: np.ndarray) -> np.ndarray:
        """Of each example, in float64, where no square overflows."""
        outputs, targets = (torch.tensor(each, dtype=torch.float64) for each in (predictions, self._task.targets))
        return ERRORS[self._manifest.kind](outputs, targets).numpy()


@dataclass(frozen=True)
class Comparison:
    """The initialization against adapting, on the same examples left out.

    before, after: their mean errors, of the folds where they are known; None where they are in none
    gains: what the error fell by, in each fold; DIVERGED counts against adapting
    """

    before: float | None
    after: float | None
    gains: Sequence[float]

    @property
    def helped(self) -> bool | None:
        """Whether adapting lowers the error; None where the difference may be chance.

        A sign test over the folds, so it takes five at least. The mean has to agree with it.
        """
        if self.before is None or self.after is None:
            return None
        if self.after < self.before and sign_test(self.gains) <= CHANCE:
            return True
        losses = [-gain for gain in self.gains]
        if not any(self.gains) or (self.after > self.before and sign_test(losses) <= CHANCE):
            return False
        return None

    @property
    def sentence(self) -> str:
        """For people."""
        if self.before is None or self.after is None:
            return "Whether adapting helps cannot be told."
        moves = f"from {self.before:.3g} to {self.after:.3g}"
        if self.helped:
            return f"Adapting helps: the error on examples left out falls {moves}."
        if not any(self.gains):
            return f"Adapting changes nothing: the error on examples left out stays {self.before:.3g}."
        if self.helped is False:
            return f"Adapting does not help: the error on examples left out rises {moves}."
        lower, count = sum(gain > 0 for gain in self.gains), len(self.gains)
        seems, goes = ("to help", "falls") if self.after < self.before else ("not to help", "rises")
        doubt = f"{count} cases are too few to tell" if 0.5**count > CHANCE else "that may be chance"
        return (
            f"Adapting seems {seems}: the error on examples left out {goes} {moves}, "
            f"lower in {lower} of {count} cases; {doubt}."
        )


def _diverged(folds: int, of: int) -> str:
    if not folds:
        return ""
    return f"In {folds} of {of} folds the inner loop diverged: the errors there are unknown and do not count."


def _mean(errors: np.ndarray) -> float | None:
    return float(errors.mean()) if len(errors) else None
