"""The processes of `forgetless serve`: one that dies is started again, all end together, and SIGHUP renews them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

#: A tree of two members; each notes its process id in a file of its own and waits, or ends at once.
_TREE = """
import sys
from forgetless.runtime.process_tree import Member, ProcessTree
folder, wait = sys.argv[1:]
member = '''
import os, pathlib, signal, sys, time
from forgetless.runtime.process_tree import end_with_parent
end_with_parent()
with pathlib.Path(sys.argv[1]).open("a") as file:
    print(os.getpid(), file=file)
time.sleep(float(sys.argv[2]))
'''
members = [
    Member(name, [sys.executable, "-c", member, f"{folder}/{name}", wait], dict(__import__("os").environ))
    for name in ("one", "two")
]
sys.exit(ProcessTree(members, first_pause_s=0.05).run())
"""


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def pids(folder: Path, name: str) -> list[int]:
    file = folder / name
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextmanager
def tree(folder: Path, wait: float = 60.0) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", _TREE, str(folder), str(wait)], stderr=subprocess.DEVNULL) as running:
        try:
            yield running
        finally:
            running.kill()


def begun(folder: Path, times: int = 1) -> None:
    until(lambda: all(len(pids(folder, name)) >= times for name in ("one", "two")))


def test_a_member_that_dies_is_started_again_and_the_other_goes_on(tmp_path: Path) -> None:
    with tree(tmp_path) as running:
        begun(tmp_path)
        os.kill(pids(tmp_path, "one")[0], signal.SIGKILL)
        until(lambda: len(pids(tmp_path, "one")) == 2)
        assert len(pids(tmp_path, "two")) == 1
        running.terminate()
        assert running.wait(30) == 0
    assert not any(alive(pid) for name in ("one", "two") for pid in pids(tmp_path, name))


def test_sighup_restarts_each_member_once(tmp_path: Path) -> None:
    with tree(tmp_path) as running:
        begun(tmp_path)
        running.send_signal(signal.SIGHUP)
        begun(tmp_path, times=2)
        until(lambda: not alive(pids(tmp_path, "one")[0]))
        assert [len(pids(tmp_path, name)) for name in ("one", "two")] == [2, 2]
        assert all(alive(pids(tmp_path, name)[1]) for name in ("one", "two"))


def test_a_tree_that_is_killed_takes_its_members_with_it(tmp_path: Path) -> None:
    with tree(tmp_path) as running:
        begun(tmp_path)
        running.kill()
        until(lambda: not any(alive(pids(tmp_path, name)[0]) for name in ("one", "two")))


def test_a_tree_whose_member_cannot_live_ends_with_an_error(tmp_path: Path) -> None:
    with tree(tmp_path, wait=0.0) as running:
        assert running.wait(60) == 1
    assert len(pids(tmp_path, "one")) <= 6
