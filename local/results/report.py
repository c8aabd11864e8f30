"""What a report says, whatever it is written as: tables, plots, sections; and the report as Markdown."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Plot", "Report", "Section", "Table", "Tile", "to_markdown"]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells as they are shown.

    `marked` is the row that matters most, such as the default of a sweep. `left` names the columns that hold text
    and not numbers. `ruled` names the rows that have a line above them.
    """

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    marked: int | None = None
    title: str = ""
    left: tuple[int, ...] = (0,)
    ruled: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawing as SVG, once for wide and once for narrow windows; the legend is text beside it."""

    title: str
    wide: str
    narrow: str
    #: Name and colour (a CSS variable's name).
    legend: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Tile:
    """One of the figures at the top of the page."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, a text, and the table and plots that belong to it."""

    title: str
    text: str = ""
    table: Table | None = None
    plots: tuple[Plot, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """A whole report; `facts` are machine, versions and settings."""

    title: str
    lead: str
    sections: tuple[Section, ...]
    tiles: tuple[Tile, ...] = ()
    facts: tuple[tuple[str, str], ...] = field(default=())


def to_markdown(report: Report) -> str:
    """Return the report as Markdown, which holds text and tables; plots are on the page only."""
    parts = [f"# {report.title}", report.lead]
    for section in report.sections:
        parts += [f"## {section.title}", section.text, _table(section.table), section.note]
    if report.facts:
        parts += ["## Where and how", _table(Table(("", ""), report.facts))]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(table: Table | None) -> str:
    if table is None:
        return ""
    rows = [
        tuple(f"**{cell}**" if place == table.marked and cell else cell for cell in row)
        for place, row in enumerate(table.rows)
    ]
    rule = ("---", *("---:" for _ in table.headings[1:]))
    return "\n".join(f"| {' | '.join(_escaped(cell) for cell in row)} |" for row in (table.headings, rule, *rows))


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")
