"""Counts what one request or job costs: calls of ports and what they carry, SQLite's statements and steps, bytes."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sized
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from forgetless.ports.ledger import EventPage
from forgetless.ports.llm import ChatMessage
from forgetless.ports.request_ledger import MemoryPage
from tests.fakes.clock import FakeClock

__all__ = [
    "CALL_S",
    "STATEMENT_S",
    "STEPS_AT_ONCE",
    "Meter",
    "TooMuchWorkError",
    "Work",
    "allowed",
    "counted",
    "growth",
]

T = TypeVar("T")

#: Seconds that pass on the clock of the tests with each call of a port, and with each statement of SQLite. So what is
#: bounded by time is bounded by numbers, which are the same on every machine.
CALL_S, STATEMENT_S = 0.01, 0.002
#: SQLite tells of so many steps at once, and not of the last ones of a statement. To be told of each takes 14 times as
#: long as the statement.
STEPS_AT_ONCE = 20
#: What may be more in a larger ledger: a tenth, and these numbers. They are for the digits of larger numbers and for
#: rows that happen to lie elsewhere.
_SHARE = 10
_MARGINS = {"calls": 2, "items": 20, "statements": 6, "steps": 1000, "bytes": 1000, "characters": 1000}

#: A number for each kind of work, such as "ledger calls" or "SQLite steps"; "ledger.read" is detail for the report.
Work = Counter[str]


class TooMuchWorkError(Exception):
    """A request or job has done more than is allowed. It is ended at once, so that a failing test is quick."""


class Meter:
    """Counts while something is measured; meanwhile, calls and statements take time of the clock."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._work = Work()
        self._most: Mapping[str, int] = {}
        self._steps = itertools.count(step=STEPS_AT_ONCE)
        self._most_steps = float("inf")
        self.running = False
        self.exceeded = ""

    @contextmanager
    def measuring(self, most: Mapping[str, int] | None = None) -> Iterator[Work]:
        """Count what happens meanwhile; `most` ends it by TooMuchWorkError, or by an interrupted statement."""
        self._work, self._steps, self.exceeded = Work(), itertools.count(step=STEPS_AT_ONCE), ""
        self._most = most or {}
        self._most_steps = self._most.get("SQLite steps", float("inf"))
        self.running = True
        try:
            yield self._work
        finally:
            self.running = False
            self._work["SQLite steps"] = next(self._steps)

    def call(self, part: str, method: str, *, items: int) -> None:
        """Count a call of a port, and what it carries; raises TooMuchWorkError."""
        if self.running:
            self._clock.advance(CALL_S)
            self._count(f"{part}.{method}", 1)
            self._count(f"{part} calls", 1)
            self.carry(part, items)

    def carry(self, part: str, items: int) -> None:
        """Count items that a port gives or takes; raises TooMuchWorkError."""
        if self.running:
            self._count(f"{part} characters" if part == "llm" else f"{part} items", items)

    def statement(self, _: str) -> None:
        """Count a statement; SQLite calls this."""
        if self.running:
            with self._lock:
                self._work["SQLite statements"] += 1
                self._clock.advance(STATEMENT_S)

    def step(self) -> bool:
        """Count steps of SQLite's virtual machine, which calls this; True interrupts the statement."""
        if not self.running or next(self._steps) < self._most_steps:
            return False
        self.exceeded = "SQLite steps"
        return True

    def _count(self, name: str, number: int) -> None:
        with self._lock:
            self._work[name] += number
            if self._work[name] > self._most.get(name, self._work[name]):
                self.exceeded = name
        if self.exceeded:
            raise TooMuchWorkError(self.exceeded)


def counted(part: str, port: T, meter: Meter) -> T:
    """The same port, whose calls the meter counts."""
    # Python's types cannot express "has all methods of T"; the proxy passes on every attribute of the port.
    return cast("T", _Counted(part, port, meter))


class _Counted:
    """The proxy of a port."""

    def __init__(self, part: str, port: object, meter: Meter) -> None:
        self._part = part
        self._port = port
        self._meter = meter

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if name == "past":  # a part of the index
            return _Counted(self._part, found, self._meter)
        return self._counted(name, found) if callable(found) else found

    def _counted(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            given = sum(map(_size, (*arguments, *named.values())))
            self._meter.call(self._part, name, items=given)
            result = method(*arguments, **named)
            self._meter.carry(self._part, _size(result))
            return result

        return call


def _size(value: object) -> int:
    """How many items a call takes or gives; of an LLM's messages, how many characters."""
    if isinstance(value, MemoryPage | EventPage):
        return len(value.items)
    if isinstance(value, tuple | list) and value and all(isinstance(one, ChatMessage) for one in value):
        return sum(len(one.content) for one in value)
    if isinstance(value, tuple) and value and isinstance(value[0], list):
        return len(value[0])  # a list and its cursor
    return len(value) if isinstance(value, Sized) and not isinstance(value, str | bytes) else 0


def allowed(small: Work) -> Work:
    """What a larger ledger may cost at most; a kind of work that the smaller one did not need may not begin."""
    most = Work({name: number + max(number // _SHARE, _margin(name)) for name, number in small.items()})
    parts = ("ledger", "index", "embedder", "llm", "queue", "webhooks")
    return Work({f"{part} calls": _MARGINS["calls"] for part in parts}) | most


def growth(small: Work, large: Work) -> list[str]:
    """What costs more in the larger ledger, in words; empty if nothing does."""
    most = allowed(small)
    grown = [name for name in large if " " in name and large[name] > most[name]]
    details = [name for name in large if "." in name and large[name] > small[name]]
    return [f"{name}: {small[name]:,} in the smaller ledger, {large[name]:,} in the larger" for name in grown] + [
        f"  of them {name}: {small[name]:,} and {large[name]:,}" for name in details if grown
    ]


def _margin(name: str) -> int:
    # Calls of a single method are detail: they count in the calls of their port.
    return _MARGINS[name.rpartition(" ")[2]] if " " in name else 1_000_000
