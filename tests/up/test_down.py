"""`down` and the second `up`: only what an `up` started is ended, and only one runs on a state folder."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.up.down import clean_up, down
from local.up.errors import UpError
from local.up.identity import Identity, identify
from local.up.keys import GIVEN_KEY, api_key
from local.up.record import Record, is_locked, lock, read_record
from local.up.settings import ROOT
from tests.up.harness import RUN_FAKE_PARTS, part, running_up
from tests.up.run_fake_parts import FAKE_PROCESS


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, FAKE_PROCESS, "ready"], stdout=subprocess.DEVNULL) as process:
        yield process
        process.kill()


def identity_of(process: subprocess.Popen[bytes]) -> Identity:
    found = identify(process.pid)
    assert found is not None
    return found


def test_down_stops_a_running_up_and_returns_when_all_are_gone(tmp_path: Path) -> None:
    with running_up(tmp_path, part("one"), part("two", "deaf", stop_seconds=0.2)) as running:
        running.until("READY")
        parts = running.parts()
        assert down(tmp_path) == "Stopped."
        assert not any(identity.alive() for identity in parts.values())
        assert not is_locked(tmp_path)
        assert running.end() == 0


def test_down_kills_an_up_that_does_not_end_and_its_parts(tmp_path: Path) -> None:
    with running_up(tmp_path, part("deaf", "deaf", stop_seconds=60)) as running:
        running.until("READY")
        deaf = running.parts()["deaf"]
        assert down(tmp_path, stop_seconds=0.2) == "Stopped."
        assert not deaf.alive()


def test_down_without_anything_running_says_so(tmp_path: Path) -> None:
    assert down(tmp_path) == "Nothing is running."


def test_down_ends_what_a_killed_up_left(tmp_path: Path, stranger: subprocess.Popen[bytes]) -> None:
    Record(tmp_path, "http://here", None, {}).started("index", identity_of(stranger))
    api_key(tmp_path, {GIVEN_KEY: "a secret of the caller's"})
    assert down(tmp_path) == "Ended what a killed `make up` left: index."
    assert stranger.wait(10) == -signal.SIGTERM
    assert [file.name for file in tmp_path.iterdir()] == []


def test_a_pid_that_another_process_has_now_is_left_alone(tmp_path: Path, stranger: subprocess.Popen[bytes]) -> None:
    Record(tmp_path, "http://here", None, {}).started("index", Identity(stranger.pid, "an earlier process"))
    assert clean_up(tmp_path) == []
    assert stranger.poll() is None


def test_up_after_a_sigkill_starts_on_the_same_folder(tmp_path: Path) -> None:
    with running_up(tmp_path, part("index")) as killed:
        killed.until("READY")
        killed.end(signal.SIGKILL)
        assert read_record(tmp_path) is not None
        with running_up(tmp_path, part("index")) as running:
            running.until("READY")
            assert running.end(signal.SIGTERM) == 0


def test_a_second_up_is_refused_with_one_line_and_harms_nothing(tmp_path: Path) -> None:
    with running_up(tmp_path, part("index")) as first:
        first.until("READY")
        parts = first.parts()
        second = subprocess.run(
            [sys.executable, str(RUN_FAKE_PARTS), str(tmp_path), "[]"],
            check=False,
            capture_output=True,
            text=True,
            env={"PYTHONPATH": str(ROOT)},
        )
        assert second.returncode == 1
        assert second.stdout == ""
        assert second.stderr.startswith(f"forgetless: already running (pid {first.process.pid},")
        assert second.stderr.count("\n") == 1
        assert first.parts() == parts
        assert (tmp_path / "prepared").exists()


def test_a_port_in_use_is_named_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with running_up(tmp_path, part("one"), part("gateway", ports={"port": port})) as running:
            assert running.end() == 1
    assert len(running.said) == 1
    assert running.said[0].startswith(f"forgetless: port {port} for port is in use")
    assert "FORGETLESS_PORT" in running.said[0]
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize(
    ("one", "other"), [("port", "queue-port"), ("embedder-port", "port"), ("embedder-port", "queue-port")]
)
@pytest.mark.parametrize("together", [True, False])
def test_a_port_given_twice_is_refused_with_both_options(tmp_path: Path, one: str, other: str, together: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    parts = (
        [part("a", ports={one: free, other: free})]
        if together
        else [part("a", ports={one: free}), part("b", ports={other: free})]
    )
    with running_up(tmp_path, *parts) as running:
        assert running.end() == 1
    (line,) = running.said
    for option in (one, other):
        assert f"--{option} (FORGETLESS_{option.upper().replace('-', '_')})" in line
    assert f"are both {free}" in line
    assert not (tmp_path / "logs").exists()


def test_the_lock_is_held_once_and_freed(tmp_path: Path) -> None:
    with lock(tmp_path):
        assert is_locked(tmp_path)
        with pytest.raises(UpError, match="make down"), lock(tmp_path):
            pass
    assert not is_locked(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"url": "x", "owner": {"pid": 1}, "parts": {}}', '{"owner": 1}'])
def test_a_damaged_record_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "up.json").write_text(text)
    assert read_record(tmp_path) is None
