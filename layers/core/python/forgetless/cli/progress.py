"""The progress of long commands: a bar on a terminal, and otherwise a plain line every few seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from forgetless.ports.ledger import Tell

__all__ = ["Tell", "progress"]

#: Seconds between two plain lines.
PLAIN_EVERY_S = 10.0


@contextmanager
def progress(doing: str, unit: str) -> Iterator[Tell]:
    """Show how much is done, of how much, and how much in a second; yields the function that updates it."""
    if not sys.stderr.isatty():
        yield _plain(doing, unit)
        return
    # rich is not in the layer, because only an operator's machine needs it.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[amount]}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(doing, total=None, amount="")
        rate = _Rate()

        def tell(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total, amount=f"{_amount(done, total, unit)}, {rate.of(done)}")

        yield tell


def _plain(doing: str, unit: str) -> Tell:
    rate, last = _Rate(), [time.monotonic()]

    def tell(done: int, total: int | None) -> None:
        shown = rate.of(done)
        if time.monotonic() - last[0] >= PLAIN_EVERY_S:
            last[0] = time.monotonic()
            print(f"{doing}: {_amount(done, total, unit)}, {shown}", file=sys.stderr, flush=True)

    return tell


class _Rate:
    """How much is done in a second, since the first call: what an earlier command did does not count."""

    def __init__(self) -> None:
        self._first: tuple[float, int] | None = None

    def of(self, done: int) -> str:
        """The rate until now, in words."""
        now = time.monotonic()
        began, before = self._first = self._first or (now, done)
        return f"{(done - before) / (now - began):,.0f}/s" if now > began else "…/s"


def _amount(done: int, total: int | None, unit: str) -> str:
    return f"{done:,} {unit}" if total is None else f"{done:,} of {total:,} {unit}"
