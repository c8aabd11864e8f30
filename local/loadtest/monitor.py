"""Measures CPU and memory of each part of the service under load, and of the load generator."""

from __future__ import annotations

import json
import os
import re
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import httpx
import psutil

from local.client import ToolError
from local.up.record import is_locked, read_record

__all__ = ["LOAD_GENERATOR", "OTHERS", "Monitor"]

LOAD_GENERATOR = "load generator"
#: The other programs of this machine; if they are busy, latencies say little.
OTHERS = "other programs"
#: Seconds between two readings of memory and of the list of processes, which cost more than CPU times.
SLOW_S = 5.0
_FUNCTION_NAME = "AWS_LAMBDA_FUNCTION_NAME"
#: Sums from the embedder's metrics: waiting time of texts, and time of batches in the model.
_METRIC = re.compile(r"^embedder_(queue_wait|inference)_seconds_(sum|count) (\S+)$", re.MULTILINE)


class Monitor:
    """Measures the processes of the `make up` on a state folder; raises ToolError when none runs there."""

    def __init__(self, state: Path, *, load_pid: int | None = None) -> None:
        record = read_record(state) if is_locked(state) else None
        if record is None:
            raise ToolError(f"nothing that `make up` started runs on {state}")
        self.url = record.url
        self._tops = {part: identity.pid for part, identity in record.parts.items() if identity.alive()}
        if load_pid is not None:
            self._tops[LOAD_GENERATOR] = load_pid
        self._processes: dict[int, tuple[str, psutil.Process]] = {}
        self._seconds: dict[int, float] = {}
        self._spent: defaultdict[str, float] = defaultdict(float)
        self._looked = False
        self._busy_before = _busy_s()
        self._slow_at = -SLOW_S
        self._embedder = _embedder_url(state)
        self._find()
        self._count()

    def look(self) -> dict[str, Any]:
        """Measure once: the time, and each part's CPU seconds since the beginning, bytes and number of processes."""
        now = time.monotonic()
        slow = now - self._slow_at >= SLOW_S
        if slow:
            self._slow_at = now
            self._find()
        self._count()
        line: dict[str, Any] = {"time": time.time(), "cpu_s": {**self._spent, OTHERS: self._others_s()}}
        if slow:
            line |= {"bytes": self._weigh(), "processes": self._numbers(), "embedder": self._ask_embedder()}
        return line

    def _find(self) -> None:
        found: dict[int, tuple[str, psutil.Process]] = {}
        for part, pid in self._tops.items():
            try:
                top = psutil.Process(pid)
                processes = [top, *top.children(recursive=True)]
            except psutil.Error:
                continue
            for process in processes:
                known = self._processes.get(process.pid)
                found[process.pid] = known or (_name(part, process), process)
        self._processes = found
        own = psutil.Process(os.getpid())
        self._processes[own.pid] = (LOAD_GENERATOR, own)

    def _count(self) -> None:
        for pid, (part, process) in self._processes.items():
            try:
                times = process.cpu_times()
            except psutil.Error:
                continue
            seconds = times.user + times.system
            # The CPU time of a process from before the first measurement does not count; later processes count from 0.
            before = self._seconds.get(pid, 0.0 if self._looked else seconds)
            self._spent[part] += max(0.0, seconds - before)
            self._seconds[pid] = seconds
        self._looked = True

    def _others_s(self) -> float:
        return max(0.0, _busy_s() - self._busy_before - sum(self._spent.values()))

    def _weigh(self) -> dict[str, int]:
        sizes: defaultdict[str, int] = defaultdict(int)
        for part, process in self._processes.values():
            try:
                full = process.memory_full_info()
            except psutil.Error:
                continue
            # Shared memory counts once (PSS), where the system reports it.
            sizes[part] += getattr(full, "pss", 0) or full.rss
        return dict(sizes)

    def _numbers(self) -> dict[str, int]:
        numbers: defaultdict[str, int] = defaultdict(int)
        for part, _ in self._processes.values():
            numbers[part] += 1
        return dict(numbers)

    def _ask_embedder(self) -> dict[str, float]:
        if not self._embedder:
            return {}
        try:
            text = httpx.get(f"{self._embedder}/metrics", timeout=1.0, trust_env=False).text
        except httpx.HTTPError:
            return {}
        return {f"{what}_{kind}": float(value) for what, kind, value in _METRIC.findall(text)}


def _busy_s() -> float:
    """Return the seconds that all cores together have worked since the machine was started."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))


def _name(part: str, process: psutil.Process) -> str:
    try:
        function = process.environ().get(_FUNCTION_NAME) if part == "gateway" else None
    except psutil.Error:
        function = None
    return f"function {function.removesuffix('Function').lower()}" if function else part


def _embedder_url(state: Path) -> str:
    try:
        given = json.loads((state / "functions.env.json").read_text(encoding="utf-8"))
        return str(given["Parameters"]["FORGETLESS_EMBEDDER_URL"])
    except (OSError, ValueError, KeyError):
        return ""
