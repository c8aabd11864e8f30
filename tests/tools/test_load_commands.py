"""`make load` and `make load-locust` run for some seconds against the fake service, completely and interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from local.client import Connection, ToolError
from local.loadtest import cli
from local.loadtest.cli import main
from local.loadtest.monitor import LOAD_GENERATOR, Monitor
from local.loadtest.preload import WARM
from local.loadtest.result_files import BESIDE, parts_of, read_recording
from local.loadtest.run_load_tool import TOOLS, drive, tools_folder
from local.loadtest.scenario import Plan, Stage
from local.loadtest.scratch_service import ScratchService
from local.up.identity import identify
from local.up.record import Record, lock
from local.up.settings import ROOT
from tests.tools.fake_service import KEY, FakeService

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

#: Seconds until something that other processes do counts as not done.
PATIENCE_S = 90.0


@pytest.fixture
def tools() -> None:
    if not (tools_folder(os.environ) / "k6").exists():
        if os.environ.get("FORGETLESS_LOAD_REQUIRED"):
            pytest.fail("k6 and locust are not where the Makefile puts them")
        pytest.skip("k6 and locust are not installed: make unit does it")


@pytest.fixture
def other_memories(service: FakeService) -> list[Any]:
    service.memories.append({"id": "x", "memory": "not the load's", "metadata": None, "user_id": "someone"})
    return service.memories


def arguments(service: FakeService, out: Path, *more: str) -> list[str]:
    short = ("--stages", "2,4", "--seconds", "1.5", "--ramp", "0.5", "--think", "0.05")
    small = ("--memories", "60", "--users", "4")
    return ["load", *short, *small, "--host", service.url, "--api-key", KEY, "--out", str(out), *more]


def result(out: Path) -> Path:
    (folder,) = out.iterdir()
    return folder


@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize("tool", TOOLS)
def test_a_load_ends_with_the_table_and_a_report(
    tool: str, service: FakeService, other_memories: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = arguments(service, tmp_path / "out", "--tool", tool, "--state", str(tmp_path))
    assert main(options, {}) == 0
    said = capsys.readouterr().out
    assert said.index("report:") < said.index("Forgetless beside the reference system")
    recording = read_recording(result(tmp_path / "out"))
    assert recording.run.samples
    assert {one.kind for one in recording.run.samples} <= {"search", "add"}
    assert all(one.ok and one.ms > 0 for one in recording.run.samples)
    assert recording.head["tool"] == tool
    assert "<svg" in (result(tmp_path / "out") / "report.html").read_text()
    assert [one["user_id"] for one in service.memories] == ["someone"], "the load's memories are gone, no others"


@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize("tool", TOOLS)
def test_a_failed_request_is_counted_and_makes_the_exit_code_1(
    tool: str, service: FakeService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    search = service.search

    def broken_under_load(body: dict[str, Any]) -> dict[str, Any]:
        if sum(path == "/search" for _, path in service.requests) > 2 * WARM:
            raise ConnectionAbortedError
        return search(body)

    service.search = broken_under_load  # type: ignore[method-assign]
    options = ("--tool", tool, "--mix", "search", "--state", str(tmp_path))
    assert main(arguments(service, tmp_path / "out", *options), {}) == 1
    assert "requests failed" in capsys.readouterr().out
    samples = read_recording(result(tmp_path / "out")).run.samples
    assert samples
    assert not any(one.ok for one in samples)


@pytest.mark.usefixtures("tools")
def test_ctrl_c_ends_with_the_report_of_what_was_measured(service: FakeService, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ["--stages", "5,9", "--seconds", "200", "--ramp", "0.5", "--think", "0.05", "--memories", "20"]
    given = ["load", "--host", service.url, "--api-key", KEY, "--out", str(out), "--state", str(tmp_path), *options]
    process = subprocess.Popen(
        [sys.executable, "-m", "local.loadtest", *given], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    end = time.monotonic() + PATIENCE_S
    while sum(path == "/search" for _, path in service.requests) < 60:
        assert process.poll() is None
        assert time.monotonic() < end, "the load does not begin"
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, said
    assert "stopped before its end" in said
    recording = read_recording(result(out))
    assert recording.run.interrupted
    assert recording.run.samples
    assert service.memories == []


@pytest.mark.usefixtures("tools")
@pytest.mark.skipif(not os.environ.get("FORGETLESS_MODEL_DIR"), reason="needs the model: make unit prepares it")
@pytest.mark.timeout(400)  # starting and stopping everything takes a busy machine long
def test_a_service_of_its_own_is_there_for_the_run_and_gone_afterwards(tmp_path: Path) -> None:
    short = ("--stages", "2", "--seconds", "2", "--ramp", "0.1", "--think", "0.2", "--memories", "6", "--users", "2")
    # Whether every request is answered in time is the machine's affair; that there is a service is ours.
    main(["load", "--own", "--cold", "--mix", "extraction", "--out", str(tmp_path / "out"), *short], {})
    recording = read_recording(result(tmp_path / "out"))
    answered = [one for one in recording.run.samples if one.ok]
    assert all({"gateway", "total"} <= set(parts_of(one.timing)) for one in answered)
    assert {"gateway", "milvus", "embedder", LOAD_GENERATOR} <= set(recording.run.looks[0]["bytes"])
    assert recording.head["settings"]["FORGETLESS_EMBEDDING_MODEL"] == "all-MiniLM-L6-v2"
    assert not any("forgetless-load-" in " ".join(one.cmdline()) for one in children())


def children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def test_a_load_tool_that_is_not_there_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORGETLESS_LOAD_TOOLS", str(tmp_path))
    plan = Plan("http://127.0.0.1:9", (Stage(1, 1.0),), 0.0, (0.0, 0.0), "search")
    with pytest.raises(ToolError, match="k6 is not in"):
        drive("k6", plan, KEY, tmp_path, state=None, show=lambda *_: None)


def test_a_load_tool_that_fails_is_told_with_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "k6"
    tool.write_text("#!/bin/sh\necho out of order >&2\nexit 3\n")
    tool.chmod(0o755)
    monkeypatch.setenv("FORGETLESS_LOAD_TOOLS", str(tmp_path))
    plan = Plan("http://127.0.0.1:9", (Stage(1, 1.0),), 0.0, (0.0, 0.0), "search")
    with pytest.raises(ToolError, match=r"k6 failed \(3\): out of order"):
        drive("k6", plan, KEY, tmp_path, state=None, show=lambda *_: None)


def test_the_key_comes_from_key_and_nonsense_names_its_option(service: FakeService, tmp_path: Path) -> None:
    options = ["load", "--host", service.url, "--out", str(tmp_path / "out"), "--state", str(tmp_path)]
    with pytest.raises(ToolError, match="401"):
        main(options, {"KEY": "another"})
    with pytest.raises(ToolError, match="--memories"):
        main([*options, "--memories", "0"], {"KEY": KEY})


def test_extraction_needs_an_llm_and_says_how_to_have_one(service: FakeService, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="llm_stub"):
        main(arguments(service, tmp_path / "out", "--mix", "extraction", "--state", str(tmp_path)), {})


def test_the_monitor_counts_from_its_beginning_by_part(tmp_path: Path) -> None:
    burner = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        own = identify(os.getpid())
        part = identify(burner.pid)
        assert own is not None
        assert part is not None
        with lock(tmp_path):
            record = Record.of_this_process(tmp_path, "http://127.0.0.1:1")
            record.started("milvus", part)
            monitor = Monitor(tmp_path)
            assert monitor.url == "http://127.0.0.1:1"
            end = time.monotonic() + PATIENCE_S
            while (look := monitor.look())["cpu_s"]["milvus"] < 0.2:
                assert time.monotonic() < end
                threading.Event().wait(0.1)
            assert LOAD_GENERATOR in look["cpu_s"]
            burner.kill()
            burner.wait()
            spent = look["cpu_s"]["milvus"]
            assert monitor.look()["cpu_s"]["milvus"] >= spent, "what is gone keeps what it spent"
    finally:
        burner.kill()
        burner.wait()


def test_memory_is_weighed_now_and_then(tmp_path: Path) -> None:
    own = identify(os.getpid())
    assert own is not None
    with lock(tmp_path):
        Record.of_this_process(tmp_path, "http://127.0.0.1:1").started("gateway", own)
        monitor = Monitor(tmp_path)
        line = monitor.look()
    assert line["bytes"][LOAD_GENERATOR] > 1_000_000
    assert json.dumps(line)


def test_without_a_service_there_is_no_monitor(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="make up"):
        Monitor(tmp_path)


@pytest.mark.usefixtures("tools")
def test_a_model_is_loaded_after_the_default_one_each_on_a_service_of_its_own(
    service: FakeService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prepared: list[str] = []
    started: list[str] = []

    @contextmanager
    def scratch(folder: Path, *, settings: Mapping[str, str]) -> Iterator[ScratchService]:
        started.append(settings["EMBEDDING_MODEL"])
        yield ScratchService(Connection(service.url, KEY), folder, "", "")

    monkeypatch.setattr(cli, "prepare_model", prepared.append)
    monkeypatch.setattr(cli, "scratch_service", scratch)
    assert main(arguments(service, tmp_path / "out", "--model", "jina-v3-shape"), {}) == 0
    assert prepared == started == ["all-MiniLM-L6-v2", "jina-v3-shape"]
    folder = result(tmp_path / "out")
    assert read_recording(folder).run.samples
    assert read_recording(folder / BESIDE).run.samples
    assert "Both models" in (folder / "report.html").read_text()
    assert "Both models beside the reference system" in capsys.readouterr().out
