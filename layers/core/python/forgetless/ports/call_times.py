"""How long one request's calls to the ports take: who measures them adds to it, who answers the request reads it."""

from __future__ import annotations

from contextvars import ContextVar

__all__ = ["CallTimes", "begin_call_times", "current_call_times"]


class CallTimes:
    """The calls of one request, by the part that they went to; threads that work for the request may add to it."""

    def __init__(self) -> None:
        self._spans: dict[str, list[tuple[float, float]]] = {}

    def add(self, part: str, began: float, ended: float) -> None:
        """Note one call; the times are those of `time.perf_counter`."""
        # Both steps are single operations of the interpreter, so that no thread's call gets lost.
        self._spans.setdefault(part, []).append((began, ended))

    def seconds(self) -> dict[str, float]:
        """Seconds during which at least one call to the part was under way."""
        return {part: _covered(spans) for part, spans in self._spans.copy().items()}


#: Of the request under way. A thread that works for it sees the same one if it runs in a copy of the context.
_current: ContextVar[CallTimes | None] = ContextVar("call_times", default=None)


def begin_call_times() -> CallTimes:
    """Start recording for this request; what is returned fills up while the request runs."""
    times = CallTimes()
    _current.set(times)
    return times


def current_call_times() -> CallTimes | None:
    """Those of the request under way; None where there is no request."""
    return _current.get()


def _covered(spans: list[tuple[float, float]]) -> float:
    """The length of the spans together; where they overlap, the time counts once."""
    covered, reached = 0.0, float("-inf")
    for began, ended in sorted(spans):
        covered += max(0.0, ended - max(began, reached))
        reached = max(reached, ended)
    return covered
