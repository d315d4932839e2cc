"""What the numbers of an input and of an action mean, for people who write clients."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Meaning:
    """One number of an input or an action, or one of the actions to choose from.

    unit: what the number is measured in; empty if nothing
    low, high: between what a number of an input lies; None where it has no bound. Those of actions are in the schema
    """

    name: str
    unit: str = ""
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Meanings:
    """The numbers of an input, and those of an action or the actions to choose from, in order; empty if not known."""

    inputs: tuple[Meaning, ...] = ()
    actions: tuple[Meaning, ...] = ()
