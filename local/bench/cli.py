"""The command line of the bench: measures, prints tables and saves a file."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from local.bench.authentication import authentication_cost
from local.bench.bench_tables import (
    authentication_table,
    cpu_table,
    emulators_table,
    import_table,
    overhead_table,
    search_table,
)
from local.bench.emulators import compare, ratio, why_not
from local.bench.imports import import_costs
from local.bench.overhead import function_environment, overhead
from local.bench.search_load import load, measure_search, user_of
from local.client import Client, Connection, add_options, read_connection, state_folder
from local.results.result import Result, show

__all__ = ["main"]

_WHAT = ("overhead", "search", "imports", "keys", "emulators")


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Measure the chosen things; raises ToolError."""
    options = _parser().parse_args(arguments)
    connection = read_connection(options, environment)
    state = (options.state or state_folder(environment)).resolve()
    console = Console()
    result = Result("bench")
    figures = result.figures
    if "overhead" in options.only:
        figures["overhead"] = overhead(connection, state, options.seconds)
        show(console, overhead_table(figures["overhead"]))
    if "search" in options.only:
        figures["search"] = _search(console, connection, state, options)
    if "imports" in options.only:
        figures["imports"] = import_costs(function_environment(state))
        show(console, import_table(figures["imports"]))
    if "keys" in options.only:
        figures["keys"] = authentication_cost()
        show(console, authentication_table(figures["keys"]))
    if "emulators" in options.only:
        figures["emulators"] = _emulators(console, options.seconds)
    console.print(f"saved: {result.save(options.out)}")
    return 0


def _emulators(console: Console, seconds: float) -> Any:
    """Compare our emulator with `sam local start-api`, if there is a Docker engine."""
    reason = why_not()
    if reason:
        console.print(f"sam local start-api is not measured: {reason}")
        return {"skipped": reason}
    results = compare(seconds)
    ratios = ratio(results)
    show(console, emulators_table(results))
    for kind, figures in ratios.items():
        console.print(f"{kind}: {figures['per_second']:g} times the requests a second, {figures['p99']:g} of the p99")
    return {**results, "ratio": ratios}


def _search(console: Console, connection: Connection, state: Path, options: argparse.Namespace) -> Any:
    with Client(connection) as client:
        try:
            with Progress(console=console, transient=True) as progress:
                task = progress.add_task(f"adding {options.memories:,} memories", total=options.memories)
                held = load(client, options.memories, lambda added: progress.advance(task, added))
            results = measure_search(connection, state, options.memories, options.seconds)
        finally:
            if not options.keep:
                client.delete_user(user_of(options.memories))
    show(console, search_table(held, results), cpu_table(results))
    return {"memories": held, "results": results}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m local.bench",
        description="Measure the running service. The figures hold for this machine only.",
    )
    parser.add_argument("--only", nargs="+", choices=_WHAT, default=_WHAT, help="measure only these")
    parser.add_argument("--memories", type=int, default=10_000, help="memories to search (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=8.0, help="seconds of each measure (default %(default)s)")
    parser.add_argument("--keep", action="store_true", help="keep the memories, so that the next bench finds them")
    parser.add_argument("--state", type=Path, help="the state folder of `make up` (FORGETLESS_STATE, .forgetless)")
    parser.add_argument("--out", type=Path, default=Path("bench-results"), help="where the JSON file goes")
    add_options(parser)
    return parser
