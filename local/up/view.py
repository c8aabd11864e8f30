"""Shows the progress to the user: as a live table on a terminal, as plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterable
from typing import IO, Protocol

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

__all__ = ["LiveView", "PlainView", "View", "view_for"]

_MARKS = {"waiting": ("·", "dim"), "ready": ("✓", "green"), "stopped": ("-", "dim"), "failed": ("✗", "red")}


class View(Protocol):
    """Gets every change; never raises, even when nobody reads the output any more."""

    def part(self, name: str, state: str, detail: str = "") -> None:
        """``name`` is now waiting, starting, ready, restarting, stopping, stopped or failed."""

    def say(self, text: str) -> None:
        """Print one or more lines that stay."""

    def tick(self) -> None:
        """Some time has passed; called about ten times a second."""

    def settle(self) -> None:
        """End the start: from now on changes are single lines."""


def view_for(stream: IO[str], names: Iterable[str]) -> View:
    """Return the live view on a terminal, otherwise the plain one."""
    return LiveView(Console(file=stream), names) if stream.isatty() else PlainView(stream)


class PlainView:
    """Prints one line for each change of state."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        self._stream = stream or sys.stdout
        self._states: dict[str, str] = {}

    def part(self, name: str, state: str, detail: str = "") -> None:
        if state != "waiting" and self._states.get(name) != state:
            self.say(f"{name:<9} {state}{f' ({detail})' if detail else ''}")
        self._states[name] = state

    def say(self, text: str) -> None:
        # A reader that ends (`make up | head`) must not end the service.
        with contextlib.suppress(OSError, ValueError):
            print(text, file=self._stream, flush=True)

    def tick(self) -> None:
        """Do nothing: plain lines do not move."""

    def settle(self) -> None:
        """Do nothing: plain lines stay as they are."""


class LiveView:
    """Shows a table with a line for each part during the start, and plain lines below it afterwards."""

    def __init__(self, console: Console, names: Iterable[str]) -> None:
        self._console = console
        self._rows = {name: ("waiting", "", time.monotonic()) for name in names}
        self._spinner = Spinner("dots")
        self._plain: PlainView | None = None
        # It has no thread, because children are forked from this process.
        self._live = Live(console=console, auto_refresh=False)
        self._live.start()

    def part(self, name: str, state: str, detail: str = "") -> None:
        if self._plain is not None:
            self._plain.part(name, state, detail)
            return
        old, _, since = self._rows.get(name, ("", "", 0.0))
        self._rows[name] = (state, detail, since if old == state else time.monotonic())
        self.tick()

    def say(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def tick(self) -> None:
        if self._plain is None:
            with contextlib.suppress(OSError, ValueError):
                self._live.update(self._table(), refresh=True)

    def settle(self) -> None:
        if self._plain is None:
            self.tick()
            with contextlib.suppress(OSError, ValueError):
                self._live.stop()
            self._plain = PlainView(self._console.file)

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 1))
        table.add_column(width=1)
        table.add_column(min_width=9)
        table.add_column(min_width=10)
        table.add_column(no_wrap=True, overflow="ellipsis")
        for name, (state, detail, since) in self._rows.items():
            mark, style = _MARKS.get(state, ("", "yellow"))
            first = Text(mark, style=style) if mark else self._spinner
            seconds = "" if mark else f"{time.monotonic() - since:.0f} s "
            table.add_row(first, name, Text(state, style=style), Text(seconds + detail, style="dim"))
        return table
