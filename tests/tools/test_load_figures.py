"""The report's arithmetic, on recorded samples whose figures can be computed by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from local.loadtest.figures import latency, percentile, slope, stage_figures, timeline
from local.loadtest.result_files import Run, Sample, Tail, parts_of
from local.loadtest.scenario import Plan, Stage

EPOCH = 1_700_000_000.0
PLAN = Plan("http://127.0.0.1:1", (Stage(2, 10.0), Stage(4, 10.0)), 5.0, (0.0, 0.0), "default")
TIMING = "gateway;dur=2.00, ledger;dur=1.00, embedder;dur=4.00, index;dur=6.00, total;dur=15.00"


def sample(at: float, ms: float = 20.0, *, kind: str = "search", status: int = 200, timing: str = "") -> Sample:
    return Sample(at, EPOCH + at, kind, ms, status, status == 200, timing)


def look(at: float, *, slow: bool = False, **cpu_s: float) -> dict[str, Any]:
    line: dict[str, Any] = {"time": EPOCH + at, "cpu_s": cpu_s}
    if slow:
        metrics = {"queue_wait_sum": at / 100, "queue_wait_count": at * 10}
        metrics |= {"inference_sum": at / 50, "inference_count": at * 4}
        line |= {"bytes": {"embedder": int(at) * 1000}, "processes": {"embedder": 1}, "embedder": metrics}
    return line


def test_a_percentile_is_the_least_value_that_so_many_do_not_exceed() -> None:
    hundred = [float(number) for number in range(1, 101)]
    assert percentile(hundred, 0.5) == 50
    assert percentile(hundred, 0.99) == 99
    assert percentile([1.0, 2.0, 3.0], 0.99) == 3
    assert percentile([7.0], 0.5) == 7
    assert percentile([], 0.99) == 0


def test_a_slope_is_what_a_value_grows_in_a_second() -> None:
    assert slope([0, 10, 20], [5, 25, 45]) == pytest.approx(2.0)
    assert slope([0, 1, 2, 3], [1, 2, 1, 2]) == pytest.approx(0.2)
    assert slope([3], [1]) is None
    assert slope([], []) is None


def test_errors_make_no_latency_better() -> None:
    found = latency([sample(0, 10), sample(1, 30), sample(2, 0.1, status=503)])
    assert (found.count, found.p50, found.p99, found.mean) == (2, 10, 30, 20)


def test_a_stage_counts_what_was_sent_while_it_held_its_users() -> None:
    samples = [sample(4.9), sample(5.0), sample(14.9, status=500), sample(15.0), sample(20.0, kind="add"), sample(29.9)]
    first, second = stage_figures(PLAN, Run(samples, [], None))
    assert (first.users, first.requests, first.errors, first.seconds) == (2, 2, 1, 10.0)
    assert first.per_second == pytest.approx(0.1)
    assert first.statuses == {"200": 1, "500": 1}
    assert second.requests == 2
    assert set(second.kinds) == {"add", "search"}


def test_a_stage_that_was_broken_off_counts_as_long_as_it_lasted() -> None:
    run = Run([sample(at) for at in range(5, 22)], [], EPOCH + 22.0)
    first, second = stage_figures(PLAN, run)
    assert first.seconds == 10.0
    assert second.seconds == pytest.approx(2.0)
    assert second.per_second == pytest.approx(1.0)


def test_stages_that_were_not_reached_are_left_out() -> None:
    assert len(stage_figures(PLAN, Run([sample(6)], [], EPOCH + 8.0))) == 1


def test_the_parts_of_a_search_add_up_to_its_latency() -> None:
    run = Run([sample(6, 20.0, timing=TIMING), sample(7, 30.0, timing=TIMING)], [], None)
    parts = stage_figures(PLAN, run)[0].parts
    assert parts == {"gateway": 2, "ledger": 1, "embedder": 4, "index": 6, "function": 4, "rest": 8}
    assert sum(parts.values()) == pytest.approx(25.0)


def test_adds_errors_and_answers_without_times_do_not_count_for_the_parts() -> None:
    samples = [sample(6, kind="add", timing=TIMING), sample(7, status=503, timing=TIMING), sample(8)]
    assert stage_figures(PLAN, Run(samples, [], None))[0].parts == {}


def test_cpu_is_in_percent_of_a_core_and_in_milliseconds_of_a_request() -> None:
    looks = [look(5, milvus=1.0), look(10, milvus=1.5), look(15, milvus=3.0, embedder=1.0)]
    one = stage_figures(PLAN, Run([sample(at) for at in (5, 6, 7, 8, 9)] * 4, looks, None))[0]
    assert one.cpu_percent == {"embedder": pytest.approx(10.0), "milvus": pytest.approx(20.0)}
    # 20 requests in 10 s, 2 s of CPU: 100 ms each.
    assert one.cpu_ms["milvus"] == pytest.approx(100.0)


def test_memory_is_the_most_of_the_stage_and_the_embedders_means_are_of_the_stage() -> None:
    looks = [look(at, slow=True) for at in (0, 5, 10, 15, 20)]
    one = stage_figures(PLAN, Run([sample(6)], looks, None))[0]
    assert one.memory == {"embedder": 15_000}
    assert one.embedder == {"wait": pytest.approx(1.0), "model": pytest.approx(5.0)}


def test_without_looks_there_are_no_figures_of_parts() -> None:
    one = stage_figures(PLAN, Run([sample(6)], [], None))[0]
    assert (one.cpu_percent, one.cpu_ms, one.memory, one.embedder) == ({}, {}, {}, {})


def test_over_time_a_bin_without_answers_has_no_latency() -> None:
    samples = [sample(1, 10), sample(2, 20), sample(11, 30), sample(12, 1, status=500)]
    over = timeline(PLAN, Run(samples, [], None))
    assert over.at == [2.5, 7.5, 12.5]
    assert over.p99 == [20, None, 30]
    assert over.per_second == [0.4, 0.0, 0.2]
    assert over.errors == [0, 0, 1]
    assert over.users == [pytest.approx(1.0), 2, 2]


def test_over_time_cpu_is_between_looks_some_seconds_apart() -> None:
    looks = [look(at, milvus=at * 0.5) for at in range(11)]
    over = timeline(PLAN, Run([sample(1)], looks, None))
    assert over.cpu_at == [pytest.approx(5), pytest.approx(10)]
    assert over.cpu_percent == {"milvus": [pytest.approx(50), pytest.approx(50)]}


def test_nothing_measured_gives_nothing_and_no_error() -> None:
    run = Run([], [], None)
    assert [one.per_second for one in stage_figures(PLAN, run)] == [0, 0]
    assert timeline(PLAN, run).at == []


def test_half_a_line_waits_for_its_end(tmp_path: Path) -> None:
    file = tmp_path / "samples.jsonl"
    tail = Tail(file)
    assert tail.read() == []
    line = '{"sent":1000,"at":5,"kind":"add","ms":2.5,"status":200,"ok":true,"timing":"total;dur=1.5"}\n'
    file.write_text("level=warning some words of the tool\n" + line + line[:20])
    assert tail.read() == [Sample(0.005, 1.0, "add", 2.5, 200, True, "total;dur=1.5")]
    with file.open("a") as stream:
        stream.write(line[20:])
    assert len(tail.read()) == 1


def test_parts_are_read_from_the_header() -> None:
    assert parts_of(TIMING)["embedder"] == 4.0
    assert parts_of("") == {}
