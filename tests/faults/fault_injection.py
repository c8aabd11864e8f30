"""Fault injection: after a chosen call of a port that changes something, a process dies or waits."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from multiprocessing.connection import Connection
from typing import Any

__all__ = ["BULK_STEPS", "HERE", "LONG_STEPS", "STEPS", "WRITE", "Fault", "Step", "Watch", "Way", "watched"]

#: One of the writes of a call of the DynamoDB ledger.
WRITE = "dynamodb.write"

#: The message of a process that waits at its step.
HERE = "here"

#: The names in reports of all calls of ports that change something.
STEPS = {
    "ledger.put_job": "job written",
    "ledger.accept_job": "job written, slot taken",
    "queue.send": "message sent",
    "ledger.acquire_lease": "scope leased",
    "ledger.claim_job": "job claimed",
    "llm.complete": "LLM answered",
    "embedder.embed": "texts embedded",
    "ledger.update_job": "finished call kept",
    "ledger.append": "events appended, job completed",
    "index.insert": "index written",
    "index.past.insert": "past rows written",
    "index.drop_older": "old rows dropped",
    "ledger.mark_indexed": "index marked",
    "ledger.release_lease": "lease released",
    "ledger.put_document": "document written",
    "bulk_queue.send": "next portion asked for",
    "handler": "handler returned, message not deleted",
    WRITE: "DynamoDB wrote",
}


#: Those that only an add of several calls of the LLM takes.
LONG_STEPS = frozenset({"ledger.update_job"})
#: Those that only a bulk job takes.
BULK_STEPS = frozenset({"ledger.put_document", "bulk_queue.send"})


class Way(StrEnum):
    """How a process is disturbed after a step."""

    EXIT = "exit"
    """It ends itself on the spot."""
    KILL = "kill"
    """It waits there, and gets SIGKILL from outside."""
    STALL = "stall"
    """It waits there until others have taken over its work, and then goes on."""


@dataclass(frozen=True, slots=True)
class Step:
    """The `nth` call (from 1) of a port's method."""

    call: str
    nth: int

    def __str__(self) -> str:
        return STEPS[self.call] + (f" ({self.nth})" if self.nth > 1 else "")


@dataclass(frozen=True, slots=True)
class Fault:
    """How a process is disturbed, and after which step."""

    step: Step
    way: Way


@dataclass
class Watch:
    """Counts the calls; `seen` holds the steps so far. With `writes` a ledger's single writes are steps too."""

    fault: Fault | None = None
    line: Connection | None = None
    writes: bool = False
    seen: list[Step] = field(default_factory=list)
    _calls: Counter[str] = field(default_factory=Counter)

    def after(self, call: str) -> None:
        """Note that a call has just returned."""
        if call not in STEPS:
            return
        self._calls[call] += 1
        step = Step(call, self._calls[call])
        self.seen.append(step)
        if self.fault is None or step != self.fault.step:
            return
        if self.fault.way is Way.EXIT:
            os._exit(9)
        assert self.line is not None
        self.line.send(HERE)
        self.line.recv()


class _Watched:
    def __init__(self, port: object, name: str, watch: Watch) -> None:
        self._port, self._name, self._watch = port, name, watch

    def __getattr__(self, method: str) -> Any:
        real = getattr(self._port, method)
        if method == "past":  # a port of its own
            return _Watched(real, f"{self._name}.past", self._watch)

        def call(*args: Any, **options: Any) -> Any:
            result = real(*args, **options)
            self._watch.after(f"{self._name}.{method}")
            return result

        return call


def watched(port: Any, name: str, watch: Watch) -> Any:
    """Return the port with the same methods, whose calls are watched."""
    return _Watched(port, name, watch)
