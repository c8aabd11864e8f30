"""The registry of metrics: bounded labels, names that are valid everywhere, and no cost without a sink."""

from __future__ import annotations

import re
from math import prod

import pytest

from forgetless.adapters.metric_tenants import NO_TENANTS, MetricTenants
from forgetless.adapters.metrics_emf import emf_name
from forgetless.domain import errors
from forgetless.ports import metrics
from forgetless.ports.metrics import (
    ADDS,
    EXTRACTION_FAILURES,
    METRICS,
    OTHER,
    REQUESTS,
    SEARCHES,
    Metric,
    MetricKind,
    metrics_are_recorded,
    recording_metrics,
)
from tests.fakes.metrics import KeptMetrics

#: CloudWatch bills each label set, so all of them together stay few.
MOST_SERIES = 120


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_every_metric_has_a_valid_name_and_a_bounded_number_of_series(metric: Metric) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", metric.name)
    assert re.fullmatch(r"([A-Z][a-z]+)+", emf_name(metric))
    assert metric.about
    assert not metric.name.endswith("_total")
    assert len(metric.labels) <= 1
    assert metric.name.endswith("_seconds") or metric.kind is not MetricKind.HISTOGRAM, "its buckets are of seconds"
    assert not (metric.by_tenant and metric.kind is not MetricKind.COUNTER)
    assert all(OTHER not in values for values in metric.labels.values())


def test_all_label_sets_together_are_few() -> None:
    assert sum(prod(len(values) + 1 for values in metric.labels.values()) for metric in METRICS) < MOST_SERIES


def test_every_declared_metric_is_in_the_list_once() -> None:
    declared = [one for one in vars(metrics).values() if isinstance(one, Metric)] + list(metrics.PORT_SECONDS.values())
    assert {metric.name for metric in declared} == {metric.name for metric in METRICS}
    assert len({metric.name for metric in METRICS}) == len(METRICS) == len({emf_name(metric) for metric in METRICS})


def test_nothing_is_recorded_without_a_sink() -> None:
    assert not metrics_are_recorded()
    SEARCHES.count(tenant="acme")
    REQUESTS.count(status="2xx")


def test_a_value_that_is_not_declared_becomes_other() -> None:
    kept = KeptMetrics()
    with recording_metrics(kept):
        ADDS.count(kind="verbatim")
        ADDS.count(2, kind="an id that a client chose")
    assert (kept.of(ADDS, "verbatim"), kept.of(ADDS, OTHER)) == (1, 2)


def test_a_label_that_is_missing_is_a_mistake_of_the_caller() -> None:
    with recording_metrics(KeptMetrics()), pytest.raises(KeyError, match="kind"):
        ADDS.count()


def test_recording_ends_with_the_block() -> None:
    with recording_metrics(KeptMetrics()):
        assert metrics_are_recorded()
    assert not metrics_are_recorded()


def test_the_codes_of_failed_extractions_are_codes_of_errors() -> None:
    codes = {one.code for one in vars(errors).values() if isinstance(one, type) and issubclass(one, Exception)
             and issubclass(one, errors.ForgetlessError)}  # fmt: skip
    assert set(EXTRACTION_FAILURES.labels["code"]) - codes == {"internal_error"}


def test_no_more_tenants_are_named_than_were_asked_for() -> None:
    tenants = MetricTenants(2)
    assert [tenants.of(SEARCHES, name) for name in ("Ä", "a", "b", "c", "a", "")] == [OTHER, "a", "b", OTHER, "a", ""]


def test_no_tenant_is_named_unless_asked_for_nor_where_the_metric_has_none() -> None:
    assert NO_TENANTS.of(SEARCHES, "acme") == ""
    assert MetricTenants(2).of(metrics.SWEEPS, "acme") == ""
