"""The results of a run: printed and saved as JSON, as a Markdown table and as a drawing.

The names are those of local/results, which the embedder may not import.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
from collections.abc import Mapping
from html import escape
from pathlib import Path

import psutil

from .load import Figures

__all__ = ["Results", "draw", "machine", "save", "show", "to_markdown"]

#: By server, then by case ("short@100").
Results = dict[str, dict[str, Figures]]

ROWS = {"req/s": "per_second", "p50 ms": "p50", "p99 ms": "p99", "CPU ms a request": "cpu_per_request"}
COLOURS = ("#1b6ca8", "#e08e45", "#9aa5b1", "#5b8c5a")
WIDTH, BAR, GAP, LEFT = 640, 16, 14, 110


def to_markdown(results: Results) -> str:
    """One row for each server and figure, one column for each case."""
    cases = list(dict.fromkeys(case for figures in results.values() for case in figures))
    lines = ["| | " + " | ".join(cases) + " |", "|---" * (len(cases) + 1) + "|"]
    for name, figures in results.items():
        for label, field in ROWS.items():
            values = [getattr(figures[case], field) if case in figures else None for case in cases]
            if any(value is not None for value in values):
                cells = " | ".join("" if value is None else str(value) for value in values)
                lines.append(f"| {name} {label} | {cells} |")
    return "\n".join(lines)


def draw(results: Results) -> str:
    """Requests per second as bars, a group for each case, in SVG."""
    cases = list(dict.fromkeys(case for figures in results.values() for case in figures))
    most = max((each.per_second for figures in results.values() for each in figures.values()), default=0) or 1.0
    parts, top = [], 40
    for number, name in enumerate(results):
        parts.append(_text(LEFT + number * 170, 20, name, COLOURS[number % len(COLOURS)]))
    for case in cases:
        parts.append(_text(8, top + BAR, case, "#222"))
        for number, figures in enumerate(results.values()):
            if case in figures:
                value = figures[case].per_second
                length = (WIDTH - LEFT - 70) * value / most
                colour = COLOURS[number % len(COLOURS)]
                parts.append(f'<rect x="{LEFT}" y="{top}" width="{length:.1f}" height="{BAR - 3}" fill="{colour}"/>')
                parts.append(_text(LEFT + length + 6, top + BAR - 5, f"{value:g}/s", "#222"))
            top += BAR
        top += GAP
    body = "\n".join(parts)
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top}">\n{body}\n</svg>\n'


def _text(x: float, y: float, text: str, colour: str) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-family="sans-serif" font-size="12" fill="{colour}">{escape(text)}</text>'
    )


def show(results: Results) -> None:
    """Print the table."""
    print(to_markdown(results))


def machine() -> dict[str, object]:
    """Return what the figures depend on; the load average tells how busy others kept the machine."""
    return {
        "cores": os.cpu_count(),
        "processor": platform.processor() or platform.machine(),
        "memory_bytes": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load_average_before": round(os.getloadavg()[0], 2),
    }


def save(folder: Path, name: str, results: Results, others: Mapping[str, object]) -> None:
    """Write ``name``.json, .md and .svg; ``others`` joins the JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    plain = {
        server: {case: dataclasses.asdict(each) for case, each in figures.items()}
        for server, figures in results.items()
    }
    (folder / f"{name}.json").write_text(json.dumps({**others, "results": plain}, indent=2) + "\n")
    (folder / f"{name}.md").write_text(to_markdown(results) + "\n")
    (folder / f"{name}.svg").write_text(draw(results))
