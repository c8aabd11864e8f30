"""Health: asks every part at once, each within a second."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError

from forgetless.domain.errors import ForgetlessError

__all__ = ["HealthService"]

#: A part that needs longer counts as not answering.
PART_TIMEOUT_S = 1.0


class HealthService:
    """Runs each part's check; `checks` raise when the part does not answer."""

    def __init__(self, checks: Mapping[str, Callable[[], None]]) -> None:
        self._checks = dict(checks)

    def check(self) -> dict[str, str]:
        """Part -> "ok" or the reason why not, within about a second."""
        pool = ThreadPoolExecutor(max_workers=max(1, len(self._checks)))
        try:
            running = {name: pool.submit(check) for name, check in self._checks.items()}
            return {name: _outcome(future.result, PART_TIMEOUT_S) for name, future in running.items()}
        finally:
            # A hanging check must not hold up the answer.
            pool.shutdown(wait=False, cancel_futures=True)


def _outcome(result: Callable[[float], None], timeout_s: float) -> str:
    try:
        result(timeout_s)
    except FutureTimeoutError:
        return f"no answer within {timeout_s:g} s"
    except ForgetlessError as error:
        return error.message
    return "ok"
