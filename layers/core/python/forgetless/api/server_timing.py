"""The header Server-Timing: how a request's time was spent, in milliseconds for each part."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from starlette.types import Scope

from forgetless.api.caller import key_of

__all__ = ["server_timing"]


def server_timing(parts: Mapping[str, float], total_s: float, scope: Scope) -> str:
    """The value of the header: the time in the gateway and in total without it and, for administrators, in each part.

    The time of a part may tell what others have stored: a list takes longer beside many memories of other users.
    """
    key = key_of(scope) if "state" in scope else None
    shown = parts if key is not None and key.admin else {}
    times = {"gateway": _gateway_s(scope, total_s), **shown, "total": total_s}
    return ", ".join(f"{part};dur={seconds * 1000:.2f}" for part, seconds in times.items() if seconds is not None)


def _gateway_s(scope: Scope, total_s: float) -> float | None:
    """The seconds from the gateway's receipt (by its clock, to a millisecond) to our start; None without a gateway."""
    event: Any = scope.get("aws.event")
    try:
        received_s = event["requestContext"]["timeEpoch"] / 1000
    except (KeyError, TypeError):
        return None
    return float(max(0.0, time.time() - total_s - received_s))
