"""Metrics as lines for CloudWatch."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from forgetless.adapters.metric_tenants import MetricTenants
from forgetless.adapters.metrics_emf import EmfMetrics
from forgetless.ports.metrics import (
    ADDS,
    DEAD_LETTERS,
    INDEX_LAG_SECONDS,
    OPEN_JOBS,
    PORT_SECONDS,
    SEARCHES,
    recording_metrics,
)


def lines_of(record: Callable[[], None], tenants: int = 0) -> list[dict[str, Any]]:
    """The lines of one invocation."""
    written: list[str] = []
    sink = EmfMetrics(namespace="stack", service="forgetless", tenants=MetricTenants(tenants), write=written.append)
    with recording_metrics(sink):
        record()
        sink.flush()
        sink.flush()
    assert not any("\n" in line for line in written)
    return [json.loads(line) for line in written]


def directive(line: dict[str, Any]) -> dict[str, Any]:
    (found,) = line["_aws"]["CloudWatchMetrics"]
    return dict(found)


def test_metrics_without_labels_share_one_line() -> None:
    def record() -> None:
        SEARCHES.count()
        SEARCHES.count(2)
        PORT_SECONDS["index"].observe(0.25)
        INDEX_LAG_SECONDS.set(7)
        INDEX_LAG_SECONDS.set(5)

    (line,) = lines_of(record)
    assert (line["Searches"], line["IndexSeconds"], line["IndexLagSeconds"]) == ([3.0], [0.25], [5.0])
    assert directive(line)["Namespace"] == "stack"
    assert directive(line)["Dimensions"] == [["service"]]
    units = {one["Name"]: one["Unit"] for one in directive(line)["Metrics"]}
    assert units == {"Searches": "Count", "IndexSeconds": "Seconds", "IndexLagSeconds": "None"}


def test_a_counter_with_labels_is_also_added_up() -> None:
    (line,) = lines_of(lambda: ADDS.count(kind="verbatim"))
    assert directive(line)["Dimensions"] == [["service"], ["service", "kind"]]
    assert (line["service"], line["kind"], line["Adds"]) == ("forgetless", "verbatim", [1.0])


def test_gauges_with_labels_have_no_total() -> None:
    def record() -> None:
        OPEN_JOBS.set(3, state="held")
        DEAD_LETTERS.set(1)

    held, dead = lines_of(record)
    assert directive(held)["Dimensions"] == [["service", "state"]]
    assert directive(dead)["Dimensions"] == [["service"]]


def test_the_tenant_is_a_dimension_only_where_asked_for() -> None:
    (line,) = lines_of(lambda: SEARCHES.count(tenant="acme"))
    assert "tenant" not in line
    (line,) = lines_of(lambda: SEARCHES.count(tenant="acme"), tenants=1)
    assert directive(line)["Dimensions"] == [["service"], ["service", "tenant"]]
    assert line["tenant"] == "acme"
    (line,) = lines_of(lambda: ADDS.count(tenant="acme", kind="verbatim"), tenants=1)
    assert directive(line)["Dimensions"] == [["service"], ["service", "kind"], ["service", "kind", "tenant"]]


def test_of_very_many_values_a_sample_is_written() -> None:
    def record() -> None:
        for number in range(5000):
            PORT_SECONDS["ledger"].observe(number)

    (line,) = lines_of(record)
    assert len(line["LedgerSeconds"]) == 99
    assert max(line["LedgerSeconds"]) > 2500


def test_nothing_is_written_when_nothing_was_recorded() -> None:
    assert lines_of(lambda: None) == []


@pytest.mark.parametrize("times", [1, 3])
def test_what_was_written_is_not_written_again(times: int) -> None:
    written: list[str] = []
    sink = EmfMetrics(namespace="stack", service="forgetless", write=written.append)
    with recording_metrics(sink):
        for _ in range(times):
            SEARCHES.count()
            sink.flush()
    assert [json.loads(line)["Searches"] for line in written] == [[1.0]] * times
