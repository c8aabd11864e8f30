"""The metrics that functions print, as Prometheus reads them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from local.emulator.metrics import EmfFigures, MetricsPage
from tests.emulator.conftest import Running
from tests.emulator.fidelity import documented, own


def line(values: dict[str, Any], unit: str = "Count", **dimensions: str) -> bytes:
    directive = {
        "Namespace": "MyStack",
        "Dimensions": [[], list(dimensions)],
        "Metrics": [{"Name": name, "Unit": unit} for name in values],
    }
    return json.dumps({"_aws": {"CloudWatchMetrics": [directive]}, **dimensions, **values}).encode()


def figures(*lines: bytes) -> dict[tuple[str, ...], float]:
    read = EmfFigures()
    for one in lines:
        read.read(one)
    return {
        (sample.name, *sample.labels.values()): sample.value for family in read.families() for sample in family.samples
    }


@documented("CloudWatch User Guide, Embedded metric format specification")
def test_the_values_of_a_metric_are_one_number_or_several() -> None:
    assert figures(line({"Adds": 2}), line({"Adds": [1, 3]})) == {("my_stack_adds_total",): 6}


@own("CloudWatch keeps every figure, Prometheus' text has sums")
def test_seconds_are_a_histogram_and_what_has_no_unit_is_a_gauge() -> None:
    found = figures(line({"LedgerSeconds": [0.02, 3]}, "Seconds"), line({"Lag": 9}, "None"), line({"Lag": 4}, "None"))
    assert found[("my_stack_ledger_seconds_bucket", "0.025")] == 1
    assert found[("my_stack_ledger_seconds_bucket", "+Inf")] == found[("my_stack_ledger_seconds_count",)] == 2
    assert found[("my_stack_ledger_seconds_sum",)] == 3.02
    assert found[("my_stack_lag",)] == 4


@own("the dimension `service` of Powertools begins the name")
def test_dimensions_are_labels_in_the_widest_set_and_the_service_begins_the_name() -> None:
    found = figures(line({"Adds": 1}, service="shop", kind="new"), line({"Adds": 1}, service="shop", kind="old"))
    assert found == {("shop_adds_total", "new"): 1, ("shop_adds_total", "old"): 1}


@documented("CloudWatch User Guide, Embedded metric format specification")
@pytest.mark.parametrize(
    "given",
    [
        b"START RequestId: 1",
        b'{"message": "request"}',
        b'{"_aws": 1}',
        b'{"_aws": {',
        b'{"_aws": {"CloudWatchMetrics": [{"Namespace": "n", "Dimensions": [], "Metrics": [{"Name": "A"}]}]}, "A": 1}',
        line({"Adds": "many"}),
        line({"Adds": 1}, kind="new").replace(b'"kind": "new"', b'"sort": "new"'),
        line({"Adds": 1}).replace(b'"Adds": 1}', b'"Searches": 1}'),
    ],
)
def test_a_line_that_is_none_is_left_alone(given: bytes) -> None:
    assert figures(given) == {}


@own("a label with ids would need more and more memory")
def test_the_number_of_series_is_bounded() -> None:
    found = figures(*(line({"Adds": 1}, id=str(number)) for number in range(3000)))
    assert len(found) == 2000


PRINTING = """
import json
def handler(event, context):
    metric = {"Namespace": "Hello", "Dimensions": [["service"]], "Metrics": [{"Name": "Greetings", "Unit": "Count"}]}
    print(json.dumps({"_aws": {"Timestamp": 1, "CloudWatchMetrics": [metric]}, "service": "hi", "Greetings": [1]}))
    return "hello"
"""


@own("`--metrics-port`")
def test_the_functions_figures_are_shown_although_the_queues_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.emulator.metrics._STATUS_S", 0.01)
    read, sent = EmfFigures(), list[dict[str, Any]]()
    read.read(line({"Adds": 2}))

    async def hanging() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError("never")

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    page = MetricsPage(read, hanging)
    asyncio.run(page({"type": "http", "path": "/metrics"}, lambda: asyncio.sleep(0, {}), send))
    assert (sent[0]["status"], b"my_stack_adds_total 2.0" in sent[1]["body"]) == (200, True)


@own("`--metrics-port`")
@pytest.mark.slow
def test_what_functions_print_is_shown_with_queues_and_environments(start: Any) -> None:
    running: Running = start(settings={"metrics_port": 0}, code__app=PRINTING)
    assert [running.http.get("/hello").text for _ in range(2)] == ["hello", "hello"]

    def shown() -> dict[tuple[str, ...], float]:
        text = running.http.get(running.metrics_url).text
        families = list(text_string_to_metric_families(text))
        return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}

    assert running.eventually(lambda: shown().get(("hi_greetings_total",)) == 2)
    assert any(name == "emulator_environments" for name, *_ in shown())
    page = running.metrics_url
    assert running.http.get(page, headers={"Host": "evil.example"}).status_code == 421
    assert running.http.get(page.replace("/metrics", "/")).status_code == 404
