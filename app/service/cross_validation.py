"""Did adapting help? Errors on examples that are left out, in the same fused batch as the adaptation itself."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import numpy as np
import torch

from app.errors import Invalid
from app.learn.losses import KINDS
from app.learn.significance import sign_test
from app.learn.support_ood import OODStatus, compare_images
from app.service.class_labels import class_indices
from app.service.job import INITIAL, Job, Result
from app.service.model import Model
from app.service.task import Task

FOLDS, MAX_LEFT_OUT_ALONE = 10, 64
"""Up to MAX_LEFT_OUT_ALONE examples are left out one by one, more in FOLDS folds."""
CHANCE = 0.05
"""A difference counts where one as clear is no more probable than this by chance alone.

On 4,064 support sets where adapting did no good (noise, steps, lines, parabolas, other waves; 3 to 20 examples;
sinusoid and linear) a smaller mean alone would claim help for 42 %, this test for 3 %. On the shipped bundles' own
tasks, where adapting nearly always helps, the test finds help for 52 to 80 % with 5 examples and 85 to 95 % with 10.
"""
NO_FOLD = -1
"""The fold of an example that is the only one of its class."""
DIVERGED = float("-inf")
"""The gain where the inner loop diverged."""


class Method(Enum):
    """How an adaptation is assessed."""

    leave_one_out = "leave_one_out"
    k_fold = "k_fold"


class CrossValidation:
    """The jobs that measure whether adapting to a task helps, and the quality that their results amount to."""

    def __init__(self, model: Model, task: Task, method: Method, posted_weights: np.ndarray | None = None) -> None:
        """Raises Invalid where nothing can be left out: it takes two examples, of one class where there are classes.

        posted_weights: those of the support set that the task comes from, which lacks the examples of weight 0

        The only example of a class is left out in no fold: otherwise nothing would be known of the class. An example
        is left out as a whole, and its error counts as its weight says.
        """
        self._weights = np.ones(len(task.inputs)) if task.weights is None else task.weights.astype(np.float64)
        self._posted = np.ones(len(task.inputs), bool) if posted_weights is None else posted_weights > 0
        size = len(task.inputs)
        if size < 2:
            raise Invalid("support", "at least 2 examples to assess", size, "each is predicted from the others")
        classes = task.indices if task.classes else np.zeros(size, np.int64)
        self._single = np.bincount(classes)[classes] < 2
        if self._single.all():
            raise Invalid(
                "support", "at least 2 examples of one class to assess", "1 of each class", "one of them is left out"
            )
        several = np.flatnonzero(~self._single)
        many = method is Method.k_fold or size > MAX_LEFT_OUT_ALONE
        self._folds = min(FOLDS, len(several)) if many else len(several)
        self._fold = np.full(size, NO_FOLD)
        # class by class, so that no fold takes all examples of one
        self._fold[several[np.argsort(classes[several], kind="stable")]] = np.arange(len(several)) % self._folds
        self._alone = self._folds == len(several)
        self._task, self._manifest = task, model.bundle.manifest
        self._initial = [] if task.classes else [Job(model, INITIAL, None, task.inputs)]
        self._rests = [_rest(task, self._fold != fold) for fold in range(self._folds)]
        self.jobs = [*self._initial, *self._without_each_fold(model, task)]
        # the OOD reference was made with the bundle's default settings, so it needs errors with these
        default = self._manifest.inner_loop.steps, self._manifest.inner_loop.learning_rate
        if self._manifest.ood_reference.tasks and (task.steps, task.learning_rate) != default:
            self.jobs += self._without_each_fold(model, replace(task, steps=default[0], learning_rate=default[1]))

    def _without_each_fold(self, model: Model, task: Task) -> Iterator[Job]:
        for fold, rest in enumerate(self._rests):
            training = replace(rest, steps=task.steps, learning_rate=task.learning_rate)
            yield Job(model, object(), training, task.inputs[self._fold == fold], keep=False)

    def quality(self, results: Sequence[Result]) -> dict[str, Any]:
        """The quality, given the results of `jobs`, as `app.api.schemas.Quality` has it."""
        initial = self._initial_predictions(results)
        first = len(self._initial)
        left_out = self._left_out(results[first : first + self._folds], initial)
        before, after = self._errors(initial), self._errors(left_out)
        # batches of other sizes round differently, and a sign test would count that
        after = np.where(self._equal(left_out, initial), before, after)
        errors = self._errors(self._left_out(results[-self._folds :], initial))
        known = np.isfinite(before) & np.isfinite(after)
        # a fold is one piece of evidence, as its examples were predicted by the same adaptation
        parts = [self._fold == fold for fold in range(self._folds)]
        fell = [self._mean(before - after, part & known) for part in parts]
        gains = [
            DIVERGED if gain is None or not known[part].all() else gain for gain, part in zip(fell, parts, strict=True)
        ]
        comparison = Comparison(self._mean(before, known), self._mean(after, known), gains)
        likeness = self._likeness(errors)
        # in the posted order, where the examples of weight 0 have their places too
        after_all = np.full(len(self._posted), np.nan)
        after_all[self._posted] = np.where(known, after, np.nan)
        worst = int(np.nanargmax(after_all)) if known.any() else None
        sentences = [
            _not_counted(int((~self._posted).sum())),
            _without_examples(len(self._task.classes) - self._task.classes_with_examples),
            _only_ones(int(self._single.sum())),
            _diverged(gains.count(DIVERGED), self._folds),
            comparison.sentence,
            "" if worst is None else f"Example {worst} fits worst (error {after_all[worst]:.3g}).",
            likeness.value,
        ]
        method = Method.leave_one_out if self._alone else Method.k_fold
        accuracy = {"accuracy": self._accuracy(left_out, known)} if self._task.classes and known.any() else {}
        return accuracy | {
            "method": method.value,
            "folds": self._folds,
            "error": comparison.after,
            "initial_error": comparison.before,
            "errors": [None if np.isnan(error) else error for error in after_all.tolist()],
            "helped": comparison.helped,
            "unlike_training": likeness.unlike_training,
            "worst_example": worst,
            "message": " ".join(filter(None, sentences)),
        }

    def _mean(self, values: np.ndarray, part: np.ndarray) -> float | None:
        """The mean over a part of the examples, by their weights; None if there are none."""
        return float(np.average(values[part], weights=self._weights[part])) if part.any() else None

    def _likeness(self, errors: np.ndarray) -> OODStatus:
        """The comparison with support sets of training. errors: with the bundle's default settings"""
        if (images := self._manifest.image_reference) is not None:
            unlike = images.is_unlike(torch.tensor(self._task.inputs), self._manifest.schema.shape)
            status = compare_images(unlike, torch.from_numpy(self._weights))
            if status.unlike_training or not self._manifest.ood_reference.tasks:
                return status
        if not self._manifest.ood_reference.tasks:
            return OODStatus.unknown
        judged = ~self._single
        weights = self._weights[judged]
        return self._manifest.ood_reference.compare(
            torch.tensor(self._task.inputs[judged]),
            torch.from_numpy(errors[judged]),
            self._weights.sum() - np.bincount(self._fold[judged], weights).max(),
            None if self._task.weights is None else torch.from_numpy(weights),
        )

    def _initial_predictions(self, results: Sequence[Result]) -> np.ndarray:
        """The predictions of the initialization. It has no classes, so that a classifier guesses evenly."""
        if not self._initial:
            return np.zeros((len(self._fold), len(self._task.classes)), np.float32)
        initial = results[0].predictions
        assert initial is not None, "the initialization always answers"
        return initial

    def _left_out(self, results: Sequence[Result], like: np.ndarray) -> np.ndarray:
        """The prediction of each example by the adaptation that had not seen it; NaN where that diverged."""
        predictions = np.full_like(like, np.nan)
        for fold, (rest, result) in enumerate(zip(self._rests, results, strict=True)):
            if result.predictions is not None:
                predictions[self._fold == fold] = self._in_order(rest, result.predictions)
        return predictions

    def _equal(self, one: np.ndarray, two: np.ndarray) -> np.ndarray:
        """Whether predictions are the same up to rounding: that of the network, or of float32 in the user's units."""
        rounded = False
        if (scale := self._manifest.target_scale) is not None:
            rounded = np.abs(one - two) <= 2 * np.spacing(np.abs(one))
            one, two = (scale.standardise(torch.from_numpy(each)).numpy() for each in (one, two))
        same: np.ndarray = (np.isclose(one, two, rtol=1e-5, atol=1e-5) | rounded).all(1)
        return same

    def _in_order(self, rest: Task, outputs: np.ndarray) -> np.ndarray:
        """The outputs of an adaptation to a part of the examples, with the classes in the order of the whole task."""
        if not self._task.classes:
            return outputs
        ordered = np.full((len(outputs), len(self._task.classes)), np.finfo(np.float32).min, np.float32)
        ordered[:, class_indices(rest.classes, self._task.classes)] = outputs
        return ordered

    def _errors(self, predictions: np.ndarray) -> np.ndarray:
        """The error of each example, in float64, where no square overflows."""
        outputs, targets = (torch.tensor(each, dtype=torch.float64) for each in (predictions, self._targets))
        return KINDS[self._manifest.kind].error(outputs, targets).numpy()

    @property
    def _targets(self) -> np.ndarray:
        return self._task.one_hot(len(self._task.classes)) if self._task.classes else self._task.targets

    def _accuracy(self, logits: np.ndarray, known: np.ndarray) -> float | None:
        return self._mean(logits.argmax(1) == self._task.indices, known)


def _rest(task: Task, kept: np.ndarray) -> Task:
    weights = None if task.weights is None else task.weights[kept]
    return replace(task, inputs=task.inputs[kept], targets=task.targets[kept], weights=weights)


@dataclass(frozen=True)
class Comparison:
    """The initialization against adapting, on the same examples left out.

    before, after: their mean errors, of the folds where they are known; None where they are in none
    gains: by how much the error fell in each fold; DIVERGED counts against adapting
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
        """The comparison in words."""
        if self.before is None or self.after is None:
            return "It is unknown whether adapting helps."
        moves = f"from {self.before:.3g} to {self.after:.3g}"
        if self.helped:
            return f"Adapting helps: the error on examples left out falls {moves}."
        if not any(self.gains):
            return f"Adapting changes nothing: the error on examples left out stays {self.before:.3g}."
        if self.helped is False:
            return f"Adapting does not help: the error on examples left out rises {moves}."
        lower, count = sum(gain > 0 for gain in self.gains), len(self.gains)
        seems, goes = ("to help", "falls") if self.after < self.before else ("not to help", "rises")
        doubt = f"{count} cases are too few to tell" if 0.5**count > CHANCE else "The difference is not significant"
        return (
            f"Adapting seems {seems}: the error on examples left out {goes} {moves}, "
            f"and is lower in {lower} of {count} cases. {doubt}."
        )


def _diverged(folds: int, of: int) -> str:
    if not folds:
        return ""
    return f"The inner loop diverged in {folds} of {of} folds: their errors are unknown and not part of the mean."


def _only_ones(count: int) -> str:
    if not count:
        return ""
    if count == 1:
        return "1 example is the only one of its class: it was not left out, and its error is unknown."
    return f"{count} examples are the only ones of their classes: they were not left out, and their errors are unknown."


def _not_counted(count: int) -> str:
    if not count:
        return ""
    if count == 1:
        return "1 example has the weight 0: its error is unknown."
    return f"{count} examples have the weight 0: their errors are unknown."


def _without_examples(count: int) -> str:
    if not count:
        return ""
    has = "1 class has" if count == 1 else f"{count} classes have"
    return (
        f"{has} no example: nothing says how well {'it is' if count == 1 else 'they are'} told apart from the others."
    )
