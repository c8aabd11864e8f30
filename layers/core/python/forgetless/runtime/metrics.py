"""Where this process' metrics go: to the log as EMF, to an address as Prometheus' text, or nowhere."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from forgetless.adapters.metric_tenants import MetricTenants
from forgetless.ports.metrics import COLD_STARTS, MetricSink, record_metrics_in
from forgetless.runtime.settings import Settings

__all__ = ["begin_metrics", "metered", "showing_metrics"]

_logger = logging.getLogger(__name__)

_SERVICE = "forgetless"
_sinks: list[MetricSink] = []


def begin_metrics(settings: Settings) -> None:
    """Record from now on as the settings say; loads nothing that they do not ask for."""
    sink = _sink(settings)
    record_metrics_in(sink)
    _sinks[:] = [] if sink is None else [sink]


@contextmanager
def showing_metrics(settings: Settings) -> Iterator[None]:
    """While the context lasts, show this process' metrics at FORGETLESS_METRICS_ADDRESS, if they are Prometheus'."""
    if settings.metrics != "prometheus":
        yield
        return
    from forgetless.adapters.metrics_prometheus import MetricsServer, PrometheusMetrics  # noqa: PLC0415 - not in a layer

    sink = next(one for one in _sinks if isinstance(one, PrometheusMetrics))
    host, port = settings.metrics_place
    server = MetricsServer(sink.text, host=host, port=port)
    try:
        yield
    finally:
        server.close()


def metered(function: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorates the handler of a Lambda function: after each event, before the environment may freeze, its metrics are
    written.
    """

    def decorate(handler: Callable[..., Any]) -> Callable[..., Any]:
        cold = True

        @wraps(handler)
        def measured(*arguments: Any, **named: Any) -> Any:
            nonlocal cold
            if cold:
                COLD_STARTS.count(function=function)
                cold = False
            try:
                return handler(*arguments, **named)
            finally:
                _flush()

        return measured

    return decorate


def _flush() -> None:
    for sink in _sinks:
        try:
            sink.flush()
        except Exception:  # a request must not fail because it was counted
            _logger.exception("metrics were not written")


def _sink(settings: Settings) -> MetricSink | None:
    tenants = MetricTenants(settings.metrics_tenants)
    if settings.metrics == "emf":
        from forgetless.adapters.metrics_emf import EmfMetrics  # noqa: PLC0415 - import only what is used

        return EmfMetrics(namespace=settings.metrics_namespace, service=_SERVICE, tenants=tenants)
    if settings.metrics == "prometheus":
        from forgetless.adapters.metrics_prometheus import PrometheusMetrics  # noqa: PLC0415

        return PrometheusMetrics(tenants=tenants)
    return None
