"""Whether a model on a table is worth serving, in one sentence."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.training.tables.comparison import Comparison


@dataclass(frozen=True)
class Gain:
    """How much smaller the error of the model is than that of the baseline that validation chooses.

    size: known rows
    baseline: the one that validation chooses at that size
    share: of the baseline's error: 0.3 if the model's error is 30 % smaller; below 0 if it is larger
    half_width: of the 95 % interval over tasks; NaN if there is one task only
    """

    size: int
    baseline: str
    share: float
    half_width: float

    @property
    def better(self) -> bool:
        """Whether the interval is above 0."""
        return self.share - self.half_width > 0

    @property
    def worse(self) -> bool:
        """Whether the interval is below 0."""
        return self.share + self.half_width < 0


def gains(comparison: Comparison) -> list[Gain]:
    """By the number of known rows; sizes that no held-out task has enough rows for are left out."""
    result = []
    for size in comparison.protocol.sizes:
        error, difference = comparison.chosen_error(size).mean, comparison.difference(size)
        if error > 0:  # not NaN either
            baseline = comparison.best_baseline(size)
            result.append(Gain(size, baseline, -difference.mean / error, difference.half_width / error))
    return result


def worth_serving(comparison: Comparison) -> bool:
    """Whether the model beats the baseline that validation chooses for some number of known rows."""
    return any(gain.better for gain in gains(comparison))


def verdict(comparison: Comparison) -> str:
    """Whether the model is worth serving, for how many known rows, against which baselines, and by how much."""
    all_gains = gains(comparison)
    better = [gain for gain in all_gains if gain.better]
    worse = [gain for gain in all_gains if gain.worse]
    unclear = [gain for gain in all_gains if not (gain.better or gain.worse)]
    if not all_gains:
        return "No verdict: no held-out task has enough rows."
    error = "share of wrong labels" if comparison.protocol.labels else "squared error"
    clauses = [f"its {error} is {each}" for each in _by_baseline(better, "smaller")]
    clauses += [f"its {error} is {each}" for each in _by_baseline(worse, "larger")]
    if unclear:
        names = " or ".join(dict.fromkeys(gain.baseline for gain in unclear))
        clauses.append(f"with {_sizes(unclear)} it does not clearly differ from {names}")
    start = f"Worth serving with {_sizes(better)}" if better else "Not worth serving, as a baseline does as well"
    return f"{start}: {'; '.join(clauses)}. Validation chose the baselines; 95 % intervals over {_tasks(comparison)}."


def known_rows(sizes: Sequence[int], conjunction: str) -> str:
    """`3, 5 or 10 known rows`."""
    *first, last = map(str, sizes)
    numbers = f"{', '.join(first)} {conjunction} {last}" if first else last
    return f"{numbers} known {'row' if numbers == '1' else 'rows'}"


def _by_baseline(of: Sequence[Gain], comparative: str) -> Iterator[str]:
    """`57 % (45 to 69 %) smaller with 3 known rows, 60 % (50 to 70 %) with 5, than that of boosting`."""
    for baseline in dict.fromkeys(gain.baseline for gain in of):
        first, *rest = [gain for gain in of if gain.baseline == baseline]
        amounts = [f"{_amount(first)} {comparative} with {known_rows([first.size], '')}"]
        amounts += [f"{_amount(gain)} with {gain.size}" for gain in rest]
        yield f"{', '.join(amounts)} than that of {baseline}"


def _amount(gain: Gain) -> str:
    share, half_width = abs(gain.share) * 100, gain.half_width * 100
    digits = 0 if half_width >= 1 else 1
    return f"{share:.{digits}f} % ({share - half_width:.{digits}f} to {share + half_width:.{digits}f} %)"


def _sizes(of: Sequence[Gain]) -> str:
    return known_rows([gain.size for gain in of], "or")


def _tasks(comparison: Comparison) -> str:
    count = len(comparison.tasks)
    return f"{count:,} held-out {'task' if count == 1 else 'tasks'}"
