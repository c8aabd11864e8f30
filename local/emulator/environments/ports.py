"""What the gateway and the triggers need of functions."""

from __future__ import annotations

import asyncio
from typing import Protocol

from local.emulator.environments.invocation import InvokeResult


class Invoker(Protocol):
    """One function, ready to be invoked."""

    def submit(self, payload: bytes, *, trace_id: str = "", client_context: str = "") -> asyncio.Future[InvokeResult]:
        """Return the future result; raises ThrottledError when no environment may take it."""
