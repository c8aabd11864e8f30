"""The header Server-Timing: where the time of a request went, in milliseconds by part."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from starlette.types import Scope

__all__ = ["server_timing"]


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
