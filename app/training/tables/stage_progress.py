"""How far training on a table is, and how long it will take."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

Report = Callable[[str, float], None]
"""(what is done now, the share that is done) -> nothing"""


@contextmanager
def stage_progress(console: Console, title: str) -> Iterator[Report]:
    """A progress bar with the time left."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f} %"))
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        bar = progress.add_task(title, total=1.0)

        def report(text: str, share: float) -> None:
            progress.update(bar, description=f"{title}: {text}", completed=share)

        yield report
        progress.update(bar, description=title, completed=1.0)
