"""The report as one self-contained page: nothing is fetched, nothing runs."""

from __future__ import annotations

from html import escape
from pathlib import Path

from local.results.report import Plot, Report, Section, Table, Tile

__all__ = ["to_page"]

_CSS = Path(__file__).with_name("page.css")


def to_page(report: Report) -> str:
    """The whole page."""
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(report.title)}</title>",
        f"<style>{_CSS.read_text(encoding='utf-8')}</style></head><body><main>",
        f'<h1>{escape(report.title)}</h1><p class="lead">{escape(report.lead)}</p>',
        f'<div class="tiles">{"".join(map(_tile, report.tiles))}</div>' if report.tiles else "",
        *map(_section, report.sections),
        _facts(report),
        "</main></body></html>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _tile(tile: Tile) -> str:
    label, value, note = escape(tile.label), escape(tile.value), escape(tile.note)
    return f"<div class=tile><span>{label}</span><b>{value}</b><small>{note}</small></div>"


def _section(section: Section) -> str:
    text = f"<p>{escape(section.text)}</p>" if section.text else ""
    note = f'<p class="note">{escape(section.note)}</p>' if section.note else ""
    table = _table(section.table) if section.table else ""
    plots = "".join(map(_plot, section.plots))
    return f"<section><h2>{escape(section.title)}</h2>{text}{table}{plots}{note}</section>"


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in table.headings)
    rows = "".join(_row(row, marked=place == table.marked) for place, row in enumerate(table.rows))
    return f"<div class=scroll><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"


def _row(row: tuple[str, ...], *, marked: bool) -> str:
    cells = "".join(f"<td>{escape(cell)}</td>" for cell in row)
    return f"<tr{' class=marked' if marked else ''}>{cells}</tr>"


def _plot(plot: Plot) -> str:
    keys = "".join(
        f'<span class=key><i style="background:var(--{colour})"></i>{escape(name)}</span>'
        for name, colour in plot.legend
    )
    return (
        f"<figure><figcaption><h3>{escape(plot.title)}</h3>{keys}</figcaption>"
        f"<div class=wide>{plot.wide}</div><div class=narrow>{plot.narrow}</div></figure>"
    )


def _facts(report: Report) -> str:
    if not report.facts:
        return ""
    pairs = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in report.facts)
    return f"<section><h2>Where and how</h2><dl>{pairs}</dl></section>"
