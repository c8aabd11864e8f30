"""Faults that the nemesis can choose: each begins, lasts and is repaired; and the faults of any process."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from local.up.identity import Identity
from tests.histories.processes import Process

__all__ = ["Fault", "background", "of_others", "of_process"]


def nothing() -> None:
    """Do nothing, for a fault that needs no repair."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of `target`; no target has two faults at once."""

    name: str
    target: str
    begin: Callable[[], None]
    #: Repairs it; returns quickly.
    end: Callable[[], None] = nothing
    #: Seconds between begin and end.
    shortest: float = 0.0
    longest: float = 0.0
    #: How often it is chosen in relation to the others.
    weight: float = 1.0


def of_process(process: Process, *, weight: float = 1.0, away: float = 1.5) -> list[Fault]:
    """Return faults of a process: killed and restarted after at most `away` seconds, paused, or ended and restarted."""
    name = process.name
    end = partial(process.signal, signal.SIGTERM)
    return [
        Fault(f"kill {name}", name, process.kill, process.start, 0.0, away, weight),
        Fault(f"restart {name}", name, end, _again(process), 0.5, away + 0.5, weight),
        Fault(
            f"pause {name}",
            name,
            partial(process.signal, signal.SIGSTOP),
            partial(process.signal, signal.SIGCONT),
            0.2,
            3.0,
            weight,
        ),
    ]


def _again(process: Process) -> Callable[[], None]:
    def end() -> None:
        process.stop()
        process.start()

    return end


def of_others(name: str, find: Callable[[], Sequence[Identity]], *, weight: float = 1.0) -> list[Fault]:
    """Return faults of processes that another one restarts: killed or paused; `find` gives the current ones."""
    stopped: list[Identity] = []

    def kill() -> None:
        for one in find():
            one.send(signal.SIGKILL)

    def pause() -> None:
        stopped.extend(find())
        for one in stopped:
            one.send(signal.SIGSTOP)

    def resume() -> None:
        while stopped:
            stopped.pop().send(signal.SIGCONT)

    return [
        Fault(f"kill {name}", name, kill, weight=weight),
        Fault(f"pause {name}", name, pause, resume, 0.2, 3.0, weight),
    ]


def background(
    name: str, command: Sequence[str], environment: Mapping[str, str], *, cwd: Path, log: Path, weight: float = 1.0
) -> Fault:
    """Return a fault that runs a program beside the service; its own failures are logged and prove nothing."""
    running: list[subprocess.Popen[bytes]] = []

    def begin() -> None:
        with log.open("ab") as stream:
            running.append(
                subprocess.Popen(
                    list(command), stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, env=environment, cwd=cwd
                )
            )

    def end() -> None:
        while running:
            one = running.pop()
            with contextlib.suppress(subprocess.TimeoutExpired):
                one.wait(30)
                continue
            os.kill(one.pid, signal.SIGKILL)
            one.wait()

    return Fault(name, name, begin, end, 2.0, 4.0, weight)
