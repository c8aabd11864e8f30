"""Every metric of the registry is recorded by some situation, and both outputs show it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from forgetless.adapters.metrics_emf import EmfMetrics, emf_name
from forgetless.adapters.metrics_prometheus import PrometheusMetrics
from forgetless.ports.metrics import METRICS, OTHER, Metric, recording_metrics
from tests.fakes.metrics import KeptMetrics
from tests.unit.metrics.situations import SITUATIONS
from tests.unit.service.world import MADE


class Both:
    """Records in all sinks at once."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.kept = KeptMetrics()
        self.prometheus = PrometheusMetrics()
        self._emf = EmfMetrics(namespace="stack", service="forgetless", write=self.lines.append)

    def record(self, metric: Metric, value: float, labels: tuple[str, ...], tenant: str) -> None:
        for sink in (self.kept, self.prometheus, self._emf):
            sink.record(metric, value, labels, tenant)

    def flush(self) -> None:
        self._emf.flush()


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """All situations, once."""
    both = Both()
    MADE.clear()
    with recording_metrics(both):
        for situation in SITUATIONS:
            situation(tmp_path_factory.mktemp(situation.__name__))
        both.flush()
    yield both
    for world in MADE:
        world.ledger.close()
    MADE.clear()


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_every_metric_is_recorded_and_shown_by_both_outputs(played: Both, metric: Metric) -> None:
    figures = [value for (name, *_), values in played.kept.values.items() if name == metric.name for value in values]
    assert figures, "no situation records it"
    assert any(figures)
    assert any(emf_name(metric) in json.loads(line) for line in played.lines)
    shown = f"\nforgetless_{metric.name}".encode()
    assert shown in played.prometheus.text()


def test_no_situation_records_a_value_that_is_not_declared(played: Both) -> None:
    assert [key for key in played.kept.values if OTHER in key] == []


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda one: one.__name__)
def test_a_situation_is_the_same_without_metrics(situation: Callable[[Path], None], tmp_path: Path) -> None:
    situation(tmp_path)
    for world in MADE:
        world.ledger.close()
    MADE.clear()
