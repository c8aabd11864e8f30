"""Chooses which waiting texts are computed together next: one pure function and its limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

__all__ = ["Cut", "Limits", "Waiting", "next_batch"]

#: Texts go together when their lengths differ by at most this share and this many tokens. Padding is then below a
#: tenth (measured), and batches still fill.
WINDOW_SHARE = 1.25
WINDOW_TOKENS = 8


class Waiting(Protocol):
    """A waiting text: its length in tokens, the group that may share a batch, and whether anyone still waits for it."""

    @property
    def tokens(self) -> int: ...
    @property
    def group(self) -> str: ...
    @property
    def cancelled(self) -> bool: ...


E = TypeVar("E", bound=Waiting)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one batch.

    ``tokens`` counts rows times the longest row. ``lookahead`` bounds how many entries are considered,
    and so the time of a choice, however long the queue is.
    """

    tokens: int = 384
    rows: int = 64
    lookahead: int = 512


@dataclass(frozen=True, slots=True)
class Cut(Generic[E]):
    """A batch, shortest row first, and the entries that stay in the queue, in their order."""

    rows: list[E]
    rest: list[E]


def next_batch(entries: Sequence[E], limits: Limits) -> Cut[E]:
    """Take the next batch from ``entries``, which are in the order of the queue.

    The first entry that is not cancelled is always taken, even when it alone is over the limit. So every
    waiting entry moves forward with each batch, and none starves. Those of the same group whose length is
    nearest to its own join it, within a window of lengths and as far as the padded batch keeps within the
    limits. Cancelled entries that were looked at are in neither list.
    """
    first = next((index for index, entry in enumerate(entries) if not entry.cancelled), len(entries))
    end = first + limits.lookahead
    live = [entry for entry in entries[first:end] if not entry.cancelled]
    if not live:
        return Cut([], [])
    taken = {0}
    longest = live[0].tokens
    for place in _similar(live):
        if len(taken) == limits.rows:
            break
        width = max(longest, live[place].tokens)
        if (len(taken) + 1) * width <= limits.tokens:
            taken.add(place)
            longest = width
    rest = [entry for place, entry in enumerate(live) if place not in taken]
    rest.extend(entries[end:])
    return Cut(sorted((live[place] for place in taken), key=_length), rest)


def _similar(live: Sequence[Waiting]) -> list[int]:
    """Return the places of those that may join the first, nearest in length first, then by turn."""
    head = live[0]
    lowest = (head.tokens - WINDOW_TOKENS) / WINDOW_SHARE
    highest = head.tokens * WINDOW_SHARE + WINDOW_TOKENS
    near = [
        place
        for place, entry in enumerate(live)
        if place and lowest <= entry.tokens <= highest and entry.group == head.group
    ]
    near.sort(key=lambda place: abs(live[place].tokens - head.tokens))
    return near


def _length(entry: Waiting) -> int:
    return entry.tokens
