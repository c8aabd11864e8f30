"""The report of versus-mem0: first ratios, then figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from local.loadtest.report.plots import groups
from local.loadtest.result_files import facts
from local.loadtest.versus.rounds import Standing
from local.results.report import Report, Section, Table, Tile

__all__ = ["FUNCTIONS", "MEM0", "UVICORN", "versus_report"]

MEM0 = "mem0's server"
FUNCTIONS = "Forgetless, functions"
UVICORN = "Forgetless, uvicorn"
_RATIOS = ("req/s", "P99", "CPU", "memory")
_NOTE = (
    "One run on one machine, round by round in turn; ratios are medians over the rounds, each to mem0's round beside "
    "it. Both have a Milvus Lite of the same version, the same embedder (counted for whoever is measured), and an LLM "
    "stub that neither asks here. mem0's server runs as its image does, without telemetry and with its admin key (a "
    "user's own key costs a bcrypt for each request). Memory is that of all processes, embedder and Milvus included."
)


def versus_report(head: Mapping[str, Any], lines: Sequence[Standing]) -> Report:
    """Return the report with all sections."""
    kinds = dict.fromkeys(one.what for one in lines)
    sections = [_ratios(lines), *(_figures(what, [one for one in lines if one.what == what]) for what in kinds)]
    return Report(
        title="Forgetless and mem0's server, side by side",
        lead=(
            f"{head['memories']:,} memories of ten users in both, "
            f"{head['rounds']} rounds of {head['seconds']:g} s each, no think time."
        ),
        sections=tuple(sections),
        tiles=tuple(_tile(one) for one in lines if one.what == "search" and one.contestant == FUNCTIONS),
        facts=facts(head),
    )


def _ratios(lines: Sequence[Standing]) -> Section:
    rows = tuple(
        (one.what, str(one.clients), one.contestant, *(f"{one.ratios[name]:.2f}" for name in _RATIOS))
        for one in lines
        if one.contestant != MEM0
    )
    headings = ("request", "clients", "who", "req/s ×", "P99 ×", "CPU of a request ×", "memory ×")
    text = "How many times mem0's figure ours is: above 1 is better for req/s, below 1 for the others."
    return Section("Ratios", text, Table(headings, rows), note=_NOTE)


def _figures(what: str, lines: Sequence[Standing]) -> Section:
    rows = tuple(
        (
            str(one.clients), one.contestant, f"{one.per_second:.1f}", f"{one.p50_ms:.0f}", f"{one.p99_ms:.0f}",
            f"{one.cpu_ms:.1f}", f"{one.memory / 2**20:.0f}", str(one.errors),
        )
        for one in lines
    )  # fmt: skip
    bars: dict[str, dict[str, float]] = {}
    for one in lines:
        bars.setdefault(f"{one.clients} clients", {})[one.contestant] = one.per_second
    headings = ("clients", "who", "req/s", "P50 ms", "P99 ms", "CPU ms", "memory MB", "errors")
    return Section(what, "", Table(headings, rows), (groups("Answers in a second", bars, unit="req/s"),))


def _tile(one: Standing) -> Tile:
    return Tile(
        f"search, {one.clients} clients",
        f"{one.ratios['req/s']:.1f} ×",
        f"mem0's req/s · P99 × {one.ratios['P99']:.2f}",
    )
