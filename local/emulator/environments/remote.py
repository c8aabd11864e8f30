"""Functions that run elsewhere, behind an Invoke API such as that of `sam local start-lambda`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import httpx

from local.emulator.invocation import InvokeResult, ThrottledError, error_result
from local.emulator.specs import FunctionSpec

#: Seconds beyond its time-out that a function elsewhere may need for its cold start.
_PATIENCE_SECONDS = 60.0


class RemoteFunction:
    """One function behind an Invoke API; it is not started or ended here."""

    def __init__(self, spec: FunctionSpec, url: str, client: httpx.AsyncClient) -> None:
        self.spec, self._client = spec, client
        self._url = f"{url.rstrip('/')}/2015-03-31/functions/{spec.physical_name or spec.name}/invocations"
        self._running: set[asyncio.Future[InvokeResult]] = set()

    def submit(self, payload: bytes, *, trace_id: str = "", client_context: str = "") -> asyncio.Future[InvokeResult]:
        """Invoke the function; the future yields its result or ThrottledError."""
        headers = {"content-type": "application/json"}
        if trace_id:
            headers["x-amzn-trace-id"] = trace_id
        if client_context:
            headers["x-amz-client-context"] = client_context
        task = asyncio.ensure_future(self._invoke(payload, headers))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _invoke(self, payload: bytes, headers: Mapping[str, str]) -> InvokeResult:
        limit = self.spec.timeout + _PATIENCE_SECONDS
        try:
            answer = await self._client.post(self._url, content=payload, headers=headers, timeout=limit)
        except httpx.ConnectError as error:
            raise ThrottledError(f"{self._url} does not answer") from error
        except httpx.HTTPError as error:
            return error_result("Runtime.NoAnswer", f"{self._url}: {error!r}")
        if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise ThrottledError(answer.text)
        if answer.status_code != httpx.codes.OK:
            return error_result("Runtime.NoAnswer", f"{self._url} says {answer.status_code}: {answer.text[:300]}")
        return InvokeResult(answer.content, error=answer.headers.get("x-amz-function-error"))

    @property
    def busy(self) -> bool:
        """Return whether an invocation runs."""
        return bool(self._running)

    def retire(self) -> None:
        """Do nothing: whoever runs the function watches its code."""

    def status(self) -> dict[str, object]:
        """Return how many invocations run."""
        return {"busy": len(self._running), "idle": 0, "starting": 0, "waiting": 0, "limit": None, "pids": []}

    async def close(self) -> None:
        """Cancel the invocations in progress."""
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
