"""Computes the figures of a report, by stage and over time, from samples and measurements of processes."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from local.loadtest.result_files import Run, Sample, parts_of
from local.loadtest.scenario import Plan

__all__ = ["Latency", "StageFigures", "Timeline", "latency", "percentile", "slope", "stage_figures", "timeline"]

#: Seconds of one point in the plots over time.
BIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Latency:
    """The latency of answers, in milliseconds."""

    count: int
    p50: float
    p95: float
    p99: float
    mean: float


@dataclass(frozen=True, slots=True)
class StageFigures:
    """The figures of one stage."""

    users: int
    seconds: float
    requests: int
    errors: int
    latency: Latency
    kinds: dict[str, Latency]
    statuses: dict[str, int]
    #: Mean milliseconds of a search by part; "rest" is the time that no header covers, such as the network's.
    parts: dict[str, float]
    #: The embedder's mean milliseconds of a text in the queue, and of a batch.
    embedder: dict[str, float]
    #: CPU of each part in percent of one core, and its peak memory in bytes.
    cpu_percent: dict[str, float] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)

    @property
    def per_second(self) -> float:
        """Return the good answers in a second."""
        return (self.requests - self.errors) / self.seconds if self.seconds else 0.0

    @property
    def cpu_ms(self) -> dict[str, float]:
        """Return the milliseconds of CPU of each part for one request."""
        rate = self.requests / self.seconds if self.seconds else 0.0
        return {part: percent * 10 / rate for part, percent in self.cpu_percent.items()} if rate else {}


@dataclass(frozen=True, slots=True)
class Timeline:
    """Points over the run, `BIN_S` apart; a bin without answers has None."""

    at: list[float]
    users: list[float]
    per_second: list[float]
    p50: list[float | None]
    p99: list[float | None]
    errors: list[int]
    cpu_at: list[float]
    cpu_percent: dict[str, list[float]]
    memory_at: list[float]
    memory: dict[str, list[int]]


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile of sorted values: the lowest that at least `share` of them do not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


def latency(samples: Sequence[Sample]) -> Latency:
    """Return the latency of the good answers; fast errors do not improve it."""
    ordered = sorted(sample.ms for sample in samples if sample.ok)
    mean = sum(ordered) / len(ordered) if ordered else 0.0
    p50, p95, p99 = (percentile(ordered, share) for share in (0.5, 0.95, 0.99))
    return Latency(len(ordered), p50, p95, p99, mean)


def slope(at: Sequence[float], values: Sequence[float]) -> float | None:
    """Return the growth of a value in a second, by least squares; None without two different times."""
    if len(set(at)) < 2:
        return None
    return statistics.linear_regression(at, values).slope


def stage_figures(plan: Plan, run: Run) -> list[StageFigures]:
    """Return the figures of each stage that was reached; an interrupted one counts for the time it lasted."""
    origin = _origin(run.samples)
    stop = math.inf if run.stopped_at is None else run.stopped_at - origin
    return [
        _stage(stage.users, began, min(end, stop), run, origin)
        for stage, (began, end) in zip(plan.stages, plan.windows(), strict=True)
        if began < stop
    ]


def timeline(plan: Plan, run: Run) -> Timeline:
    """Return the figures of the plots over time."""
    origin = _origin(run.samples)
    bins: defaultdict[int, list[Sample]] = defaultdict(list)
    for sample in run.samples:
        bins[int(sample.at // BIN_S)].append(sample)
    places = range(max(bins, default=-1) + 1)
    figures = {place: latency(bins[place]) for place in places}
    rates = [_rates(before, after) for before, after in _spaced(run.looks)]
    weighed = [look for look in run.looks if "bytes" in look]
    parts = sorted({part for look in run.looks for part in look["cpu_s"]})
    weights = {part for look in weighed for part in look["bytes"]}
    return Timeline(
        at=[(place + 0.5) * BIN_S for place in places],
        users=[plan.users_at((place + 0.5) * BIN_S) for place in places],
        per_second=[figures[place].count / BIN_S for place in places],
        p50=[figures[place].p50 if figures[place].count else None for place in places],
        p99=[figures[place].p99 if figures[place].count else None for place in places],
        errors=[sum(not sample.ok for sample in bins[place]) for place in places],
        cpu_at=[after["time"] - origin for _, after in _spaced(run.looks)],
        cpu_percent={part: [rate.get(part, 0.0) for rate in rates] for part in parts},
        memory_at=[look["time"] - origin for look in weighed],
        memory={part: [look["bytes"].get(part, 0) for look in weighed] for part in sorted(weights)},
    )


def _stage(users: int, began: float, end: float, run: Run, origin: float) -> StageFigures:
    samples = [sample for sample in run.samples if began <= sample.at < end]
    kinds = sorted({sample.kind for sample in samples})
    before, after = _around(run.looks, origin + began, origin + end)
    weighed = [look["bytes"] for look in run.looks if "bytes" in look and began <= look["time"] - origin <= end]
    return StageFigures(
        users=users,
        seconds=end - began,
        requests=len(samples),
        errors=sum(not sample.ok for sample in samples),
        latency=latency(samples),
        kinds={kind: latency([sample for sample in samples if sample.kind == kind]) for kind in kinds},
        statuses=dict(Counter(str(sample.status) for sample in samples)),
        parts=_parts([sample for sample in samples if sample.ok and sample.kind == "search"]),
        embedder=_embedder(run.looks, origin + began, origin + end),
        cpu_percent=_rates(before, after) if before and after else {},
        memory={
            part: max(look.get(part, 0) for look in weighed)
            for part in sorted({part for look in weighed for part in look})
        },
    )


def _parts(searches: Sequence[Sample]) -> dict[str, float]:
    told = [(sample.ms, parts) for sample in searches if "total" in (parts := parts_of(sample.timing))]
    if not told:
        return {}
    sums: defaultdict[str, float] = defaultdict(float)
    for ms, parts in told:
        inside = sum(value for part, value in parts.items() if part not in {"gateway", "total"})
        for part, value in parts.items():
            if part != "total":
                sums[part] += value
        sums["function"] += max(0.0, parts["total"] - inside)
        sums["rest"] += max(0.0, ms - parts["total"] - parts.get("gateway", 0.0))
    return {part: value / len(told) for part, value in sums.items()}


def _embedder(looks: Sequence[Mapping[str, Any]], began: float, end: float) -> dict[str, float]:
    before, after = _around([look for look in looks if look.get("embedder")], began, end)
    if not before or not after:
        return {}
    grown = {name: value - before["embedder"].get(name, 0.0) for name, value in after["embedder"].items()}
    return {
        name: grown[f"{metric}_sum"] * 1000 / grown[f"{metric}_count"]
        for name, metric in (("wait", "queue_wait"), ("model", "inference"))
        if grown.get(f"{metric}_count")
    }


def _origin(samples: Sequence[Sample]) -> float:
    """Return the start of the run's clock, in seconds since the epoch."""
    return min((sample.sent - sample.at for sample in samples), default=0.0)


def _around(
    looks: Sequence[Mapping[str, Any]], began: float, end: float
) -> tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]:
    """Return the first and the last measurement within a period, or None if there are not two."""
    within = [look for look in looks if began <= look["time"] <= end]
    return (within[0], within[-1]) if len(within) > 1 else (None, None)


def _spaced(looks: Sequence[Mapping[str, Any]]) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Return pairs of measurements about `BIN_S` apart, because a second is too short for the kernel's ticks."""
    kept: list[Mapping[str, Any]] = []
    for look in looks:
        if not kept or look["time"] - kept[-1]["time"] >= BIN_S * 0.9:
            kept.append(look)
    return list(pairwise(kept))


def _rates(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, float]:
    """Return the CPU of each part between two measurements, in percent of one core."""
    seconds = after["time"] - before["time"]
    return {
        part: (spent - before["cpu_s"].get(part, 0.0)) * 100 / seconds for part, spent in sorted(after["cpu_s"].items())
    }
