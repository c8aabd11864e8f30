"""The bench: a load client that counts correctly, texts that differ, CPU times by part, and saved figures."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from local.bench.authentication import authentication_cost
from local.bench.bench_tables import cpu_table
from local.bench.cli import main
from local.bench.cpu_times import cpu_per_request_ms, cpu_seconds
from local.bench.imports import ImportCost
from local.bench.load import LoadResult, Plan, measure, request_text
from local.bench.search_load import SearchResult, load, user_of
from local.bench.texts import memories, queries
from local.client import Client, Connection, ToolError
from local.results.result import Result
from tests.tools.fake_service import KEY, FakeService

RESULT = LoadResult(1, 100, 0, 2.0, 5.0, 9.0, {"200": 100})


def plan(service: FakeService, path: str = "/configure/providers", clients: int = 3) -> Plan:
    request = request_text(service.url, "GET", path, KEY)
    return Plan(service.url, (request,), clients, seconds=0.3, warmup_s=0.1)


def test_the_load_client_counts_answers_and_their_latency(service: FakeService) -> None:
    result = measure(plan(service))
    assert result.errors == 0
    assert 0 < result.requests <= len(service.requests)
    assert 0 < result.p50_ms <= result.p99_ms
    assert result.statuses == {"200": result.requests}


def test_another_status_than_200_is_an_error(service: FakeService) -> None:
    result = measure(plan(service, "/nowhere", clients=1))
    assert result.requests == 0
    assert result.errors == result.statuses["404"] > 0


def test_a_service_that_refuses_connections_is_counted_not_raised() -> None:
    request = request_text("http://127.0.0.1:9", "GET", "/", KEY)
    result = measure(Plan("http://127.0.0.1:9", (request,), 1, seconds=0.2, warmup_s=0.0))
    assert result.errors == result.statuses["no connection"] > 0


def test_a_body_is_sent_whole(service: FakeService) -> None:
    body = {"query": "Đà Nẵng", "filters": {"user_id": "u"}}
    request = request_text(service.url, "POST", "/search", KEY, body)
    result = measure(Plan(service.url, (request,), 1, seconds=0.1, warmup_s=0.0))
    assert result.errors == 0
    assert ("POST", "/search") in service.requests


def test_no_two_texts_are_the_same_and_a_seed_repeats_them() -> None:
    texts = memories(2000)
    assert len(set(texts)) == 2000
    assert texts[:50] == memories(50)
    assert queries(20) == queries(20)


def test_memories_are_loaded_once_and_found_again(service: FakeService) -> None:
    with Client(Connection(service.url, KEY)) as client:
        heard: list[int] = []
        assert load(client, 250, heard.append) == 250
        assert sorted(heard) == [50, 100, 100]
        assert load(client, 250, heard.append) == 250
        assert len(heard) == 3
    assert {one["user_id"] for one in service.memories} == {user_of(250)}


def test_a_load_that_broke_off_starts_again(service: FakeService) -> None:
    with Client(Connection(service.url, KEY)) as client:
        client.add([{"role": "user", "content": "left over"}], user_id=user_of(100), infer=False)
        assert load(client, 100, lambda _: None) == 100
    assert len(service.memories) == 100


def test_cpu_is_summed_by_part_and_new_processes_count_from_zero() -> None:
    before = {("gateway", 1): 2.0, ("function search", 2): 1.0, ("gone", 3): 5.0}
    after = {("gateway", 1): 2.5, ("function search", 2): 1.2, ("function search", 4): 0.1}
    assert cpu_per_request_ms(before, after, 100) == {"function search": pytest.approx(3.0), "gateway": 5.0}


def test_without_a_running_service_cpu_times_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="make up"):
        cpu_seconds(tmp_path)


def test_figures_are_saved_as_json(tmp_path: Path) -> None:
    results = [SearchResult(RESULT, {"embedder": 2.0, "milvus": 1.5})]
    found = Result("bench", {"search": results, "imports": [ImportCost("search", 0.5, 0.6)]})
    file = found.save(tmp_path / "out")
    figures = json.loads(file.read_text())
    assert figures["search"][0] | {"cpu_ms": {}} == {
        "clients": 1, "requests": 100, "errors": 0, "seconds": 2.0, "p50_ms": 5.0, "p99_ms": 9.0,
        "statuses": {"200": 100}, "per_second": 50.0, "cpu_ms": {}, "total_cpu_ms": 3.5,
    }  # fmt: skip
    assert figures["imports"][0]["ready_s"] == 0.6
    assert figures["machine"]["cores"] >= 1


def test_the_cpu_table_has_a_line_for_each_part() -> None:
    table = cpu_table([SearchResult(RESULT, {"embedder": 2.0, "milvus": 1.5})])
    assert table.rows == (("embedder", "2.00"), ("milvus", "1.50"))


def test_a_state_folder_without_a_service_is_one_clear_line(service: FakeService, tmp_path: Path) -> None:
    arguments = ["--url", service.url, "--api-key", KEY, "--only", "imports", "--state", str(tmp_path)]
    with pytest.raises(ToolError, match=r"functions\.env\.json"):
        main(arguments, {})


def test_the_cost_of_authentication_is_measured() -> None:
    cost = authentication_cost(50)
    assert math.isfinite(cost.key_ms)
    assert math.isfinite(cost.counted_ms)
