"""The template's alarms and dashboard show metrics that exist, and played faults make the alarms ring."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from forgetless.adapters.metrics_emf import EmfMetrics, emf_name
from forgetless.ports.metrics import INDEX_LAG_SECONDS, METRICS, MetricKind, recording_metrics
from tests.unit.metrics.alarm_player import ALARMS, DOCUMENT, OWN, RESOLVER, STACK, Figures, dimensions
from tests.unit.metrics.situations import a_bulk_job_that_fails, a_widened_search, a_wrong_key
from tests.unit.service.world import MADE

ROOT = Path(__file__).parents[3]
NAMES = {emf_name(metric): metric for metric in METRICS}


@pytest.mark.parametrize("name", OWN)
def test_an_alarm_of_our_metrics_names_one_with_labels_that_it_has(name: str) -> None:
    metric, named = NAMES[OWN[name]["MetricName"]], dimensions(OWN[name])
    assert named.pop("service") == "forgetless"
    assert all(value in metric.labels[label] for label, value in named.items())
    # The gauges of several labels have no total.
    assert named or not (metric.kind is MetricKind.GAUGE and metric.labels)
    assert DOCUMENT.content["Resources"][name]["Condition"] == "HasMetrics"


def shown() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Name and labels of every metric of ours on the dashboard."""
    (dashboard,) = (
        one for one in DOCUMENT.content["Resources"].values() if one["Type"] == "AWS::CloudWatch::Dashboard"
    )
    body = RESOLVER.resolve(dashboard["Properties"]["DashboardBody"]["Fn::ToJsonString"])
    assert json.dumps(body)
    for widget in body["widgets"]:
        for line in widget["properties"]["metrics"]:
            if line[0] == STACK:
                assert line[2:4] == ["service", "forgetless"]
                yield line[1], ()
            elif isinstance(line[0], dict) and "AWS/Lambda" not in line[0]["expression"]:
                found = re.fullmatch(
                    r"SEARCH\('\{template,service,(\w+)\} MetricName=\"(\w+)\"', '(Sum|Maximum)'\)",
                    line[0]["expression"],
                )
                assert found
                yield found[2], (found[1],)


def test_the_dashboard_shows_every_metric_with_its_label() -> None:
    assert {(name, tuple(metric.labels)) for name, metric in NAMES.items()} == set(shown())


def test_no_two_widgets_of_the_dashboard_lie_on_each_other() -> None:
    (dashboard,) = resolved_dashboards()
    places = [(one["x"], one["y"]) for one in dashboard["widgets"]]
    assert len(set(places)) == len(places)
    assert all(one["x"] + one["width"] <= 24 for one in dashboard["widgets"])


def resolved_dashboards() -> list[dict[str, Any]]:
    return [
        RESOLVER.resolve(one["Properties"]["DashboardBody"]["Fn::ToJsonString"])
        for one in DOCUMENT.content["Resources"].values()
        if one["Type"] == "AWS::CloudWatch::Dashboard"
    ]


def test_the_page_says_of_every_alarm_what_it_means() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ((?:`\w+Alarm`(?:, )?)+) \|", page, re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    functions = ("Memories", "Search", "Mcp", "Ingest", "Sweep", "Bulk", "Webhooks")
    common = {"FunctionErrorsAlarm": "Errors", "FunctionThrottlesAlarm": "Throttles", "FunctionSlowAlarm": "Slow"}
    every = [
        f"{function}{common[name]}Alarm" if name in common else name
        for name in named
        for function in (functions if name in common else ("",))
    ]
    assert sorted(every) == sorted(ALARMS)


@pytest.fixture
def cloudwatch() -> Iterator[Any]:
    with mock_aws():
        yield boto3.client("cloudwatch", region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")


def test_cloudwatch_takes_every_alarm_and_the_dashboard(cloudwatch: Any) -> None:
    for name, alarm in ALARMS.items():
        cloudwatch.put_metric_alarm(AlarmName=name, **alarm)
    for number, body in enumerate(resolved_dashboards()):
        cloudwatch.put_dashboard(DashboardName=f"forgetless-{number}", DashboardBody=json.dumps(body))
    assert len(cloudwatch.describe_alarms(MaxRecords=100)["MetricAlarms"]) == len(ALARMS)


def an_index_that_lags(_: Path) -> None:
    """Milvus has been out for a quarter of an hour."""
    INDEX_LAG_SECONDS.set(900)


@pytest.mark.parametrize(
    ("situation", "ringing"),
    [
        (a_widened_search, set()),
        (a_wrong_key, {"AddsFailedAlarm", "LlmFaultsAlarm"}),
        (a_bulk_job_that_fails, {"BulkJobsFailedAlarm"}),
        (an_index_that_lags, {"IndexLagAlarm"}),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_a_played_fault_is_over_the_threshold_of_its_alarms_alone(
    tmp_path: Path, situation: Callable[[Path], None], ringing: set[str]
) -> None:
    lines: list[str] = []
    sink = EmfMetrics(namespace=STACK, service="forgetless", write=lines.append)
    with recording_metrics(sink):
        situation(tmp_path)
        sink.flush()
    for world in MADE:
        world.ledger.close()
    MADE.clear()
    figures = Figures()
    figures.read(lines)
    assert {name for name, alarm in OWN.items() if figures.above(alarm)} == ringing
