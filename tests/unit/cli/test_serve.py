"""The command `serve`: its parts, what it refuses, and what it tells systemd."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from forgetless.cli import __main__ as cli
from forgetless.runtime.http_protocol import MAX_HEAD_BYTES


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A ledger of its own, and neither embedder nor Milvus: nothing listens on port 9."""
    return {
        **os.environ,
        "FORGETLESS_LEDGER_PATH": str(tmp_path / "ledger.db"),
        "FORGETLESS_MILVUS_URI": "http://127.0.0.1:9",
        "FORGETLESS_EMBEDDER_URL": "http://127.0.0.1:9",
        "PYTHONUNBUFFERED": "1",
    }


def serve(environment: dict[str, str], *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(_command(*options), env=environment, stdout=subprocess.PIPE, text=True)


def _command(*options: str) -> list[str]:
    return [sys.executable, "-m", "forgetless.cli", "serve", "--port", "0", "--no-check", *options]


def test_it_answers_tells_systemd_and_ends_when_told(tmp_path: Path, environment: dict[str, str]) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(60)
        with serve({**environment, "NOTIFY_SOCKET": str(tmp_path / "notify")}, "--processes", "2") as running:
            try:
                assert systemd.recv(100) == b"READY=1"
                assert running.stdout is not None
                url = next(line for line in running.stdout if line.startswith("Forgetless is ready")).split()[-1]
                # The ledger works, the index does not: so it is down, but it answers.
                assert httpx.get(f"{url}/health", trust_env=False).json() == {"status": "down"}
                assert httpx.get(f"{url}/memories", trust_env=False).status_code == 401
                _no_head_goes_on_for_ever(url)
                running.send_signal(signal.SIGTERM)
                assert running.wait(60) == 0
                assert systemd.recv(100) == b"STOPPING=1"
            finally:
                running.kill()


def test_idle_connections_are_not_bounded_by_the_files_that_a_system_begins_with(environment: dict[str, str]) -> None:
    limited = ["sh", "-c", 'ulimit -Sn 128; exec "$@"', "-", *_command("--processes", "2")]
    quiet = {**environment, "POWERTOOLS_LOG_LEVEL": "ERROR"}  # nobody reads what they log
    with subprocess.Popen(limited, env=quiet, stdout=subprocess.PIPE, text=True) as running, ExitStack() as stack:
        try:
            assert running.stdout is not None
            url = next(line for line in running.stdout if line.startswith("Forgetless is ready")).split()[-1]
            host, _, port = url.removeprefix("http://").partition(":")
            address = (host, int(port))
            idle = [stack.enter_context(socket.create_connection(address, timeout=20)) for _ in range(300)]
            for one in idle:
                one.sendall(b"GET /health HTTP/1.1\r\nhost: h\r\n\r\n")
            assert {one.recv(4096).partition(b"\r\n")[0] for one in idle} == {b"HTTP/1.1 503 Service Unavailable"}, (
                "down, as there is no index"
            )
        finally:
            running.send_signal(signal.SIGTERM)
            assert running.wait(60) == 0


@pytest.mark.skipif(not Path("/proc/self/limits").exists(), reason="only Linux tells the limits of a process")
def test_the_worker_may_open_more_files_than_a_system_begins_with(environment: dict[str, str]) -> None:
    limited = ["sh", "-c", 'ulimit -Sn 128; exec "$@"', "-", *_command("--only", "worker")]
    with subprocess.Popen(limited, env={**environment, "POWERTOOLS_LOG_LEVEL": "ERROR"}) as running:
        try:
            until = time.monotonic() + 60
            while _open_files(running.pid) <= 128:
                assert time.monotonic() < until
                time.sleep(0.1)
        finally:
            running.kill()


def _open_files(process: int) -> int:
    lines = Path(f"/proc/{process}/limits").read_text().splitlines()
    soft = next(line for line in lines if line.startswith("Max open files")).split()[3]
    return sys.maxsize if soft == "unlimited" else int(soft)


def _no_head_goes_on_for_ever(url: str) -> None:
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as client:
        client.sendall(b"GET /" + b"a" * 2 * MAX_HEAD_BYTES)
        assert client.recv(4096).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--port", "70000"], "port 70000: a port is a number from 0 to 65535; choose --host and --port"),
        (["--host", "192.0.2.1"], "cannot listen on 192.0.2.1, port 3000: Cannot assign requested address"),
    ],
)
def test_an_address_on_which_it_cannot_listen_is_named(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    told: str,
) -> None:
    monkeypatch.setenv("FORGETLESS_LEDGER_PATH", str(tmp_path / "ledger.db"))
    assert cli.main(["serve", *options]) != 0
    assert told in capsys.readouterr().err


def test_a_port_that_is_taken_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORGETLESS_LEDGER_PATH", str(tmp_path / "ledger.db"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert cli.main(["serve", "--port", port]) != 0
    assert f"port {port}: Address already in use" in capsys.readouterr().err


def test_no_process_is_no_service(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["serve", "--processes", "0"])
    assert "must be at least 1" in capsys.readouterr().err


def test_a_server_with_dynamodb_needs_no_queue_but_its_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORGETLESS_LEDGER", "dynamodb")
    assert cli.main(["serve"]) != 0
    told = capsys.readouterr().err
    assert "FORGETLESS_LEDGER_TABLE" in told
    assert "QUEUE" not in told
