"""How long the calls of one request or job to the ports take: the proxies record it, answers and errors show it."""

from __future__ import annotations

from contextvars import ContextVar

__all__ = ["CallTimes", "begin_call_times", "current_call_times", "slowest_part"]

#: The parts as errors name them.
_SHOWN = {
    "ledger": "the ledger",
    "index": "the index",
    "embedder": "the embedder",
    "llm": "the LLM",
    "queue": "the queue",
}


class CallTimes:
    """The calls of one request or job, by the part that was called. All threads that work for it may add calls."""

    def __init__(self) -> None:
        self._spans: dict[str, list[tuple[float, float]]] = {}

    def add(self, part: str, began: float, ended: float) -> None:
        """Record one call, with its start and end in the time of `time.perf_counter`."""
        # Both steps are atomic in the interpreter, so no thread's call is lost.
        self._spans.setdefault(part, []).append((began, ended))

    def seconds(self) -> dict[str, float]:
        """The seconds in which at least one call to the part was running."""
        return {part: _covered(spans) for part, spans in self._spans.copy().items()}


#: The times of the current request. A thread in a copy of the request's context sees the same object.
_current: ContextVar[CallTimes | None] = ContextVar("call_times", default=None)


def begin_call_times() -> CallTimes:
    """Start recording for this request or job; calls are added to the returned object while it runs."""
    times = CallTimes()
    _current.set(times)
    return times


def current_call_times() -> CallTimes | None:
    """The times of the current request; None outside a request."""
    return _current.get()


def slowest_part(unknown: str) -> str:
    """The part that took most of the time of the current request or job; `unknown` if no call was recorded."""
    seconds = times.seconds() if (times := _current.get()) else {}
    return _SHOWN[max(seconds, key=lambda part: seconds[part])] if seconds else unknown


def _covered(spans: list[tuple[float, float]]) -> float:
    """The total length of the spans; overlapping time counts once."""
    covered, reached = 0.0, float("-inf")
    for began, ended in sorted(spans):
        covered += max(0.0, ended - max(began, reached))
        reached = max(reached, ended)
    return covered
