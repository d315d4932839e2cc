"""The INNERLOOP_* variables that are no settings. `Settings` refuses those that are close to the name of one."""

import os
import re

from app.cli.checks.finding import Finding
from app.settings import Settings

PART = "settings"
CLIENT_VARIABLES = ("INNERLOOP_URL", "INNERLOOP_API_KEY")
"""What clients read. They are no settings of the server."""


def check(said: str = "") -> Finding:
    """List the variables that are set, or those that are unknown. said: a message that already names some of these"""
    known = {*CLIENT_VARIABLES, *(f"INNERLOOP_{name.upper()}" for name in Settings.model_fields)}
    names = sorted(name for name in os.environ if name.upper().startswith("INNERLOOP_"))
    if unknown := [name for name in names if name.upper() not in known and not re.search(rf"\b{name}\b", said)]:
        text = f"{', '.join(unknown)}: no setting of this version has such a name"
        return Finding(PART, "warning", f"{text}. Correct the name, or unset the variable if no other program reads it")
    return Finding(PART, "ok", f"{', '.join(names)}" if names else "no INNERLOOP_ variable is set")
