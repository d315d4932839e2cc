"""bundle.json of format 1, under the names of today."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from app.bundles.manifest import FORMAT
from app.learn.calibration_table import Calibration
from app.learn.decision_weights import Weighing
from app.learn.support_ood import OODReference

_FORMAT_1 = {"untouched_loss": "initial_loss", "calibration": "ood_reference", "trust": "calibration"}
_FORMAT_1_PARTS = {
    "ood_reference": {"adapted_to": "support_sizes", "error": "error_limits"},
    "calibration": {"familiar": "familiarity"},
}
"""Names of format 1 with the names of today, at the top level and in two of its parts."""


def from_format_1(contents: Mapping[str, Any]) -> dict[str, Any]:
    """A bundle.json of format 1 under the names of today. Parts that the oldest bundles do not have are empty."""
    new = {_FORMAT_1.get(key, key): value for key, value in contents.items()} | {"format": FORMAT}
    for part, empty in (("ood_reference", OODReference()), ("calibration", Calibration())):
        new[part] = _rename_keys(new.get(part, asdict(empty)), _FORMAT_1_PARTS[part])
    schema = new.get("schema")
    if isinstance(schema, dict):
        new["schema"] = schema = {"shape": (), "image": "", "actions": None, "weighing": None} | schema
        if isinstance(schema["weighing"], dict):
            schema["weighing"] = asdict(Weighing()) | _rename_keys(schema["weighing"], {"most": "max_weight"})
    new["evaluation"] = _rename_keys(
        new.get("evaluation"), {"trust": "calibration", "strangers_found": "unfamiliar_found"}
    )
    return new


def _rename_keys(tree: Any, names: Mapping[str, str]) -> Any:
    """Nested objects with some of their keys renamed; any other value as it is."""
    if not isinstance(tree, dict):
        return tree
    return {names.get(key, key): _rename_keys(value, names) for key, value in tree.items()}
