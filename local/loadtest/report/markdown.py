"""The report as Markdown: text and tables; plots are on the page only."""

from __future__ import annotations

from local.loadtest.report.sections import Report, Table

__all__ = ["to_markdown"]


def to_markdown(report: Report) -> str:
    """The whole report."""
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
