"""Metrics as Prometheus' text, and the server that shows it."""

from __future__ import annotations

import http.client
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from forgetless.adapters.metric_tenants import MetricTenants
from forgetless.adapters.metrics_prometheus import MetricsServer, PrometheusMetrics
from forgetless.domain.errors import InvalidRequestError
from forgetless.ports.metrics import (
    ADDS,
    INDEX_LAG_SECONDS,
    METRICS,
    OPEN_JOBS,
    REQUEST_SECONDS,
    SEARCHES,
    MetricKind,
    recording_metrics,
)


def samples(sink: PrometheusMetrics) -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families(sink.text().decode())
    return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


def test_counters_begin_at_0_and_gauges_when_they_are_set() -> None:
    sink = PrometheusMetrics()
    before = samples(sink)
    assert before[("forgetless_searches_total",)] == before[("forgetless_adds_total", "inferred")] == 0
    assert ("forgetless_index_lag_seconds",) not in before
    with recording_metrics(sink):
        SEARCHES.count()
        ADDS.count(2, kind="inferred")
        INDEX_LAG_SECONDS.set(5)
        OPEN_JOBS.set(3, state="held")
        REQUEST_SECONDS.observe(0.3)
    after = samples(sink)
    assert after[("forgetless_searches_total",)] == 1
    assert after[("forgetless_adds_total", "inferred")] == 2
    assert after[("forgetless_adds_total", "verbatim")] == 0
    assert after[("forgetless_index_lag_seconds",)] == 5
    assert after[("forgetless_open_jobs", "held")] == 3
    assert after[("forgetless_request_seconds_bucket", "0.5")] == after[("forgetless_request_seconds_count",)] == 1


def test_every_metric_is_shown() -> None:
    sink = PrometheusMetrics()
    with recording_metrics(sink):
        for metric in METRICS:
            label = {name: values[0] for name, values in metric.labels.items()}
            (metric.set if metric.kind is MetricKind.GAUGE else metric.observe)(1, **label)
    shown = {family.name for family in text_string_to_metric_families(sink.text().decode())}
    assert {f"forgetless_{metric.name}" for metric in METRICS} <= shown


def test_a_tenant_is_a_label_only_where_asked_for() -> None:
    sink = PrometheusMetrics(tenants=MetricTenants(1))
    with recording_metrics(sink):
        for tenant in ("acme", "other tenant", ""):
            SEARCHES.count(tenant=tenant)
    shown = samples(sink)
    assert [shown[("forgetless_searches_total", one)] for one in ("acme", "other", "")] == [1, 1, 1]


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    server = MetricsServer(PrometheusMetrics().text, host="127.0.0.1", port=0)
    yield server
    server.close()


def status(server: MetricsServer, path: str, host: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    try:
        connection.request("GET", path, headers={"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_the_text_is_at_metrics_alone(server: MetricsServer) -> None:
    code, body = status(server, "/metrics", f"127.0.0.1:{server.port}")
    assert code == 200
    assert b"# TYPE forgetless_searches_total counter" in body
    assert status(server, "/", "localhost:1")[0] == 404


@pytest.mark.parametrize("host", ["evil.example:9464", "evil.example", ""])
def test_a_web_page_that_names_this_machine_differently_is_refused(server: MetricsServer, host: str) -> None:
    assert status(server, "/metrics", host)[0] == 421


def test_an_address_that_is_taken_is_named_with_its_setting(server: MetricsServer) -> None:
    with pytest.raises(InvalidRequestError, match="FORGETLESS_METRICS_ADDRESS"):
        MetricsServer(bytes, host="127.0.0.1", port=server.port)
