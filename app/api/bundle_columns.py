"""The columns of a bundle: those of its inputs, and the targets beside them in `rows` and in a CSV."""

from typing import Any

from app.bundles.bundle import Bundle
from app.bundles.manifest import Manifest
from app.encoders.column_order import in_column_order
from app.errors import Invalid, name_text
from app.learn.target_scale import TargetSpec
from app.service.answers import KINDS

TARGET, LABEL = "target", "label"
"""What the column of the targets is called where the bundle has no name for it."""


def describe_inputs(bundle: Bundle) -> dict[str, Any]:
    """What an input is: what the encoder says, and what the bundle says about its numbers."""
    inputs, meanings = bundle.encoder.describe(), bundle.manifest.meanings
    for column, meaning in zip(inputs["columns"], () if meanings is None else meanings.inputs, strict=False):
        bounds = {"min": meaning.low, "max": meaning.high}
        column |= {"name": meaning.name, "unit": meaning.unit or None}
        column |= {name: bound for name, bound in bounds.items() if bound is not None}
    return inputs


def describe_targets(manifest: Manifest) -> list[dict[str, Any]]:
    """What the numbers of a target are, or that it is a label; empty for decisions, which have no such columns."""
    kind, count = KINDS[manifest.kind], manifest.schema.targets
    if kind.staged:
        return []
    if kind.labels:
        return [{"name": LABEL, "type": "label", "unit": None}]
    columns = (manifest.targets or TargetSpec()).describe(count)
    names = [TARGET] if count == 1 else [f"{TARGET}_{number}" for number in range(1, count + 1)]
    return [column | {"name": column["name"] or name} for column, name in zip(columns, names, strict=True)]


def names_of(columns: list[dict[str, Any]]) -> list[str]:
    """The names of columns; empty where one has none."""
    names = [column["name"] for column in columns]
    return names if all(names) else []


def target_names(bundle: Bundle, inputs: list[str], place: str) -> list[str]:
    """The names of the targets beside inputs of those names.

    Raises Invalid at `place` where a name stands for both, or where the bundle learns from episodes.
    """
    names = names_of(describe_targets(bundle.manifest))
    if not names:
        raise Invalid(place, f"episodes for {bundle.name}", "rows", "send JSON with `support.episodes`")
    if both := [name for name in names if name in inputs]:
        fix = f"{bundle.name} has an input called {both[0]} too, so send JSON with inputs and targets"
        raise Invalid(place, "different names for inputs and targets", both[0], fix)
    return names


def rename_target(target: str, others: list[str]) -> str:
    """What to do where the column of the target is missing. others: the columns that are no inputs"""
    return f"rename {name_text(others[0])} to {target}" if len(others) == 1 else f"add the target as {target}"


def refuse_extra(names: list[str], known: list[str]) -> None:
    """Raise Invalid for the first name that is not known; its place is that of an object, such as `[0].agee`."""
    in_column_order([dict.fromkeys(names)], known)
