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

from tests.emulator.fidelity import own, read

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
WAIT_SECONDS = 60.0
HELD = """
import os, time
def handler(event, context):
    while not os.path.exists(os.path.join(os.path.dirname(__file__), "go")): time.sleep(0.01)
    return "ok"
"""
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


@own("command line")
@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--port", "7000", "--queue-port", "7000"), "--port and --queue-port are both 7000"),
        (("--port", "7000", "--invoke-port", "7000"), "--port and --invoke-port are both 7000"),
        (("--queue-port", "7000", "--invoke-port", "7000"), "--queue-port and --invoke-port are both 7000"),
        (("--queue-port", "9324", "--port", "70000"), "cannot listen on 127.0.0.1:70000: a port is at most 65535"),
    ],
)
def test_ports_that_cannot_be_used_are_one_line_before_anything_starts(
    launch: Callable[..., subprocess.Popen[str]], tmp_path: Path, options: tuple[str, ...], named: str
) -> None:
    out, err = launch(*options).communicate(timeout=WAIT_SECONDS)
    assert out == ""
    assert err.startswith(named)
    assert err.count("\n") == 1
    assert not (tmp_path / "state").exists()


def ready(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line: dict[str, Any] = json.loads(process.stdout.readline())
    return line


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@own("command line")
def test_one_line_of_json_tells_that_it_is_ready(launch: Any) -> None:
    line = ready(launch())
    assert line["ready"] is True
    assert httpx.get(line["gateway"] + "/0", timeout=WAIT_SECONDS).status_code == 200
    assert set(httpx.get(line["queue"] + "/_emulator/status").json()) == {"functions", "queues", "receivers"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@own("command line")
def test_a_signal_stops_it_and_its_environments(launch: Any, number: int) -> None:
    process = launch()
    pid = httpx.get(ready(process)["gateway"] + "/0", timeout=WAIT_SECONDS).json()
    process.send_signal(number)
    assert process.wait(WAIT_SECONDS) == 0
    assert not alive(pid)


@own("command line")
def test_a_request_in_progress_may_end_before_it_stops(start: Any, tmp_path: Path) -> None:
    running = start(settings={"grace": WAIT_SECONDS}, code__app=HELD)
    answer = running.later("/")
    running.wait_for(busy=1)
    with ThreadPoolExecutor(1) as pool:
        stopped = pool.submit(running.stop)
        (tmp_path / "code" / "go").touch()
        assert answer.result().status_code == 200
        stopped.result()


@own("command line")
def test_a_request_beyond_the_grace_is_told_that_it_failed(launch: Any) -> None:
    process = launch()
    line = ready(process)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(httpx.get, f"{line['gateway']}/600", timeout=WAIT_SECONDS)
        wait_until(lambda: httpx.get(f"{line['queue']}/_emulator/status").json()["functions"]["Hello"]["busy"] == 1)
        process.terminate()
        assert answer.result().status_code in {500, 503}
    _, errors = process.communicate(timeout=WAIT_SECONDS)
    assert "Traceback" not in errors


@own("command line")
def test_environments_die_with_a_killed_emulator(launch: Any) -> None:
    process = launch()
    pid = httpx.get(ready(process)["gateway"] + "/0", timeout=WAIT_SECONDS).json()
    process.kill()
    process.wait(WAIT_SECONDS)
    wait_until(lambda: not alive(pid))


@own("command line")
def test_a_taken_port_is_one_line_and_an_exit_code(launch: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = launch("--port", str(port))
        output, errors = process.communicate(timeout=WAIT_SECONDS)
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
@own("command line")
def test_bad_arguments_are_one_line_and_an_exit_code(launch: Any, arguments: list[str], told: str) -> None:
    process = launch(*arguments)
    output, errors = process.communicate(timeout=WAIT_SECONDS)
    assert (process.returncode, output) == (2, "")
    assert told in errors
    assert len(errors.strip().splitlines()) == 1


@read("aws-sam-cli")
def test_variables_come_from_a_file_as_sam_local_reads_it(launch: Any, tmp_path: Path) -> None:
    path = tmp_path / "env.json"
    path.write_text(json.dumps({"Parameters": {"A": "all"}, "Hello": {"B": "own"}}))
    code = "import os\ndef handler(event, context): return [os.environ['A'], os.environ['B']]"
    line = ready(launch("--env-vars", str(path), code=code))
    assert httpx.get(line["gateway"], timeout=WAIT_SECONDS).json() == ["all", "own"]


@own("command line")
def test_a_runtime_other_than_the_hosts_is_warned_of_once(launch: Any) -> None:
    process = launch()
    ready(process)
    process.terminate()
    _, errors = process.communicate(timeout=WAIT_SECONDS)
    host = f"python{sys.version_info.major}.{sys.version_info.minor}"
    expected = (
        []
        if host == "python3.13"
        else [f"warning: the template says python3.13; functions run under the host's {host}"]
    )
    assert [line for line in errors.splitlines() if line.startswith("warning")] == expected
