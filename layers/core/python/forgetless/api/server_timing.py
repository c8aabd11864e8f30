"""Where the time of a request goes: seconds by part, recorded around the ports and told in Server-Timing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, TypeVar, cast

from starlette.types import Scope

__all__ = ["begin", "server_timing", "timed"]

T = TypeVar("T")

#: Of the request under way; a thread that works for it sees the same one.
_parts: ContextVar[dict[str, float] | None] = ContextVar("parts", default=None)


def begin() -> dict[str, float]:
    """Start recording for this request; what is returned fills up while it runs."""
    parts: dict[str, float] = {}
    _parts.set(parts)
    return parts


def timed(part: str, port: T) -> T:
    """The same port, whose calls count as time of `part`."""
    return cast("T", _Timed(part, port))


def server_timing(parts: Mapping[str, float], total_s: float, scope: Scope) -> str:
    """The header's value: the gateway before us, each part, and all of it together without the gateway."""
    times = {"gateway": _gateway_s(scope, total_s), **parts, "total": total_s}
    return ", ".join(f"{part};dur={seconds * 1000:.2f}" for part, seconds in times.items() if seconds is not None)


def _gateway_s(scope: Scope, total_s: float) -> float | None:
    """From the gateway's receipt (to the millisecond, by its clock) until we began; None without a gateway."""
    event: Any = scope.get("aws.event")
    try:
        received_s = event["requestContext"]["timeEpoch"] / 1000
    except (KeyError, TypeError):
        return None
    return float(max(0.0, time.time() - total_s - received_s))


class _Timed:
    """Stands before a port; each of its methods is wrapped once."""

    def __init__(self, part: str, port: Any) -> None:
        self._part = part
        self._port = port

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if not callable(found):
            return found
        method = self.__dict__[name] = _measured(self._part, found)
        return method


def _measured(part: str, method: Callable[..., Any]) -> Callable[..., Any]:
    def measured(*arguments: Any, **named: Any) -> Any:
        parts = _parts.get()
        if parts is None:
            return method(*arguments, **named)
        began = time.perf_counter()
        try:
            return method(*arguments, **named)
        finally:
            parts[part] = parts.get(part, 0.0) + time.perf_counter() - began

    return measured
