"""The command line of make bench-scale: the sizes that fit into the time, the smallest first."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from local.bench.scale.measures import Figures, Measures, OutOfTimeError
from local.bench.scale.report import memory_table, scale_report, scale_table
from local.bench.scale.sizes import SIZES, Size, parse_size
from local.client import ToolError
from local.loadtest.scratch_service import scratch_service
from local.results.result import Result, machine, new_folder, show

__all__ = ["fits", "main"]

#: Rows that a machine indexes in a second, until a size has been measured, and what a size costs besides.
_ROWS_PER_S, _BESIDES_S = 100.0, 60.0


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Measure the sizes that fit into the time, print the tables and save the result; raises ToolError."""
    del environment
    options = _parser().parse_args(arguments)
    sizes = sorted(map(parse_size, options.sizes), key=lambda size: (size.memories, size.users)) or list(SIZES)
    console, end = Console(), time.monotonic() + options.minutes * 60
    folder = new_folder(options.out, "scale")
    result = Result("scale")
    figures: list[Figures] = []
    left_out: dict[Size, str] = {}
    for size in sizes:
        rates = [one.values["reindex rows/s"] for one in figures if "reindex rows/s" in one.values]
        if not fits(size, end - time.monotonic(), rates):
            left_out[size] = f"it does not fit into {options.minutes:g} minutes"
            console.print(f"left out: {size}: {left_out[size]}")
            continue
        try:
            _measure(console, size, figures, seconds=options.seconds, end=end)
        except OutOfTimeError as error:
            left_out[size] = f"the time was over during {error}"
            console.print(f"not complete: {size}: {left_out[size]}")
        # After each size, so that a run that is interrupted has its figures.
        result.figures.update(machine=machine(), sizes=figures, left_out={str(k): v for k, v in left_out.items()})
        page = result.save_report(folder, scale_report(figures, left_out, result.machine))
    if not figures:
        raise ToolError("no size fits into the time: give --minutes or smaller --sizes")
    page = result.save_report(folder, scale_report(figures, left_out, result.machine))
    show(console, scale_table(figures), memory_table(figures))
    for one in figures:
        for what, why in one.failures.items():
            console.print(f"[red]{one.size}, {what}: {why}[/red]")
    console.print(f"report: {page}")
    return 1 if any(one.failures for one in figures) else 0


def fits(size: Size, left_s: float, rates: Sequence[float]) -> bool:
    """Whether there is time for the size, judged by the slowest rate of indexing so far."""
    return size.memories / min(rates, default=_ROWS_PER_S) + _BESIDES_S <= left_s


def _measure(console: Console, size: Size, figures: list[Figures], *, seconds: float, end: float) -> None:
    """Append the figures of one size, which are complete unless OutOfTimeError is raised."""
    with tempfile.TemporaryDirectory(prefix="forgetless-scale-", ignore_cleanup_errors=True) as scratch:
        folder = Path(scratch)
        with scratch_service(folder) as own:
            measures = Measures(own, size, folder, seconds=seconds, end=end)
            figures.append(measures.figures)
            for what, step in (
                ("filling", measures.fill),
                ("reading", measures.read),
                ("exporting", measures.export),
                ("weighing", measures.weigh),
                ("erasing", measures.erase),
            ):
                with console.status(f"{size}: {what}"):
                    began = time.monotonic()
                    step()
                console.print(f"{size}: {what} {time.monotonic() - began:,.0f} s")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m local.bench.scale",
        description="Measure services of different sizes, each started for it. The figures hold for this machine only.",
    )
    parser.add_argument(
        "--sizes",
        nargs="+",
        default=(),
        metavar="MEMORIES[/USERS]",
        help="measure these (default: 1000, 20000 and 100000 of one user, and 100000/10000)",
    )
    parser.add_argument(
        "--minutes", type=float, default=20.0, help="leave out the sizes that do not fit (default %(default)s)"
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="seconds of each read (default %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("bench-results"), help="where results go (%(default)s)")
    return parser
