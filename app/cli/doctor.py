"""`innerloop doctor`: whether this machine can serve, what is wrong, and what to do about it."""

import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.text import Text

from app.cli.checks.finding import Finding, Mark, worst
from app.cli.console import console, settings_message
from app.cli.supported_systems import check_system
from app.device import choose_device
from app.errors import DeviceError
from app.settings import Settings

STYLES: dict[Mark, str] = {"ok": "green", "warning": "yellow", "problem": "red"}
NOT_LOGGED = logging.NullHandler()
"""What the server would log is in the findings."""
Waiting = Callable[[str], AbstractContextManager[object]]
"""Says what takes long, until it is done."""


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Tell whether this machine can serve, what is wrong, and what to do about it. Nothing is changed.

    The settings are those of `innerloop serve`: INNERLOOP_ variables. If INNERLOOP_URL is set, the server there is
    asked for its health. Each line is ok, a warning or a problem. The exit code is 1 if there is a problem, else 0.
    """
    check_system()
    logging.getLogger("app").addHandler(NOT_LOGGED)
    findings = []
    # a terminal shows it while it lasts; a file and a pipe get the findings alone
    waiting: Waiting = nullcontext if as_json else console.status
    for finding in examine(waiting):
        findings.append(finding)
        if not as_json:
            _print(finding)
    mark = worst(findings)
    if as_json:
        document = {"mark": mark, "findings": [finding._asdict() for finding in findings]}
        console.print(json.dumps(document, indent=2), markup=False, highlight=False, emoji=False, soft_wrap=True)
    else:
        console.print(_verdict(findings), highlight=False)
    if mark == "problem":
        raise typer.Exit(1)


def examine(waiting: Waiting) -> Iterator[Finding]:
    """The findings, each as soon as it is known. What takes long runs within `waiting`."""
    from app.cli.checks import server, variables, versions  # these take a second to import, and `--help` does without

    yield versions.check()
    try:
        settings = Settings()
    except ValidationError as error:
        text = f"{settings_message(error)}. The parts that depend on settings are not checked until then"
        yield Finding(variables.PART, "problem", text)
        if (names := variables.check(said=text)).mark != "ok":
            yield names
    else:
        yield variables.check()
        yield from _examine_machine(settings, waiting)
    if url := os.environ.get("INNERLOOP_URL"):
        with waiting(f"asking the server at {url}"):
            answered = server.check(url)
        yield answered


def _examine_machine(settings: Settings, waiting: Waiting) -> Iterator[Finding]:
    from app.cli.checks import bundles, compiler, disk, hardware, store

    try:
        device = choose_device(settings.device)
        yield hardware.check(device)
    except DeviceError as error:
        yield Finding(hardware.PART, "problem", str(error))
        device = choose_device("cpu")
    with waiting("compiling a function, which may take a minute"):
        compiled = compiler.check(settings, device)
    yield compiled
    with waiting("opening the store"):
        stored = store.check(settings)
    yield stored
    yield from disk.check(settings)
    with waiting("loading the bundles"):
        loaded = list(bundles.check(settings.models_dir, device))
    yield from loaded


def _print(finding: Finding) -> None:
    mark = f"{finding.mark:7}", STYLES[finding.mark]
    console.print(Text.assemble(mark, f"  {finding.part:8}  {finding.message}"), soft_wrap=True, emoji=False)


def _verdict(findings: Sequence[Finding]) -> str:
    """Whether the machine can serve, and how much is wrong."""
    marks = [finding.mark for finding in findings]
    counts = [
        f"{count} {mark}{'' if count == 1 else 's'}" for mark in ("problem", "warning") if (count := marks.count(mark))
    ]
    answer = "Not everything works" if "problem" in marks else "This machine can serve"
    return f"{answer}: {', '.join(counts)}" if counts else answer
