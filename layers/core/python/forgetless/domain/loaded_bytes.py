"""How much stored JSON a request has read: those that read much go on one at a time, so that memory has a bound.

Which is next, `domain/large_read_turn.py` says. A memory may have 200,000 characters and a search 1,000 results, and
what is read takes several times as much room as its JSON. Where a process serves one request at a time, nothing is
counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

from forgetless.domain.errors import BusyError
from forgetless.domain.large_read_turn import LargeReadTurn

__all__ = ["await_turn", "count_loaded", "give_turn", "has_read_enough", "loading", "portions"]

T = TypeVar("T")

#: So many bytes every request may read; for more it needs the turn.
_LIGHT = 4 * 1024 * 1024
#: A search that has read so many bytes looks no further: an answer has less than 6 MB.
_ENOUGH = 64 * 1024 * 1024
#: The number of rows in the first portion. Each further one is twice as large, as long as the request has read little.
_AT_ONCE = 24
#: What a list or an object and what a text takes beside its JSON: an empty list has two characters, and 56 bytes.
_CONTAINER_BYTES, _TEXT_BYTES = 64, 48
#: Smaller rows do not count: a request never holds enough of them to matter.
_SMALL = 4096
#: How long a request waits for the turn.
_PATIENCE_S = 10.0

_turn = LargeReadTurn()


@dataclass(slots=True)
class _Loaded:
    tenant: str = ""
    size: int = 0
    has_turn: bool = False


_loaded: ContextVar[_Loaded | None] = ContextVar("loaded_bytes", default=None)


@contextmanager
def loading(tenant: str = "") -> Iterator[None]:
    """While the context is open, what this thread reads is counted for one request, and it may get the turn.

    It is for requests that only read: who stores something must not fail because others are busy.
    """
    token = _loaded.set(_Loaded(tenant))
    try:
        yield
    finally:
        give_turn()
        _loaded.reset(token)


def count_loaded(body: bytes) -> None:
    """Count JSON that is read. It waits for nothing, because a ledger calls it within transactions."""
    if (mine := _loaded.get()) is not None:
        containers, texts = body.count(b"[") + body.count(b"{"), body.count(b'",')
        size = len(body) + _CONTAINER_BYTES * containers + _TEXT_BYTES * texts
        mine.size += size if size > _SMALL else 0


def give_turn() -> None:
    """Give the turn back, at the end, or before the request waits for something else, such as the LLM."""
    mine = _loaded.get()
    if mine is not None and mine.has_turn:
        mine.has_turn = False
        _turn.give(mine.tenant)


def await_turn() -> None:
    """Wait for the turn if this request has read much; it has the turn until it gives it back. Raises BusyError.

    Who has it already lets a waiting request of another tenant go first.
    """
    mine = _loaded.get()
    if mine is None or mine.size <= _LIGHT:
        return
    ask = _turn.share if mine.has_turn else _turn.take
    mine.has_turn = ask(mine.tenant, patience_s=_PATIENCE_S)
    if not mine.has_turn:
        raise BusyError("other requests read very large memories at this moment; try again, or ask for fewer at once")


def has_read_enough() -> bool:
    """Whether this request has read more than any answer can hold."""
    mine = _loaded.get()
    return mine is not None and mine.size > _ENOUGH


def portions(wanted: Sequence[T]) -> Iterator[Sequence[T]]:
    """What is wanted in the portions in which a request may read it; all at once where nothing is counted."""
    mine = _loaded.get()
    place, size = 0, _AT_ONCE if mine is not None else len(wanted)
    while place < len(wanted):
        yield wanted[place : place + size]
        await_turn()
        place += size
        size *= 1 if mine is not None and mine.has_turn else 2
