"""Starts the emulator as a process, as a user does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]
#: Seconds that a test waits for an event.
WAIT_SECONDS = 60.0


class Launched:
    """A started emulator: its process, and the line that it prints when it is ready."""

    def __init__(self, template: Path, *arguments: str, cwd: Path = ROOT, **variables: str) -> None:
        command = [sys.executable, "-m", "local.emulator", "--template", str(template), "--port", "0"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
        self.process = subprocess.Popen(
            [*command, "--queue-port", "0", *arguments], cwd=cwd, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def ready(self) -> dict[str, Any]:
        """Return the line of the next start."""
        assert self.process.stdout is not None
        text = self.process.stdout.readline()
        assert text, self.process.communicate()
        line: dict[str, Any] = json.loads(text)
        return line

    def children(self) -> list[int]:
        """Return all processes below it."""
        return [child.pid for child in psutil.Process(self.process.pid).children(recursive=True)]

    def stop(self) -> tuple[str, str]:
        """End it as Ctrl-C does and return what it printed."""
        self.process.terminate()
        return self.process.communicate(timeout=WAIT_SECONDS)


def alive(pid: int) -> bool:
    """Return whether a process runs."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(holds: Callable[[], Any]) -> Any:
    """Return what the check returns once it is true."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not (found := holds()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found
