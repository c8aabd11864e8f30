"""CPU time of the service's processes, by the part that they belong to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import psutil

from local.client import ToolError
from local.up.record import is_locked, read_record

__all__ = ["cpu_per_request_ms", "cpu_seconds"]

#: The variable in which Lambda gives a process the name of its function.
_FUNCTION_NAME = "AWS_LAMBDA_FUNCTION_NAME"

#: Part and pid of a process; its CPU time in seconds.
Usage = Mapping[tuple[str, int], float]


def cpu_seconds(state: Path) -> dict[tuple[str, int], float]:
    """Return the CPU seconds of each process of the `make up` on this state folder; raises ToolError if none runs."""
    record = read_record(state) if is_locked(state) else None
    if record is None:
        raise ToolError(f"nothing that `make up` started runs on {state}: CPU times are of this machine's service only")
    usage: dict[tuple[str, int], float] = {}
    for part, identity in record.parts.items():
        if not identity.alive():
            continue
        top = psutil.Process(identity.pid)
        for process in [top, *top.children(recursive=True)]:
            _count(usage, part, process)
    return usage


def cpu_per_request_ms(before: Usage, after: Usage, requests: int) -> dict[str, float]:
    """Return the milliseconds of CPU that each part spent on a request; a new process counts from 0."""
    spent: defaultdict[str, float] = defaultdict(float)
    for key, seconds in after.items():
        spent[key[0]] += seconds - before.get(key, 0.0)
    return {part: round(seconds * 1000 / max(requests, 1), 3) for part, seconds in sorted(spent.items())}


def _count(usage: dict[tuple[str, int], float], part: str, process: psutil.Process) -> None:
    try:
        function = process.environ().get(_FUNCTION_NAME)
        times = process.cpu_times()
    except psutil.Error:  # The process ended in between.
        return
    name = f"function {function}" if function else part
    usage[name, process.pid] = times.user + times.system
