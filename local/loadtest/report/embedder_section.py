"""The embedder beside infinity: the figures that `make bench-embedder` left, for the load test's report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local.loadtest.report.plots import groups
from local.results.report import Section, Table

__all__ = ["embedder_section", "read_figures"]

#: Where `make bench-embedder` writes, from the folder of the checkout.
FIGURES = Path("bench-results") / "embedder.json"
#: Names of the servers in that file.
OURS, PEER, CEILING = "embedder", "infinity", "raw ONNX Runtime"

_HEADINGS = ("texts", "req/s", "infinity req/s", "×", "P99 ms", "infinity P99 ms", "CPU ms", "infinity CPU ms")
_NOTE = (
    "From the last `make bench-embedder`, a run of its own: the same weights, int8 here and fp32 in infinity's torch "
    "engine. short are questions, mixed are texts from a line to a page; the number is that of clients."
)


def read_figures(file: Path = FIGURES) -> dict[str, Any] | None:
    """Return the benchmark's figures; None if it never ran here, or ran without infinity."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        results = {name: found["results"][name] for name in (OURS, PEER)}
        results[CEILING] = found["results"].get(CEILING, {})
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return {"results": results, "machine": found.get("machine", {})}


def embedder_section(found: Mapping[str, Any] | None) -> Section | None:
    """Return the section with table and plot; None without figures."""
    if not found:
        return None
    ours, theirs = found["results"][OURS], found["results"][PEER]
    cases = [case for case in ours if case in theirs]
    bars = {case: {"Forgetless": _rate(ours[case]), "infinity": _rate(theirs[case])} for case in cases}
    return Section(
        "The embedder beside infinity",
        _shares(found["results"], cases),
        Table(_HEADINGS, tuple(_row(case, ours[case], theirs[case]) for case in cases)),
        (groups("Requests in a second", bars, unit="req/s"),),
        _NOTE,
    )


def _row(case: str, mine: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[str, ...]:
    ratio = _rate(mine) / _rate(other) if _rate(other) else 0.0
    pairs = [(of.get(name) or 0.0) for name in ("p99", "cpu_per_request") for of in (mine, other)]
    return (case, f"{_rate(mine):.0f}", f"{_rate(other):.0f}", f"{ratio:.1f}", *(f"{value:.1f}" for value in pairs))


def _shares(results: Mapping[str, Mapping[str, Any]], cases: list[str]) -> str:
    """Return the throughput as a share of that of ONNX Runtime alone, without HTTP, queue and tokenizer."""
    ceiling = results.get(CEILING, {})
    shares = [
        f"{_rate(results[OURS][case]) / _rate(ceiling[case]):.0%} ({case})"
        for case in cases
        if case.endswith("@100") and case in ceiling and _rate(ceiling[case])
    ]
    return f"Of the requests that ONNX Runtime computes alone: {', '.join(shares)}." if shares else ""


def _rate(figures: Mapping[str, Any]) -> float:
    return float(figures.get("per_second") or 0.0)
