"""The command line of make bench-index: sizes from small to large, as far as the time reaches."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from local.bench.index_rows.measures import Figures, Growing, OutOfTimeError, growing
from local.bench.index_rows.report import rows_report, rows_table
from local.bench.index_rows.rows import Rows
from local.client import ToolError
from local.results.result import Result, new_folder, show

__all__ = ["fits", "main"]

SIZES = (1_000, 10_000, 100_000, 1_000_000)
#: Rows a second that a machine inserts, until it has been measured.
_ROWS_PER_S = 1_000.0


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Measure the sizes that fit into the time, print the tables and save the result; raises ToolError."""
    del environment
    options = _parser().parse_args(arguments)
    sizes = sorted(set(options.sizes))
    if min(sizes) < 1 or min(options.tenants) < 1 or options.dimensions < 1:
        raise ToolError("--sizes, --tenants and --dimensions must be above 0")
    console, end = Console(), time.monotonic() + options.minutes * 60
    folder, result = new_folder(options.out, "index"), Result("index")
    figures: list[Figures] = []
    left_out: list[str] = []
    with ExitStack() as running:
        grown = [running.enter_context(growing(Rows(tenants, options.dimensions))) for tenants in options.tenants]
        # All series at one size before the next one, so that a run that ends early can be compared.
        for size in sizes:
            for one in grown:
                why = _measure(console, one, size, figures, seconds=options.seconds, end=end)
                if why:
                    left_out.append(f"{size:,} rows of {one.rows}: {why}")
                    console.print(f"left out: {left_out[-1]}")
                result.figures.update(machine=result.machine, sizes=figures, left_out=left_out)
                page = result.save_report(folder, rows_report(figures, left_out, result.machine))
    if not figures:
        raise ToolError("no size fits into the time: give --minutes or smaller --sizes")
    show(console, *(rows_table(series) for series in _by_series(figures)))
    console.print(f"report: {page}")
    return 0


def fits(rows: int, rate: float, left_s: float) -> bool:
    """Whether there is time to insert so many rows."""
    return rows / (rate or _ROWS_PER_S) <= left_s


def _measure(console: Console, one: Growing, size: int, figures: list[Figures], *, seconds: float, end: float) -> str:
    """Append the figures of one size; returns why it was left out, or nothing."""
    if not fits(size - one.count, one.rate, end - time.monotonic()):
        return "no time is left for it"
    try:
        with console.status(f"{size:,} rows of {one.rows}: inserting"):
            one.grow(size, end=end)
    except OutOfTimeError:
        return f"the time was over after {one.count:,} rows"
    figures.append(one.measure(seconds))
    console.print(f"{size:,} rows of {one.rows}: {one.rate:,.0f} rows/s")
    return ""


def _by_series(figures: Sequence[Figures]) -> list[list[Figures]]:
    series = dict.fromkeys(one.rows for one in figures)
    return [[one for one in figures if one.rows == rows] for rows in series]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m local.bench.index_rows",
        description="Measure searches in Milvus Lite with more and more rows. The figures hold for this machine only.",
    )
    add = parser.add_argument
    add("--sizes", type=int, nargs="+", default=SIZES, help="rows (default: 1000 10000 100000 1000000)")
    add("--tenants", type=int, nargs="+", default=(1, 1_000), help="whose rows, a series for each (default: 1 1000)")
    add("--dimensions", type=int, default=384, help="of the vectors (default %(default)s)")
    add("--minutes", type=float, default=15.0, help="leave out the sizes that do not fit (default %(default)s)")
    add("--seconds", type=float, default=3.0, help="seconds of each search (default %(default)s)")
    add("--out", type=Path, default=Path("bench-results"), help="where results go (default %(default)s)")
    return parser
