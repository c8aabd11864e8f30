"""The figures of a bench as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from local.bench.authentication import AuthenticationCost
from local.bench.imports import ImportCost
from local.bench.load import LoadResult
from local.bench.search_load import SearchResult
from local.results.report import Table

__all__ = ["authentication_table", "cpu_table", "emulators_table", "import_table", "overhead_table", "search_table"]

_FIGURES = ("clients", "req/s", "p50 ms", "p99 ms", "errors")


def overhead_table(results: Mapping[str, Sequence[LoadResult]]) -> Table:
    """A route that does nothing: through the gateway and without it."""
    return _by_way("A route that does nothing", results)


def emulators_table(results: Mapping[str, Sequence[LoadResult]]) -> Table:
    """A function that does nothing, through the emulator and through sam local start-api."""
    return _by_way("The same function, warm", results)


def search_table(count: int, results: Sequence[SearchResult]) -> Table:
    """Search, and the CPU time of all parts together."""
    rows = tuple((*_cells(one.result), f"{one.total_cpu_ms:.1f}") for one in results)
    return Table((*_FIGURES, "CPU ms"), rows, title=f"Search over {count:,} memories")


def cpu_table(results: Sequence[SearchResult]) -> Table:
    """Milliseconds of CPU that each part spends on a search, for each number of clients."""
    parts = dict.fromkeys(part for one in results for part in one.cpu_ms)
    rows = tuple((part, *(f"{one.cpu_ms.get(part, 0.0):.2f}" for one in results)) for part in parts)
    headings = ("part", *(f"{one.result.clients} clients" for one in results))
    return Table(headings, rows, title="CPU of one search (ms)")


def import_table(costs: Sequence[ImportCost]) -> Table:
    """Imports of each function."""
    rows = tuple((cost.function, f"{cost.import_s:.3f}", f"{cost.ready_s:.3f}") for cost in costs)
    return Table(("function", "import", "ready to call"), rows, title="Import of each function (CPU seconds)")


def authentication_table(cost: AuthenticationCost) -> Table:
    """What it costs to identify the caller."""
    row = (f"{cost.key_ms:.4f}", f"{cost.counted_ms:.4f}")
    title = "Authentication of one request, the cache warm (ms of CPU)"
    return Table(("key", "with its rate counted"), (row,), title=title)


def _by_way(title: str, results: Mapping[str, Sequence[LoadResult]]) -> Table:
    rows = tuple((name, *_cells(result)) for name, some in results.items() for result in some)
    return Table(("through", *_FIGURES), rows, title=title)


def _cells(result: LoadResult) -> tuple[str, ...]:
    return (
        str(result.clients),
        f"{result.per_second:.0f}",
        f"{result.p50_ms:.1f}",
        f"{result.p99_ms:.1f}",
        str(result.errors),
    )
