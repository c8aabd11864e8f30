"""Draws plots as SVG by matplotlib; their colours follow the page (light, dark), and their text stays text.

Everything is drawn in placeholder colours, which are then replaced by the page's CSS variables.
"""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from local.results.report import Plot

__all__ = ["Band", "areas", "colours_of", "groups", "in_order", "lines", "shares"]

#: Placeholder colours, which no drawing uses otherwise, and the variables that replace them.
_STAND_INS = {"ink": "#010203", "grid": "#010204", "band": "#010205"} | {
    f"c{n}": f"#0102{16 + n:02x}" for n in range(9)
}
#: A part has the same colour in every plot.
_PARTS = {
    "gateway": "c0", "function search": "c1", "function memories": "c2", "function ingest": "c3",
    "function sweep": "c4", "embedder": "c5", "milvus": "c6", "load generator": "c8", "other programs": "grid",
    "function": "c1", "index": "c6", "ledger": "c7", "rest": "c8", "llm": "c4", "queue": "c3",
    "P50": "c1", "P95": "c7", "P99": "c5", "req/s": "c6", "errors": "c5", "reference": "c8", "Forgetless": "c1",
    "mem0's server": "c8", "infinity": "c8", "Forgetless, functions": "c1", "Forgetless, uvicorn": "c2",
}  # fmt: skip
_WIDE, _NARROW = (9.6, 3.1), (4.2, 3.0)
_STYLE = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": _STAND_INS["ink"],
    "axes.labelcolor": _STAND_INS["ink"],
    "axes.edgecolor": _STAND_INS["grid"],
    "xtick.color": _STAND_INS["ink"],
    "ytick.color": _STAND_INS["ink"],
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": _STAND_INS["grid"],
    "grid.linewidth": 0.8,
}
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Band:
    """A named period on the time axis: a stage."""

    began: float
    end: float
    label: str


def colours_of(names: Iterable[str]) -> dict[str, str]:
    """The CSS variables (without their dashes) of the parts or series of a plot.

    An unknown name gets one by its letters, or the first that no other name of the plot has.
    """
    taken: dict[str, str] = {}
    names = list(names)
    for name in sorted(names, key=lambda name: name not in _PARTS):
        wanted = _PARTS.get(name, f"c{sum(map(ord, name)) % 9}")
        free = (one for one in (wanted, *(f"c{n}" for n in range(9))) if one not in taken.values())
        taken[name] = wanted if name in _PARTS else next(free, wanted)
    return {name: taken[name] for name in names}


def in_order(names: Iterable[str]) -> list[str]:
    """Return parts in the order of all plots and tables, unknown ones before the last."""
    places = {name: place for place, name in enumerate(_PARTS)}
    return sorted(names, key=lambda name: places.get(name, places["load generator"] - 0.5))


def lines(
    title: str,
    at: Sequence[float],
    series: Mapping[str, Sequence[float | None]],
    *,
    unit: str,
    bands: Sequence[Band] = (),
    x_unit: str = "s",
    marks: bool = False,
) -> Plot:
    """Draw lines over time, or over the values that `x_unit` names."""
    colours = colours_of(series)

    def draw(axes: Axes) -> None:
        for name, values in series.items():
            known = [(x, y) for x, y in zip(at, values, strict=True) if y is not None]
            style: dict[str, Any] = {
                "color": _STAND_INS[colours[name]],
                "linewidth": 2,
                "marker": "o" if marks else "",
            }
            axes.plot([x for x, _ in known], [y for _, y in known], solid_capstyle="round", **style)
        axes.set_ylim(bottom=0)
        _over_time(axes, bands, unit, x_unit)

    return _plot(title, draw, colours)


def areas(
    title: str, at: Sequence[float], series: Mapping[str, Sequence[float]], *, unit: str, bands: Sequence[Band] = ()
) -> Plot:
    """Draw stacked areas over time."""
    colours = colours_of(series)

    def draw(axes: Axes) -> None:
        if at and series:
            drawn = [_STAND_INS[colour] for colour in colours.values()]
            axes.stackplot(at, *series.values(), colors=drawn, linewidth=0)
        _over_time(axes, bands, unit, "s")

    return _plot(title, draw, colours)


def shares(title: str, rows: Mapping[str, Mapping[str, float]], *, unit: str) -> Plot:
    """Draw one bar for each row, made of its parts side by side."""
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    colours = colours_of(names)

    def draw(axes: Axes) -> None:
        left = [0.0] * len(rows)
        for name in names:
            widths = [row.get(name, 0.0) for row in rows.values()]
            axes.barh(range(len(rows)), widths, left=left, color=_STAND_INS[colours[name]], height=0.55)
            left = [start + width for start, width in zip(left, widths, strict=True)]
        for place, end in enumerate(left):
            axes.text(end, place, f"  {end:.1f}", va="center", fontsize=10)
        axes.set_yticks(range(len(rows)), list(rows))
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.grid(visible=True, axis="x")
        axes.set_xlabel(unit)
        axes.margins(x=0.12)

    return _plot(title, draw, colours)


def groups(title: str, rows: Mapping[str, Mapping[str, float]], *, unit: str) -> Plot:
    """Draw bars side by side for each row, with their figures on top."""
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    colours = colours_of(names)

    def draw(axes: Axes) -> None:
        width = 0.76 / max(len(names), 1)
        for place, name in enumerate(names):
            at = [row + (place - (len(names) - 1) / 2) * width for row in range(len(rows))]
            values = [row.get(name, 0.0) for row in rows.values()]
            bars = axes.bar(at, values, width * 0.92, color=_STAND_INS[colours[name]])
            axes.bar_label(bars, [f"{value:.0f}" if value >= 10 else f"{value:.1f}" for value in values], padding=2)
        axes.set_xticks(range(len(rows)), list(rows))
        axes.set_ylabel(unit)
        axes.margins(y=0.14)

    return _plot(title, draw, colours)


def _over_time(axes: Axes, bands: Sequence[Band], unit: str, x_unit: str) -> None:
    for place, band in enumerate(bands):
        if place % 2 == 0:
            axes.axvspan(band.began, band.end, color=_STAND_INS["band"], linewidth=0, zorder=0)
        middle = (band.began + band.end) / 2
        axes.text(middle, 1.02, band.label, transform=axes.get_xaxis_transform(), ha="center", fontsize=9)
    axes.set_ylabel(unit)
    axes.set_xlabel(x_unit)
    axes.margins(x=0.01)


def _plot(title: str, draw: Callable[[Axes], None], colours: Mapping[str, str]) -> Plot:
    return Plot(title, _svg(title, draw, _WIDE), _svg(title, draw, _NARROW), tuple(colours.items()))


def _svg(title: str, draw: Callable[[Axes], None], size: tuple[float, float]) -> str:
    style: Any = {**_STYLE, "svg.hashsalt": f"forgetless-{next(_numbers)}"}
    with mpl.rc_context(style):
        figure = Figure(figsize=size, layout="constrained")
        figure.patch.set_alpha(0)
        axes = figure.add_subplot()
        axes.patch.set_alpha(0)
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_locator(MaxNLocator(9 if size is _WIDE else 5))
        draw(axes)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return _for_page(stream.getvalue(), title)


def _for_page(svg: str, title: str) -> str:
    """Return the SVG element alone, with the page's colours and font, at full width."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<svg ([^>]*?)\s*width="[^"]*"', r"<svg \1", svg, count=1)
    svg = re.sub(r'<svg ([^>]*?)\s*height="[^"]*"', r"<svg \1", svg, count=1)
    # Definitions without a reference are removed; each plot of the page would repeat them.
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    for name, colour in _STAND_INS.items():
        svg = svg.replace(colour, f"var(--{name})")
    svg = re.sub(r"font-family:[^;\"]*", "font-family: inherit", svg)
    svg = re.sub(r"font: ([\d.]+px)[^;\"]*", r"font: \1 var(--font)", svg)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{title}" ', 1).strip()
