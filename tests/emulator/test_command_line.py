"""The command line: one line when ready, one line on errors, nothing left behind."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
SLOW = """
import os, time
def handler(event, context):
    time.sleep(float(event["rawPath"][1:] or 0))
    return os.getpid()
"""


@pytest.fixture
def launch(project: Callable[..., Path], tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: str, code: str = SLOW, **files: str) -> subprocess.Popen[str]:
        template = project(code__app=code, **files)
        command = [sys.executable, "-m", "local.emulator", "--template", str(template)]
        command += ["--state", str(tmp_path / "state"), "--port", "0", "--queue-port", "0", *arguments]
        started.append(subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def ready(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line: dict[str, Any] = json.loads(process.stdout.readline())
    return line


def wait_for_busy(process: subprocess.Popen[str], count: int) -> None:
    """Return once so many functions sleep in their handlers."""
    deadline = time.monotonic() + 5
    while len(psutil.Process(process.pid).children()) < count and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.2)


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_one_line_of_json_tells_that_it_is_ready(launch: Any) -> None:
    line = ready(launch())
    assert line["ready"] is True
    assert httpx.get(line["gateway"] + "/0").status_code == 200
    assert set(httpx.get(line["queue"] + "/_emulator/status").json()) == {"functions", "queues"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_and_its_environments_within_three_seconds(launch: Any, number: int) -> None:
    process = launch()
    pid = httpx.get(ready(process)["gateway"] + "/0").json()
    began = time.monotonic()
    process.send_signal(number)
    assert process.wait(5) == 0
    assert time.monotonic() - began < 3
    assert not alive(pid)


def test_a_request_in_progress_is_answered_before_it_stops(launch: Any) -> None:
    process = launch()
    url = ready(process)["gateway"]
    httpx.get(f"{url}/0")
    with ThreadPoolExecutor(2) as pool:
        short, long = (pool.submit(httpx.get, f"{url}/{seconds}", timeout=10) for seconds in (0.5, 4))
        wait_for_busy(process, 2)
        process.terminate()
        assert short.result().status_code == 200
        assert long.result().status_code in {500, 503}
    _, errors = process.communicate(timeout=5)
    assert "Traceback" not in errors


def test_environments_die_with_a_killed_emulator(launch: Any) -> None:
    process = launch()
    pid = httpx.get(ready(process)["gateway"] + "/0").json()
    process.kill()
    process.wait(5)
    deadline = time.monotonic() + 3
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(pid)


def test_a_taken_port_is_one_line_and_an_exit_code(launch: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = launch("--port", str(port))
        output, errors = process.communicate(timeout=10)
    assert (process.returncode, output) == (3, "")
    assert errors.strip() == f"cannot listen on 127.0.0.1:{port}: Address already in use"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--template", "nothing.yaml"], "nothing.yaml"),
        (["--max-environments", "Hello=many"], "FUNCTION=N"),
        (["--parameter", "Nothing=1"], "Nothing"),
    ],
)
def test_bad_arguments_are_one_line_and_an_exit_code(launch: Any, arguments: list[str], told: str) -> None:
    process = launch(*arguments)
    output, errors = process.communicate(timeout=10)
    assert (process.returncode, output) == (2, "")
    assert told in errors
    assert len(errors.strip().splitlines()) == 1


def test_variables_come_from_a_file_as_sam_local_reads_it(launch: Any, tmp_path: Path) -> None:
    path = tmp_path / "env.json"
    path.write_text(json.dumps({"Parameters": {"A": "all"}, "Hello": {"B": "own"}}))
    code = "import os\ndef handler(event, context): return [os.environ['A'], os.environ['B']]"
    line = ready(launch("--env-vars", str(path), code=code))
    assert httpx.get(line["gateway"]).json() == ["all", "own"]


def test_a_runtime_other_than_the_hosts_is_warned_of_once(launch: Any) -> None:
    process = launch()
    ready(process)
    process.terminate()
    _, errors = process.communicate(timeout=10)
    host = f"python{sys.version_info.major}.{sys.version_info.minor}"
    expected = (
        []
        if host == "python3.13"
        else [f"warning: the template says python3.13; functions run under the host's {host}"]
    )
    assert errors.splitlines() == expected
