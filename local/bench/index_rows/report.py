"""The report of a run: for each series a table with a column for each number of rows, and the curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from local.bench.index_rows.measures import Figures
from local.loadtest.report.plots import lines
from local.results.report import Plot, Report, Section, Table

__all__ = ["rows_report", "rows_table"]

_TEXT = (
    "One client in turn with nothing else; P50. A search of the service asks by vector and by words. tenant is a "
    "search over all rows of a tenant, user one with a user's id as its filter. CPU is that of Milvus. × is the ratio "
    "to the column before."
)


def rows_report(figures: Sequence[Figures], left_out: Sequence[str], facts: Mapping[str, object]) -> Report:
    """Return the whole report."""
    series = [[one for one in figures if one.rows == rows] for rows in dict.fromkeys(one.rows for one in figures)]
    note = f"Left out: {'; '.join(left_out)}." if left_out else ""
    return Report(
        title="Searches in Milvus Lite by the number of rows",
        lead="Random vectors, and words as frequent as those of a language. Read the ratios before the figures.",
        sections=tuple(
            Section(str(one[0].rows).capitalize(), _TEXT, rows_table(one), (_curve(one),), note) for one in series
        ),
        facts=tuple((name, str(value)) for name, value in facts.items()),
    )


def rows_table(series: Sequence[Figures]) -> Table:
    """Return every figure at every number of rows."""
    first, *others = series
    headings = ("", f"{first.count:,} rows", *(cell for one in others for cell in (f"{one.count:,} rows", "×")))
    rows = []
    for name in first.values:
        cells = [_shown(first.values[name])]
        for before, one in zip(series, others, strict=False):
            ratio = one.values[name] / before.values[name] if before.values[name] else 0.0
            cells += [_shown(one.values[name]), f"{ratio:.2f}"]
        rows.append((name, *cells))
    return Table(headings, tuple(rows), title=str(first.rows))


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def _curve(series: Sequence[Figures]) -> Plot:
    counts = [float(one.count) for one in series]
    named = {name: [one.values[name] for one in series] for name in series[0].values if name.endswith("P50 ms")}
    return lines("P50", counts, named, unit="ms", x_unit="rows", marks=True)
