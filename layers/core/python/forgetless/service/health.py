"""Health: checks all parts of the service at the same time, each with a time limit, and keeps the result briefly.

Without the ledger or the index nothing works: the service is down. Without another part it is degraded, and answers.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError

from forgetless.domain.errors import ForgetlessError

__all__ = ["HealthService", "status_of"]

#: The parts without which no request can be answered.
_VITAL = frozenset({"ledger", "index"})

_logger = logging.getLogger(__name__)

#: A part that takes longer counts as not answering.
PART_TIMEOUT_S = 1.0
#: Seconds for which a result is given again: whoever asks a thousand times costs one check.
KEPT_S = 3.0
#: The limit for a part's first check in this process, in which its client is loaded and connected.
FIRST_TIMEOUT_S = 8.0


def status_of(parts: Mapping[str, str]) -> str:
    """ "ok", "degraded" or "down", from what `HealthService.check` says of each part."""
    failing = {name for name, reason in parts.items() if reason != "ok"}
    if failing & _VITAL:
        return "down"
    return "degraded" if failing else "ok"


class HealthService:
    """Runs the check of each part; a check raises an error if the part does not answer."""

    def __init__(
        self,
        checks: Mapping[str, Callable[[], None]],
        *,
        timeout_s: float = PART_TIMEOUT_S,
        first_timeout_s: float = FIRST_TIMEOUT_S,
        kept_s: float | None = None,
    ) -> None:
        self._checks = dict(checks)
        self._timeout_s = timeout_s
        self._first_timeout_s = first_timeout_s
        #: Parts whose first check has ended, with success or not.
        self._known: set[str] = set()
        self._kept_s = KEPT_S if kept_s is None else kept_s
        #: Held while the parts are checked, so that whoever asks meanwhile gets the same result.
        self._lock = threading.Lock()
        self._result: dict[str, str] = {}
        self._checked_at = float("-inf")

    def check(self) -> dict[str, str]:
        """For each part, "ok" or the reason why not, within about one second, or eight seconds the first time.

        The result may be a few seconds old.
        """
        with self._lock:
            if time.monotonic() - self._checked_at >= self._kept_s:
                self._result = self._check()
                self._checked_at = time.monotonic()
                if failing := {name: reason for name, reason in self._result.items() if reason != "ok"}:
                    _logger.warning("health: parts do not answer", extra={"parts": failing})
            return dict(self._result)

    def _check(self) -> dict[str, str]:
        pool = ThreadPoolExecutor(max_workers=max(1, len(self._checks)))
        began = time.monotonic()
        limits = {name: self._timeout_s if name in self._known else self._first_timeout_s for name in self._checks}
        try:
            running = {name: pool.submit(self._run, name) for name in self._checks}
            return {name: _outcome(future, limits[name], began) for name, future in running.items()}
        finally:
            # A hanging check must not hold up the answer.
            pool.shutdown(wait=False, cancel_futures=True)

    def _run(self, name: str) -> str:
        # The error stays in this thread. A future with an error keeps the frames that it came through, and so the
        # thread's connections, in a circle that the collector would find before they are closed.
        try:
            self._checks[name]()
        except ForgetlessError as error:
            return error.message
        finally:
            self._known.add(name)
        return "ok"


def _outcome(check: Future[str], limit_s: float, began: float) -> str:
    try:
        return check.result(max(0.0, began + limit_s - time.monotonic()))
    except FutureTimeoutError:
        return f"no answer within {limit_s:g} s"
