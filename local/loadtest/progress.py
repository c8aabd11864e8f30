"""Shows the progress of a load: one moving line on a terminal, a line every ten seconds elsewhere."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.status import Status

from local.loadtest.figures import percentile
from local.loadtest.result_files import Sample
from local.loadtest.scenario import Plan

__all__ = ["LoadView", "preload_bar"]

#: The rate and the latency on the line cover the answers of this many seconds.
RECENT_S = 10.0
_PLAIN_EVERY_S = 10.0


class LoadView:
    """The progress line; it is called with each sample and, with None, about once a second."""

    def __init__(self, console: Console, plan: Plan) -> None:
        self._console = console
        self._plan = plan
        self._recent: deque[Sample] = deque()
        self._count = 0
        self._errors = 0
        self._began = time.monotonic()
        self._said = self._began
        self._status = Status("starting the load", console=console) if console.is_terminal else None

    def __call__(self, sample: Sample | None, at: float) -> None:
        if sample is None:
            self._refresh(at)
            return
        self._count += 1
        self._errors += not sample.ok
        self._recent.append(sample)

    @contextmanager
    def shown(self) -> Iterator[LoadView]:
        """Show the line, and remove it afterwards."""
        if self._status is None:
            yield self
            return
        with self._status:
            yield self

    def line(self, at: float) -> str:
        """Return the text of the line."""
        while self._recent and self._recent[0].at < at - RECENT_S:
            self._recent.popleft()
        ordered = sorted(sample.ms for sample in self._recent if sample.ok)
        rate = len(ordered) / max(min(RECENT_S, at), 1.0)
        stage = sum(began <= at for began, _ in self._plan.windows())
        return (
            f"{at:.0f} of {self._plan.seconds:.0f} s · stage {max(stage, 1)} of {len(self._plan.stages)} · "
            f"{self._plan.users_at(at):.0f} users · {rate:.1f} req/s · P50 {percentile(ordered, 0.5):.0f} ms · "
            f"P99 {percentile(ordered, 0.99):.0f} ms · {self._count} answers · {self._errors} errors"
        )

    def _refresh(self, at: float) -> None:
        now = time.monotonic()
        if self._status is not None:
            self._status.update(self.line(at))
        elif now - self._said >= _PLAIN_EVERY_S:
            self._said = now
            self._console.print(self.line(at), soft_wrap=True)


@contextmanager
def preload_bar(console: Console, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar for added memories (elsewhere a line for each tenth); it is called with the number of new ones."""
    what = f"preloading {total:,} memories"
    if not console.is_terminal:
        yield _Tenths(console, what, total)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)


class _Tenths:
    """Prints a line at each tenth."""

    def __init__(self, console: Console, what: str, total: int) -> None:
        self._console, self._what, self._total = console, what, total
        self._done = 0

    def __call__(self, count: int) -> None:
        before, self._done = self._done, self._done + count
        if self._done * 10 // self._total > before * 10 // self._total:
            self._console.print(f"{self._what}: {self._done * 100 // self._total} %")
