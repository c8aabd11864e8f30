"""The comparison: rounds alternate, ratios are of neighbouring rounds, and what is missing is said in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import cycle, islice
from pathlib import Path

import pytest

from local.bench.load import LoadResult
from local.client import Connection, ToolError
from local.loadtest.preload import Preload
from local.loadtest.scratch_service import ScratchService, answers, free_port, process, wait_for
from local.loadtest.versus.command import loads_over
from local.loadtest.versus.comparison_report import FUNCTIONS, MEM0, versus_report
from local.loadtest.versus.mem0_server import mem0_python, mem0_server
from local.loadtest.versus.rounds import Contestant, Round, Standing, run_rounds, standings, usage
from local.results.page import to_page
from local.results.report import to_markdown
from tests.tools.fake_service import KEY, FakeService
from tests.tools.test_load_report import HEAD

#: A service that nobody reaches.
NO_SERVICE = ScratchService(Connection("", ""), Path(), "", "")


def round_of(who: str, *, requests: int, p99: float = 10.0, cpu_s: float = 1.0, memory: int = 100) -> Round:
    result = LoadResult(4, requests, 0, 2.0, p99 / 2, p99, {"200": requests})
    return Round(who, "search", 4, result, cpu_s, memory)


def test_ratios_are_medians_of_neighbouring_rounds() -> None:
    rounds = [
        round_of("a", requests=100, cpu_s=1.0), round_of("b", requests=300, cpu_s=0.6),
        round_of("a", requests=10, cpu_s=1.0), round_of("b", requests=20, cpu_s=0.4),
        round_of("a", requests=100, cpu_s=1.0), round_of("b", requests=400, cpu_s=1.0),
    ]  # fmt: skip
    first, second = standings(rounds, ["a", "b"])
    assert first.ratios == {"req/s": 1.0, "P99": 1.0, "CPU": 1.0, "memory": 1.0}
    assert second.ratios["req/s"] == pytest.approx(3.0)
    # 2 ms to 10 ms, 20 to 100, 2.5 to 10
    assert second.ratios["CPU"] == pytest.approx(0.2)
    assert second.per_second == 150.0


def test_a_contestant_that_answered_nothing_divides_by_nothing() -> None:
    rounds = [round_of("a", requests=0, p99=0.0), round_of("b", requests=10)]
    assert standings(rounds, ["a", "b"])[1].ratios["req/s"] == 0.0


def test_rounds_alternate_and_the_order_turns(service: FakeService) -> None:
    contestants = [Contestant(name, Connection(service.url, KEY), ()) for name in ("a", "b")]
    heard: list[str] = []
    bodies = cycle([{"query": "q", "filters": {"user_id": "u"}}])

    def hear(one: Round) -> None:
        heard.append(one.contestant)

    rounds = run_rounds(
        contestants, {"search": bodies}, clients=[2], rounds=2, seconds=0.2, progress=hear, warm_up_s=0.2
    )
    assert heard == ["a", "b", "b", "a"]
    assert all(one.result.errors == 0 for one in rounds)


def test_the_warm_up_lasts_until_no_process_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    calls = 0

    def starts_two(_plan: object) -> LoadResult:
        nonlocal calls
        calls += 1
        if calls <= 2:
            started.append(subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE))
        return LoadResult(2, 1, 0, 1.0, 1.0, 1.0, {"200": 1})

    monkeypatch.setattr("local.loadtest.versus.rounds.measure", starts_two)
    contestants = [Contestant("a", Connection("http://127.0.0.1:9", KEY), (os.getpid(),))]
    bodies = cycle([{"query": "q"}])
    try:
        run_rounds(contestants, {"search": bodies}, clients=[2], rounds=1, seconds=0.1, progress=lambda _: None)
    finally:
        for one in started:
            one.kill()
            one.communicate()
    # Two warm-ups with a start, one without, and the round with its own short one.
    assert calls == 5


def test_no_round_adds_a_text_that_an_earlier_one_added() -> None:
    adds = loads_over(Preload(memories=10, users=2))["add"]
    said = [str(body["messages"]) for body in islice(adds, 5000)]
    assert len(set(said)) == len(said)


def test_usage_counts_a_process_and_all_below_it() -> None:
    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'x = bytearray(50_000_000); input()'])"
    with subprocess.Popen([sys.executable, "-c", child], stdin=subprocess.PIPE) as top:
        try:
            wait_for("the child", lambda: usage([top.pid])[1] > 50_000_000, top, Path())  # type: ignore[arg-type]
            seconds, _ = usage([top.pid, top.pid])
            assert seconds < 60
        finally:
            top.communicate(b"\n")
    assert usage([top.pid]) == (0.0, 0)


def test_the_report_names_ratios_and_figures() -> None:
    ratios = {"req/s": 3.5, "P99": 0.25, "CPU": 0.5, "memory": 0.75}
    lines = [
        Standing(who, what, 8, 40.0, 10.0, 90.0, 12.0, 300 * 2**20, 0, ratios if who == FUNCTIONS else {})
        for what in ("search", "add")
        for who in (MEM0, FUNCTIONS)
    ]
    report = versus_report(HEAD | {"rounds": 3, "seconds": 5.0}, lines)
    text = to_markdown(report)
    assert "| search | 8 | Forgetless, functions | 3.50 | 0.25 | 0.50 | 0.75 |" in text
    assert [section.title for section in report.sections] == ["Ratios", "search", "add"]
    assert "3.5 ×" in to_page(report)


def test_a_folder_without_mem0_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="MEM0=path"), mem0_server(
        tmp_path, tmp_path / "scratch", python=Path(sys.executable), service=NO_SERVICE
    ):  # fmt: skip
        pass


def test_another_version_of_mem0_is_refused(tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "main.py").write_text("start_differently()\n")
    (tmp_path / "server" / "AGENTS.md").symlink_to("left-out.md")  # is no reason to stop
    with pytest.raises(ToolError, match="version that this tool does not know"), mem0_server(
        tmp_path, tmp_path / "scratch", python=Path(sys.executable), service=NO_SERVICE
    ):  # fmt: skip
        pass


def test_without_its_environment_make_is_named(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="make versus-mem0"):
        mem0_python({"FORGETLESS_MEM0_PYTHON": str(tmp_path / "python")})


def test_a_process_ends_with_its_block_and_its_last_words_are_told(tmp_path: Path) -> None:
    log, port = tmp_path / "log", free_port()
    serve = (sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1")
    with process(serve, log=log, environment={}, cwd=tmp_path) as running:
        wait_for("a server", lambda: answers(f"http://127.0.0.1:{port}/"), running, log)
    assert running.poll() is not None
    fails = (sys.executable, "-c", "import sys; sys.exit('no more paper')")
    with process(fails, log=log, environment={}) as running, pytest.raises(ToolError, match="no more paper"):
        wait_for("a printer", lambda: False, running, log)
