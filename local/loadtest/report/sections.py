"""Sections: what a report says, whatever it is written as."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Plot", "Report", "Section", "Table", "Tile"]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells as they are shown; `marked` is the row that matters, as the default of a sweep."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    marked: int | None = None


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawing for wide and one for narrow windows, as SVG; the legend is text beside it."""

    title: str
    wide: str
    narrow: str
    #: Name and colour (a CSS variable's name).
    legend: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure that one sees first."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, what is to be said, and what shows it."""

    title: str
    text: str = ""
    table: Table | None = None
    plots: tuple[Plot, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """The whole of it; `facts` are machine, versions and settings."""

    title: str
    lead: str
    sections: tuple[Section, ...]
    tiles: tuple[Tile, ...] = ()
    facts: tuple[tuple[str, str], ...] = field(default=())
