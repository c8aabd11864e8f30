"""Faults as they can be chosen: each begins, lasts and is made good again; and those that every process can have."""

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
    """What is done where nothing is to be made good."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that can happen to `target`; two faults never have one target at once."""

    name: str
    target: str
    begin: Callable[[], None]
    #: Makes it good; returns quickly.
    end: Callable[[], None] = nothing
    #: Between begin and end, in seconds.
    shortest: float = 0.0
    longest: float = 0.0
    #: How often it is chosen beside the others.
    weight: float = 1.0


def of_process(process: Process, *, weight: float = 1.0, away: float = 1.5) -> list[Fault]:
    """Killed and started again by us, after `away` seconds at most; stopped and going on; told to end and started."""
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
    """For processes that another one looks after: killed, or stopped and going on; `find` says which now."""
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
    """A program that runs beside the service and ends by itself; its failures are in the log, they prove nothing."""
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
