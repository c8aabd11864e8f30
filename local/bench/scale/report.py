"""The report of a run: one column for each size, and the ratio to the smallest one beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from local.bench.scale.measures import Figures
from local.bench.scale.sizes import Size
from local.results.report import Report, Section, Table

__all__ = ["memory_table", "scale_report", "scale_table"]

#: How many digits a figure has behind the point, by its unit.
_DIGITS = {"ms": 1, "s": 2, "rows/s": 0, "MB": 1}
_BOUND = (
    "One client, no think time; P50 of each read. Import is `forgetless import` of verbatim lines into the ledger. "
    "Reindex is `make reindex` after it, which fills an empty index: the embedder bounds it, as every row is embedded. "
    "Erase is `DELETE /v1/memories/` of all that there is: the seconds until its answer, and until its event has "
    "succeeded. Memory is what the processes hold after the reads, shared memory counted once (PSS)."
)


def scale_report(figures: Sequence[Figures], left_out: Mapping[Size, str], facts: Mapping[str, object]) -> Report:
    """Return the whole report."""
    missing = "; ".join(f"{size}: {reason}" for size, reason in left_out.items())
    failed = "; ".join(f"{one.size}, {what}: {why}" for one in figures for what, why in one.failures.items())
    notes = [f"Left out: {missing}." if missing else "", f"Failed: {failed}." if failed else ""]
    return Report(
        title="What the service costs at different sizes",
        lead="Each size in a service of its own that `make up` starts. Read the ratios before the figures.",
        sections=(
            Section("Figures", _BOUND, scale_table(figures), note=" ".join(note for note in notes if note)),
            Section("Memory of the processes (MB)", "", memory_table(figures)),
        ),
        facts=tuple((name, str(value)) for name, value in facts.items()),
    )


def scale_table(figures: Sequence[Figures]) -> Table:
    """Return every figure at every size; × is the ratio to the first size."""
    names = dict.fromkeys(name for one in figures for name in one.values)
    first, *others = figures
    headings = ("", str(first.size), *(heading for one in others for heading in (str(one.size), "×")))
    rows = tuple(
        (name, _shown(name, first), *(cell for one in others for cell in (_shown(name, one), _ratio(name, first, one))))
        for name in names
    )
    return Table(headings, rows, title="What the service costs at different sizes")


def memory_table(figures: Sequence[Figures]) -> Table:
    """Return the memory of each part at each size."""
    parts = dict.fromkeys(part for one in figures for part in one.memory_bytes)
    rows = tuple((part, *(_megabytes(one.memory_bytes.get(part)) for one in figures)) for part in parts)
    return Table(("", *(str(one.size) for one in figures)), rows, title="Memory of the processes (MB)")


def _shown(name: str, one: Figures) -> str:
    value = one.values.get(name)
    return (
        "failed"
        if name in one.failures
        else ""
        if value is None
        else f"{value:,.{_DIGITS[name.rsplit(maxsplit=1)[-1]]}f}"
    )


def _ratio(name: str, first: Figures, one: Figures) -> str:
    small, large = first.values.get(name), one.values.get(name)
    return f"{large / small:.2f}" if small and large else ""


def _megabytes(size: int | None) -> str:
    return "" if size is None else f"{size / 1e6:,.0f}"
