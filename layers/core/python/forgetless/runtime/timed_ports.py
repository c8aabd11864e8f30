"""Measures the calls to a port: a stand-in with the same methods, which notes how long each call took."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar, cast

from forgetless.ports.call_times import current_call_times

__all__ = ["timed"]

T = TypeVar("T")


def timed(part: str, port: T) -> T:
    """The same port; its calls count as time of `part`."""
    # Python's types cannot say "has all methods of T"; the stand-in passes on whatever the port has.
    return cast("T", _Timed(part, port))


class _Timed:
    """Stands in for a port; each of its methods is wrapped once."""

    def __init__(self, part: str, port: object) -> None:
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
        times = current_call_times()
        if times is None:
            return method(*arguments, **named)
        began = time.perf_counter()
        try:
            return method(*arguments, **named)
        finally:
            times.add(part, began, time.perf_counter())

    return measured
