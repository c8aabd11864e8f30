"""Starts `up` over fake parts, reads its output, and observes its processes."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from local.up.identity import Identity
from local.up.record import read_record
from local.up.settings import ROOT

RUN_FAKE_PARTS = Path(__file__).with_name("run_fake_parts.py")
PATIENCE = 20.0


class RunningUp:
    """One running `up` and the lines that it printed so far."""

    def __init__(self, state: Path, process: subprocess.Popen[str]) -> None:
        self.state = state
        self.process = process
        self.said: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def until(self, text: str) -> str:
        """Read on until a line holds ``text``, and return that line."""
        while True:
            line = self._lines.get(timeout=PATIENCE)
            assert line is not None, f"ended without saying {text!r}: {self.said}"
            self.said.append(line)
            if text in line:
                return line

    def end(self, number: signal.Signals | None = None) -> int:
        """Send a signal, wait for the end, read the rest, and return the exit code."""
        if number is not None:
            self.process.send_signal(number)
        code = self.process.wait(PATIENCE)
        while (line := self._lines.get(timeout=PATIENCE)) is not None:
            self.said.append(line)
        return code

    def read_out(self) -> None:
        self._reader.join(PATIENCE)

    def parts(self) -> dict[str, Identity]:
        record = read_record(self.state)
        return dict(record.parts) if record else {}

    def log(self, name: str) -> str:
        return (self.state / "logs" / f"{name}.log").read_text()

    def _read(self) -> None:
        with self.process.stdout or contextlib.nullcontext([]) as stream:
            for line in stream:
                self._lines.put(line.rstrip("\n"))
        self._lines.put(None)


@contextmanager
def running_up(
    state: Path, *parts: dict[str, object], sigint_ignored: bool = False, reader: list[str] | None = None
) -> Iterator[RunningUp]:
    """Run `up` over these parts; its output goes to us, or to a ``reader`` that may end at any time."""
    away = subprocess.Popen(reader, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) if reader else None

    # Only a shell can start a process with SIGINT ignored, as a script's background job has it.
    start = ["sh", "-c", "trap '' INT; exec \"$@\"", "sh"] if sigint_ignored else []
    # Tests that run under nohup would pass on that SIGHUP is ignored.
    start = ["env", "--default-signal=HUP", *start]
    process = subprocess.Popen(
        [*start, sys.executable, str(RUN_FAKE_PARTS), str(state), json.dumps(parts)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=away.stdin if away else subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if away and away.stdin:
        away.stdin.close()
    running = RunningUp(state, process)
    try:
        yield running
    finally:
        for identity in running.parts().values():
            identity.send(signal.SIGKILL)
        process.kill()
        process.wait(PATIENCE)
        running.read_out()
        if away:
            away.wait(PATIENCE)


def part(name: str, role: str = "ready", **given: object) -> dict[str, object]:
    """A part for ``running_up``: a process that keeps running and says that it is ready, unless the role differs."""
    return {"name": name, "role": role, "ready_line": True, **given}


def step(name: str, role: str = "ends", **given: object) -> dict[str, object]:
    """A part that ends before those that come after it."""
    return {"name": name, "role": role, "once": True, **given}


def eventually(true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
    return true()
