"""LiteServer and its supervisor: it is alone on its data, restarts when it dies, and ends with its owner."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from pymilvus import MilvusClient
from pymilvus.exceptions import MilvusException

from local.milvus import LiteServer, LiteServerError

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="fl-") as name:
        yield Path(name)


@pytest.fixture
def supervisor(folder: Path) -> Iterator[subprocess.Popen[str]]:
    process = _supervise(folder)
    yield process
    process.kill()
    process.communicate()  # closes its pipes too


def _supervise(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "local.milvus", "--data", str(folder / "data"), "--socket", str(folder / "m.sock")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _until(holds: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_a_second_server_on_the_same_data_is_refused(folder: Path) -> None:
    first, second = LiteServer(folder, folder / "1.sock"), LiteServer(folder, folder / "2.sock")
    first.start()
    with pytest.raises(LiteServerError, match="another Milvus Lite runs on"):
        second.start()
    first.stop()
    second.start()
    second.ready()
    second.stop()


def test_it_writes_nothing_outside_its_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = folder / "temporary"
    elsewhere.mkdir()
    monkeypatch.setenv("TMPDIR", str(elsewhere))
    server = LiteServer(folder / "data", folder / "m.sock")
    server.start()
    server.ready()
    client = MilvusClient(server.uri)
    client.create_collection("c", dimension=4)
    client.search("c", [[1.0, 0.0, 0.0, 0.0]])
    with pytest.raises(MilvusException):  # even a failure is written into its own log
        client.search("another", [[1.0, 0.0, 0.0, 0.0]])
    client.close()
    server.stop()
    assert list(elsewhere.iterdir()) == []
    assert "another" in server.log_path.read_text(encoding="utf-8")


def test_a_socket_path_that_the_system_cannot_hold_is_refused(folder: Path) -> None:
    with pytest.raises(LiteServerError, match="107 bytes"):
        LiteServer(folder, folder / ("s" * 107)).start()


def test_check_starts_a_dead_binary_again_and_stop_ends_it(folder: Path) -> None:
    server = LiteServer(folder, folder / "m.sock")
    server.start()
    server.ready()
    first = server.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    _until(lambda: not server.check())
    server.ready()
    second = server.pid
    assert second is not None
    assert second != first
    server.stop()
    assert server.pid is None
    assert not psutil.pid_exists(second)
    server.stop()


def test_the_supervisor_says_ready_restarts_the_binary_and_ends_on_sigterm(
    folder: Path, supervisor: subprocess.Popen[str]
) -> None:
    assert supervisor.stdout is not None
    ready = json.loads(supervisor.stdout.readline())
    assert ready == {"ready": True, "uri": f"unix:{folder / 'm.sock'}", "pid": supervisor.pid}
    owner = psutil.Process(supervisor.pid)
    binary = owner.children()[0]
    binary.kill()
    _until(lambda: any(child != binary for child in owner.children()))
    successor = next(child for child in owner.children() if child != binary)
    supervisor.terminate()
    assert supervisor.wait(60) == 0
    assert not successor.is_running()
    assert not (folder / "m.sock").exists()


def test_a_second_supervisor_ends_with_one_clear_line(folder: Path, supervisor: subprocess.Popen[str]) -> None:
    assert supervisor.stdout is not None
    supervisor.stdout.readline()
    second = _supervise(folder)
    out, err = second.communicate(timeout=60)
    assert (second.returncode, out) == (1, "")
    assert err == f"another Milvus Lite runs on {folder / 'data'}; stop it first\n"


def test_the_binary_dies_with_a_killed_supervisor(folder: Path, supervisor: subprocess.Popen[str]) -> None:
    assert supervisor.stdout is not None
    supervisor.stdout.readline()
    binary = psutil.Process(supervisor.pid).children()[0]
    supervisor.kill()
    supervisor.wait()
    _until(lambda: not binary.is_running() or binary.status() == psutil.STATUS_ZOMBIE)
    again = LiteServer(folder / "data", folder / "m.sock")
    again.start()
    again.ready()
    again.stop()
