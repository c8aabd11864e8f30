"""Measures the calls to a port with a proxy that has the same methods and records how long each call takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar, cast

from forgetless.domain.errors import DependencyError
from forgetless.ports.call_times import current_call_times
from forgetless.ports.metrics import DEPENDENCY_ERRORS, PORT_SECONDS, metrics_are_recorded

__all__ = ["timed"]

T = TypeVar("T")

#: Attributes that are ports themselves.
_PARTS = frozenset({"past"})


def timed(part: str, port: T) -> T:
    """The same port, whose calls are recorded as time of `part`."""
    # Python's types cannot express "has all methods of T"; the proxy passes on every attribute of the port.
    return cast("T", _Timed(part, port))


class _Timed:
    """The proxy of a port. Each method is wrapped once."""

    def __init__(self, part: str, port: object) -> None:
        self._part = part
        self._port = port

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if name in _PARTS:
            part = self.__dict__[name] = _Timed(self._part, found)
            return part
        if not callable(found):
            return found
        method = self.__dict__[name] = _measured(self._part, found)
        return method


def _measured(part: str, method: Callable[..., Any]) -> Callable[..., Any]:
    seconds = PORT_SECONDS[part]

    def measured(*arguments: Any, **named: Any) -> Any:
        times = current_call_times()
        if times is None and not metrics_are_recorded():
            return method(*arguments, **named)
        began = time.perf_counter()
        try:
            return method(*arguments, **named)
        except (DependencyError, TimeoutError):
            DEPENDENCY_ERRORS.count(part=part)
            raise
        finally:
            ended = time.perf_counter()
            seconds.observe(ended - began)
            if times is not None:
                times.add(part, began, ended)

    return measured
