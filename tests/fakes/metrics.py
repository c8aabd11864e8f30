"""A sink that keeps what is recorded, for tests to look at."""

from __future__ import annotations

from collections import defaultdict

from forgetless.ports.metrics import Metric, MetricKind

__all__ = ["KeptMetrics"]


class KeptMetrics:
    """Adds up counters, keeps the newest value of gauges and every value of histograms, by name and labels."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, ...], list[float]] = defaultdict(list)
        self.tenants: dict[str, set[str]] = defaultdict(set)

    def record(self, metric: Metric, value: float, labels: tuple[str, ...], tenant: str) -> None:
        held = self.values[(metric.name, *labels)]
        if metric.kind is MetricKind.HISTOGRAM:
            held.append(value)
        else:
            held[:] = [value + (sum(held) if metric.kind is MetricKind.COUNTER else 0.0)]
        self.tenants[metric.name].add(tenant)

    def flush(self) -> None:
        pass

    def of(self, metric: Metric, *labels: str) -> float | None:
        """The present figure of a counter or gauge; None if nothing was recorded."""
        held = self.values.get((metric.name, *labels))
        return held[-1] if held else None

    @property
    def names(self) -> set[str]:
        """The names of all metrics that were recorded."""
        return {name for name, *_ in self.values}
