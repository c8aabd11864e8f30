"""The platform's own log lines: START, END and REPORT, as text or as JSON."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import orjson


@dataclass(frozen=True, slots=True)
class Report:
    """The time (in milliseconds) and memory (in MB) of one invocation; `status` is success, timeout or error."""

    request_id: str
    duration: float
    memory_size: int
    memory_used: int
    init_duration: float | None = None
    restore_duration: float | None = None
    waited: float | None = None
    status: str = "success"


@dataclass(frozen=True, slots=True)
class Beginning:
    """How an initialisation or a restore ended, after so many milliseconds; `status` is success, timeout or error."""

    duration: float
    restored: bool = False
    status: str = "success"
    error: str = ""


def begin_line(beginning: Beginning, log_format: str) -> str:
    """Return the line about the time before the first invocation."""
    one = beginning
    if log_format == "JSON":
        record: dict[str, object] = {"status": one.status, "metrics": {"durationMs": round(one.duration, 3)}}
        record |= {"errorType": one.error} if one.error else {}
        return _record("platform.restoreReport" if one.restored else "platform.initReport", record)
    kind, phase = ("Restore", []) if one.restored else ("Init", ["Phase: init"])
    parts = [f"{kind.upper()}_REPORT {kind} Duration: {one.duration:.2f} ms", *phase]
    parts += [] if one.status == "success" else [f"Status: {one.status}"]
    parts += [f"Error Type: {one.error}"] if one.error else []
    return "\t".join(parts)


def start_line(request_id: str, log_format: str) -> str:
    """Return the line that opens an invocation."""
    if log_format == "JSON":
        return _record("platform.start", {"requestId": request_id, "version": "$LATEST"})
    return f"START RequestId: {request_id} Version: $LATEST"


def end_lines(report: Report, log_format: str) -> list[str]:
    """Return the lines that close an invocation."""
    if log_format == "JSON":
        return [_record("platform.report", _json(report))]
    parts = [
        f"REPORT RequestId: {report.request_id}",
        f"Duration: {report.duration:.2f} ms",
        f"Billed Duration: {billed(report)} ms",
        f"Memory Size: {report.memory_size} MB",
        f"Max Memory Used: {report.memory_used} MB",
    ]
    if report.init_duration is not None:
        parts.append(f"Init Duration: {report.init_duration:.2f} ms")
    if report.restore_duration is not None:
        parts.append(f"Restore Duration: {report.restore_duration:.2f} ms")
    if report.waited is not None:
        parts.append(f"Waited For Environment: {report.waited:.2f} ms")
    if report.status != "success":
        parts.append(f"Status: {report.status}")
    return [f"END RequestId: {report.request_id}", "\t".join(parts)]


def billed(report: Report) -> int:
    """Return what Lambda bills: duration and the start before it, rounded up to a millisecond."""
    return math.ceil(report.duration + (report.init_duration or report.restore_duration or 0.0))


def _json(report: Report) -> dict[str, object]:
    metrics: dict[str, object] = {
        "durationMs": round(report.duration, 3),
        "billedDurationMs": billed(report),
        "memorySizeMB": report.memory_size,
        "maxMemoryUsedMB": report.memory_used,
    }
    if report.init_duration is not None:
        metrics["initDurationMs"] = round(report.init_duration, 3)
    if report.restore_duration is not None:
        metrics["restoreDurationMs"] = round(report.restore_duration, 3)
    if report.waited is not None:
        metrics["waitedForEnvironmentMs"] = round(report.waited, 3)
    return {"requestId": report.request_id, "metrics": metrics, "status": report.status}


def _record(kind: str, record: dict[str, object]) -> str:
    now = time.time()
    stamp = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now * 1000) % 1000:03d}Z"
    return orjson.dumps({"time": stamp, "type": kind, "record": record}).decode()
