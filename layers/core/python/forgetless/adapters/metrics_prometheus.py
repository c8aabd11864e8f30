"""Metrics as Prometheus' text, and the HTTP server that shows it, on an address of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http import HTTPStatus
from itertools import product
from socket import AF_INET, AF_INET6, SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET, socket
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from forgetless.adapters.metric_tenants import NO_TENANTS, MetricTenants
from forgetless.adapters.small_http import Answer, SmallHttp
from forgetless.domain.errors import InvalidRequestError
from forgetless.ports.metrics import BUCKETS_S, METRICS, Metric, MetricKind

__all__ = ["PREFIX", "MetricsServer", "PrometheusMetrics"]

#: What all names begin with.
PREFIX = "forgetless_"
#: The names of this machine that a `Host` header may have while only this machine is served: a web page could point its
#: own name at 127.0.0.1.
_LOCAL = frozenset({"127.0.0.1", "localhost", "[::1]"})


class PrometheusMetrics:
    """Keeps the figures of this process; the label sets that are known beforehand begin at 0."""

    def __init__(self, *, tenants: MetricTenants = NO_TENANTS) -> None:
        self._registry = CollectorRegistry()
        self._tenants = tenants
        self._families: dict[Metric, Counter | Gauge | Histogram] = {}
        #: How to record in a series, by metric and the values of its labels; prometheus_client looks longer for it.
        self._series: dict[tuple[Metric, tuple[str, ...]], Callable[[float], None]] = {}
        self._lock = threading.Lock()
        for metric in METRICS:
            self._begin_at_0(metric)

    def record(self, metric: Metric, value: float, labels: tuple[str, ...], tenant: str) -> None:
        if self._tenants.labels(metric):
            labels = (*labels, self._tenants.of(metric, tenant))
        known = self._series.get((metric, labels))
        (known or self._new(metric, labels))(value)

    def flush(self) -> None:
        """Nothing waits: whoever reads gets the present figures."""

    def text(self) -> bytes:
        """All figures, in Prometheus' text format."""
        return generate_latest(self._registry)

    def _family(self, metric: Metric) -> Counter | Gauge | Histogram:
        names = [*metric.labels, *(("tenant",) if self._tenants.labels(metric) else ())]
        common: dict[str, Any] = {"labelnames": names, "registry": self._registry}
        name = PREFIX + metric.name
        if metric.kind is MetricKind.COUNTER:
            return Counter(name, metric.about, **common)
        if metric.kind is MetricKind.GAUGE:
            return Gauge(name, metric.about, **common)
        return Histogram(name, metric.about, buckets=BUCKETS_S, **common)

    def _begin_at_0(self, metric: Metric) -> None:
        """Make the series of each label set: `rate` and `increase` do not see the first step of a new one.

        A gauge is made when it is set, for most processes never do.
        """
        if not self._tenants.labels(metric) and metric.kind is not MetricKind.GAUGE:
            for values in product(*metric.labels.values()):
                self._new(metric, values)

    def _new(self, metric: Metric, labels: tuple[str, ...]) -> Callable[[float], None]:
        with self._lock:
            family = self._families.get(metric) or self._family(metric)
            self._families[metric] = family
        series = family.labels(*labels) if labels else family
        if isinstance(series, Counter):
            method: Callable[[float], None] = series.inc
        else:
            method = series.set if isinstance(series, Gauge) else series.observe
        self._series[(metric, labels)] = method
        return method


class MetricsServer:
    """Serves `GET /metrics` until it is closed."""

    def __init__(self, text: Callable[[], bytes], *, host: str, port: int) -> None:
        self._text = text
        self._local = host in {"127.0.0.1", "::1", "localhost"}
        bound = socket(AF_INET6 if ":" in host else AF_INET, SOCK_STREAM)
        try:
            bound.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
            bound.bind((host, port))
        except (OSError, OverflowError) as error:
            bound.close()
            raise InvalidRequestError(
                f"metrics cannot be shown on {host}, port {port}: {error}; choose another FORGETLESS_METRICS_ADDRESS"
            ) from error
        self._port = int(bound.getsockname()[1])
        self._server = SmallHttp(bound, self._answer, name="metrics")

    @property
    def port(self) -> int:
        """The port in use."""
        return self._port

    def close(self) -> None:
        """Stop serving."""
        self._server.close()

    def _answer(self, method: str, path: str, host: str) -> Answer:
        if self._local and host.rpartition(":")[0] not in _LOCAL:
            return Answer(HTTPStatus.MISDIRECTED_REQUEST)
        if path != "/metrics":
            return Answer(HTTPStatus.NOT_FOUND)
        if method != "GET":
            return Answer(HTTPStatus.METHOD_NOT_ALLOWED)
        return Answer(HTTPStatus.OK, self._text(), CONTENT_TYPE_LATEST)
