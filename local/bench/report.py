"""The figures of a bench: tables for people, a JSON file for machines."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table

from local.bench.imports import ImportCost
from local.bench.keys import AuthenticationCost
from local.bench.load import Result
from local.bench.searching import SearchResult

__all__ = [
    "authentication_table",
    "cpu_table",
    "emulators_table",
    "import_table",
    "machine",
    "overhead_table",
    "save",
    "search_table",
]

_FIGURES = ("clients", "req/s", "p50 ms", "p99 ms", "errors")


def overhead_table(results: Mapping[str, Sequence[Result]]) -> Table:
    """A route that does nothing: through the gateway and without it."""
    table = _table("A route that does nothing", "through", *_FIGURES)
    for name, some in results.items():
        for result in some:
            table.add_row(name, *_cells(result))
    return table


def emulators_table(results: Mapping[str, Sequence[Result]]) -> Table:
    """A function that does nothing, through the emulator and through sam local start-api."""
    table = _table("The same function, warm", "through", *_FIGURES)
    for name, some in results.items():
        for result in some:
            table.add_row(name, *_cells(result))
    return table


def search_table(count: int, results: Sequence[SearchResult]) -> Table:
    """Search, and what it costs in each part."""
    table = _table(f"Search over {count:,} memories", *_FIGURES, "CPU ms")
    for one in results:
        table.add_row(*_cells(one.result), f"{one.total_cpu_ms:.1f}")
    return table


def cpu_table(results: Sequence[SearchResult]) -> Table:
    """Milliseconds of CPU that each part spends on a search, for each number of clients."""
    table = _table("CPU of one search (ms)", "part", *(f"{one.result.clients} clients" for one in results))
    for part in dict.fromkeys(part for one in results for part in one.cpu_ms):
        table.add_row(part, *(f"{one.cpu_ms.get(part, 0.0):.2f}" for one in results))
    return table


def import_table(costs: Sequence[ImportCost]) -> Table:
    """Imports of each function."""
    table = _table("Import of each function (CPU seconds)", "function", "import", "ready to call")
    for cost in costs:
        table.add_row(cost.function, f"{cost.import_s:.3f}", f"{cost.ready_s:.3f}")
    return table


def authentication_table(cost: AuthenticationCost) -> Table:
    """What it costs to know the caller."""
    table = _table("Authentication of one request, the cache warm (ms of CPU)", "key", "with its rate counted")
    table.add_row(f"{cost.key_ms:.4f}", f"{cost.counted_ms:.4f}")
    return table


def machine() -> dict[str, Any]:
    """Where the figures were taken."""
    return {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.system()}


def save(folder: Path, figures: Mapping[str, Any]) -> Path:
    """Write the figures under the time of day, and return where."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    file.write_text(json.dumps(figures, indent=1, default=_plain) + "\n", encoding="utf-8")
    return file


def _plain(value: Any) -> Any:
    if isinstance(value, SearchResult):
        return {**_plain(value.result), "cpu_ms": value.cpu_ms, "total_cpu_ms": value.total_cpu_ms}
    if isinstance(value, Result):
        return {**asdict(value), "per_second": round(value.per_second, 1)}
    return asdict(value)


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title, title_justify="left")
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="left" if place == 0 else "right")
    return table


def _cells(result: Result) -> list[str]:
    return [
        str(result.clients),
        f"{result.per_second:.0f}",
        f"{result.p50_ms:.1f}",
        f"{result.p99_ms:.1f}",
        str(result.errors),
    ]
