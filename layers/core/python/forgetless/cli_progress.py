"""A progress bar for the command line's long work, where a terminal watches."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Tell", "progress"]

#: Called with how far the work is, of how much.
Tell = Callable[[int, int | None], None]


@contextmanager
def progress(doing: str, unit: str) -> Iterator[Tell]:
    """Show how far the work is, as it is told."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    # Not in the layer: only an operator's machine needs it.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (
        TextColumn(f"{doing} {{task.completed:,}} {unit}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(doing, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
