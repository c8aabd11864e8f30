"""The result of one run of a measuring tool: shown as tables, saved as JSON and, with a report, as a page."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from rich import table as rich_table
from rich.console import Console
from rich.markup import escape

from local.results.page import to_page
from local.results.report import Report, Table, to_markdown

__all__ = ["Result", "machine", "new_folder", "show"]


def machine() -> dict[str, Any]:
    """Return what the figures depend on; the load average tells how busy others kept the machine."""
    return {
        "cores": os.cpu_count(),
        "processor": _processor(),
        "memory_bytes": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load_average_before": round(os.getloadavg()[0], 2),
    }


@dataclass(frozen=True, slots=True)
class Result:
    """The figures of a run, by name, and the machine they were taken on."""

    name: str
    figures: dict[str, Any] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=machine)

    def as_object(self) -> dict[str, Any]:
        """Return the result as plain data."""
        return {"machine": dict(self.machine), **{name: _plain(value) for name, value in self.figures.items()}}

    def save(self, folder: Path) -> Path:
        """Write the result as JSON, in a file named after the time, and return the file."""
        folder.mkdir(parents=True, exist_ok=True)
        return _write(folder / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json", self.as_object())

    def save_report(self, folder: Path, report: Report) -> Path:
        """Write figures.json, report.md and report.html into the folder of a run, and return the page."""
        _write(folder / "figures.json", {name: _plain(value) for name, value in self.figures.items()})
        (folder / "report.md").write_text(to_markdown(report), encoding="utf-8")
        page = folder / "report.html"
        page.write_text(to_page(report), encoding="utf-8")
        return page


def new_folder(out: Path, name: str) -> Path:
    """Make a folder for a result that begins now; two that begin in the same second get one each."""
    folder = out / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{name}"
    number = 1
    while folder.exists():
        number += 1
        folder = folder.with_name(f"{folder.name.split('~')[0]}~{number}")
    folder.mkdir(parents=True)
    return folder


def show(console: Console, *tables: Table) -> None:
    """Print tables."""
    for table in tables:
        shown = rich_table.Table(title=escape(table.title) or None, title_justify="left")
        for place, heading in enumerate(table.headings):
            # What does not fit stands on further lines: a figure without its end says nothing.
            left = place in table.left
            words = " ".join([heading, *(row[place] for row in table.rows)]).split()
            width = None if left else max(map(len, words), default=1)
            shown.add_column(escape(heading), justify="left" if left else "right", overflow="fold", min_width=width)
        for place, row in enumerate(table.rows):
            if place in table.ruled:
                shown.add_section()
            shown.add_row(*map(escape, row), style="bold" if place == table.marked else None)
        console.print(shown)


def _plain(value: Any) -> Any:
    """Return the value as JSON can hold it; a dataclass may say itself how it is saved."""
    if hasattr(value, "as_object"):
        return value.as_object()
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(held) for name, held in asdict(value).items()}
    if isinstance(value, Mapping):
        return {name: _plain(held) for name, held in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(held) for held in value]
    return value


def _write(file: Path, figures: Mapping[str, Any]) -> Path:
    file.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return file


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
