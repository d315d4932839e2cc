"""Recipes: everything that decides what training produces."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from app.errors import exact, expectation, one_of

DECAYS: dict[str, Callable[[float], float]] = {
    "constant": lambda part: 1.0,
    # Loshchilov and Hutter 2017, "SGDR: Stochastic Gradient Descent with Warm Restarts", without restarts
    "cosine": lambda part: (1 + math.cos(math.pi * part)) / 2,
}
"""By name, the factor of the outer rate, given the share of training that is done."""
PRECISIONS = ("float32", "bfloat16")
TYPES: dict[Any, tuple[str, tuple[type, ...]]] = {
    int: ("a whole number", (int,)),
    float: ("a number", (int, float)),
    str: ("a string", (str,)),
    bool: ("true or false", (bool,)),
}
"""By the type of a field, how users call it, and the types that its value may have."""

LARGEST = 1_000_000
"""The largest number of anything that training draws at once, and the largest rate."""
MAX_SEED = 2**63 - 1
"""The largest seed that a command takes. torch takes more, but no option can have it."""
MAX_OUTER_STEPS = 10**9
"""The most outer steps of a run."""
FEWEST = {
    **dict.fromkeys(("queries", "tasks", "outer_steps", "validate_every", "validation_tasks"), 1),
    **dict.fromkeys(("episodes", "stages", "decisions", "patience"), 1),
    **dict.fromkeys(("warmup_steps", "seed", "adapt_steps", "stage_steps"), 0),
}
"""The smallest value of each field that is a whole number."""
MOST = {
    **dict.fromkeys(("queries", "tasks", "validation_tasks", "episodes", "stages"), LARGEST),
    "adapt_steps": 10_000,
    "outer_steps": MAX_OUTER_STEPS,
    "seed": MAX_SEED,
}
"""The largest value of fields that are whole numbers, where there is one."""
ABOVE_0 = ("outer_rate", "outer_clip", "inner_rate", "ratio", "divergence")
"""The fields that are numbers above 0 and at most LARGEST."""
PAIRS = {"shots": (0, LARGEST), "ways": (1, LARGEST), "inner_steps": (0, 10_000)}
"""The fields that are the smallest and the largest number of something: between which numbers they lie."""
SIZES = {"evaluation_shots": 1, "evaluation_ways": 0}
"""The fields that are lists of numbers above 0: how many numbers they have at least."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what training produces. The same recipe on the same machine gives the same bytes.

    family, family_options: the problem
    network, network_options: a network by its name in `app.learn.networks`, with its options (None: the family's)
    start: the folder of a bundle with the same network, whose parameters training begins with (None: fresh ones)
    algorithm: a key of `app.learn.algorithms.ALGORITHMS`
    variants: by algorithm, what a recipe with that algorithm changes (`app.training.recipe_variants`)
    shots: the smallest and the largest number of support examples of a training task; each task draws its own number
    ways: the smallest and the largest number of classes of a training task, where there are classes; each task draws
        its own number (None: the family's number). Shots and queries are then per class
    queries: examples in the query set of a training task
    scale_targets: for regression, whether the network predicts standardised targets. Their mean and their standard
        deviation are those of training tasks, and the bundle has them, so that all that users see is in their units
    tasks: tasks in an outer step
    outer_steps, outer_rate: the number of outer steps, and the rate of their optimizer (None: the algorithm's usual
        rate)
    warmup_steps, decay: the outer rate rises linearly over the first `warmup_steps` outer steps, then is `constant` or
        falls to 0 by a `cosine`
    outer_clip: the outer gradient is clipped to this norm, and one that is not finite is skipped (None: neither)
    precision: of the network in training: `float32`, or `bfloat16` (mixed: parameters and losses stay float32)
    inner_steps: the smallest and the largest number of inner steps in training; each task draws its own number
    inner_rate: the inner learning rate in training, and the default of the bundle
    seed: of the initial parameters and the training tasks
    adapt_steps: the default number of steps of the bundle
    evaluation_shots, evaluation_ways: the numbers of shots and, where there are classes, the numbers of classes that
        the bundle is evaluated at, in all combinations (no ways: the family's number)
    validate_every, validation_tasks: after every `validate_every` outer steps, and up to 4 times before the first
        interval ends (`app.training.validation.next_validation`), the run is scored on the same `validation_tasks`
        tasks in each of these combinations, after the default steps. The bundle has the meta-parameters with the best
        score (None: the last ones)
    episodes: episodes of a task in a stage. Training then learns from the policies' own decisions in the worlds of the
        family (`app.training.on_policy`), and the bundle is evaluated by returns (None: training from samples)
    stages: stages of episodes to learn from, one after the other
    stage_steps: training takes a second stage after this many outer steps, a third after as many again (0: all at once)
    decisions: how many decisions of a stage each task learns from at most, drawn at random (None: all)
    ratio: a decision gains nothing more once its likelihood has changed by this share in an outer step
    divergence: an outer step is shortened until the policies are at most this far, in nats a decision, from those that
        acted
    patience: training ends after this many validations in a row without a better score (None: it goes on to the end)
    """

    family: str
    family_options: Mapping[str, Any] = field(default_factory=dict)
    network: str | None = None
    network_options: Mapping[str, Any] = field(default_factory=dict)
    start: str | None = None
    algorithm: str = "maml"
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    shots: tuple[int, int] = (5, 10)
    ways: tuple[int, int] | None = None
    queries: int = 10
    scale_targets: bool = False
    tasks: int = 25
    outer_steps: int = 10_000
    outer_rate: float | None = None
    warmup_steps: int = 0
    decay: str = "constant"
    outer_clip: float | None = None
    precision: str = "float32"
    inner_steps: tuple[int, int] = (1, 1)
    inner_rate: float = 0.01
    seed: int = 0
    adapt_steps: int = 5
    evaluation_shots: tuple[int, ...] = (5, 10)
    evaluation_ways: tuple[int, ...] = ()
    validate_every: int | None = 1_000
    validation_tasks: int = 200
    episodes: int | None = None
    stages: int = 3
    stage_steps: int = 0
    decisions: int | None = None
    ratio: float = 0.2
    divergence: float = 0.01
    patience: int | None = None

    def __post_init__(self) -> None:
        """Raise ValueError for a value that cannot be used."""
        self._check_types()
        if self.network is None and self.network_options:
            fix = "add --set network=mlp, or the network that you want"
            raise ValueError(expectation("network_options", "`network` to be set too", "options without it", fix))
        if self.decay not in DECAYS:
            raise ValueError(expectation("decay", one_of(list(DECAYS)), repr(self.decay)))
        if self.precision not in PRECISIONS:
            raise ValueError(expectation("precision", one_of(PRECISIONS), repr(self.precision)))
        for name, (fewest, most) in PAIRS.items():
            pair = getattr(self, name)
            whole = isinstance(pair, tuple) and len(pair) == 2 and all(type(each) is int for each in pair)
            if not whole and (pair is not None or name != "ways"):
                raise ValueError(
                    expectation(name, "the smallest and the largest number, such as [1, 5]", _as_written(pair))
                )
            if whole and pair[0] > pair[1]:
                raise ValueError(expectation(name, "the smallest number first", _as_written(pair)))
            if whole and not fewest <= pair[0] <= pair[1] <= most:
                raise ValueError(expectation(name, f"numbers from {fewest} to {most}", _as_written(pair)))
        for name, fewest in FEWEST.items():
            if (count := getattr(self, name)) is not None and count < fewest:
                raise ValueError(expectation(name, f"at least {fewest}", count))
        for name, most in MOST.items():
            if (count := getattr(self, name)) is not None and count > most:
                raise ValueError(expectation(name, f"at most {most}", count))
        for name in ABOVE_0:
            if (number := getattr(self, name)) is not None and not 0 < number <= LARGEST:
                expected = f"at most {LARGEST}" if number > LARGEST else "a number above 0"
                raise ValueError(expectation(name, expected, exact(number)))
        for name, fewest in SIZES.items():
            sizes = getattr(self, name)
            if not isinstance(sizes, tuple) or any(type(each) is not int for each in sizes):
                raise ValueError(expectation(name, "a list, such as [1, 5]", _as_written(sizes)))
            if len(sizes) < fewest or any(not 1 <= each <= LARGEST for each in sizes):
                expected = f"a list of numbers from 1 to {LARGEST}, such as [1, 5]"
                raise ValueError(expectation(name, expected, _as_written(sizes)))

    def _check_types(self) -> None:
        for name, hint in get_type_hints(type(self)).items():
            value = getattr(self, name)
            if isinstance(hint, UnionType):  # with None
                if value is None:
                    continue
                hint = get_args(hint)[0]
            if hint in TYPES and type(value) not in TYPES[hint][1]:
                raise ValueError(expectation(name, TYPES[hint][0], _as_written(value)))
            if get_origin(hint) is Mapping and not isinstance(value, Mapping):
                raise ValueError(expectation(name, 'options, such as {"hidden": [64, 64]}', _as_written(value)))

    def rate_factor(self, step: int) -> float:
        """The factor of the outer rate in outer step `step`, counted from 0."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        return DECAYS[self.decay]((step - self.warmup_steps) / max(1, self.outer_steps - self.warmup_steps))

    def stages_at(self, step: int) -> int:
        """The number of stages in outer step `step`, counted from 0."""
        return min(self.stages, 1 + step // self.stage_steps) if self.stage_steps else self.stages


def _as_written(value: Any) -> str:
    """A value for an error: a string in quotes, a tuple as the list that it was written as."""
    return str(list(value)) if isinstance(value, tuple) else repr(value)
