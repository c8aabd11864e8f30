"""A function that cannot run here: every invocation is answered with the reason."""

from __future__ import annotations

import asyncio

from local.emulator.invocation import InvokeResult, not_run_result
from local.emulator.specs import FunctionSpec


class UnavailableFunction:
    """Stands in the place of a function that has no code here, so that the others of its template run."""

    #: Nothing ever runs.
    busy = False

    def __init__(self, spec: FunctionSpec) -> None:
        self.spec = spec

    def submit(self, payload: bytes, *, trace_id: str = "", client_context: str = "") -> asyncio.Future[InvokeResult]:
        """Return the reason as the result, whatever the event."""
        del payload, trace_id, client_context
        future: asyncio.Future[InvokeResult] = asyncio.get_running_loop().create_future()
        future.set_result(not_run_result(self.spec.name, self.spec.problem))
        return future

    def retire(self) -> None:
        """Do nothing: there is no environment."""

    def status(self) -> dict[str, object]:
        """Return that nothing runs, and why."""
        return {
            "idle": 0, "busy": 0, "starting": 0, "waiting": 0, "limit": 0, "pids": [], "not_run": self.spec.problem,
        }  # fmt: skip

    async def close(self) -> None:
        """Do nothing: there is no environment."""
