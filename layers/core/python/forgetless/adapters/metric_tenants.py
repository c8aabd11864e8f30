"""The tenant as a label of metrics, where an operator asks for it: at most so many, for each is a series of its own."""

from __future__ import annotations

import threading

from forgetless.ports.metrics import OTHER, Metric

__all__ = ["NO_TENANTS", "MetricTenants"]


class MetricTenants:
    """The first `most` tenants that a process sees keep their names; all others together are `other`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: set[str] = set()
        self._lock = threading.Lock()

    def labels(self, metric: Metric) -> bool:
        """Whether the metric has the label."""
        return metric.by_tenant and self._most > 0

    def of(self, metric: Metric, tenant: str) -> str:
        """The value of the label; empty if the metric has none, or nobody knows whose request it is."""
        if not tenant or not self.labels(metric):
            return ""
        if tenant in self._known:
            return tenant
        with self._lock:
            # CloudWatch takes no other characters.
            if len(self._known) < self._most and tenant.isascii() and tenant.isprintable() and tenant.strip():
                self._known.add(tenant)
                return tenant
        return OTHER


#: No metric has the label.
NO_TENANTS = MetricTenants(0)
