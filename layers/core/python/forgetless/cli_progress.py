"""A progress bar for long commands, shown only on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from forgetless.ports.ledger import Tell

__all__ = ["Tell", "progress"]


@contextmanager
def progress(doing: str, unit: str) -> Iterator[Tell]:
    """Show a progress bar, and yield the function that updates it."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    # rich is not in the layer, because only an operator's machine needs it.
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
