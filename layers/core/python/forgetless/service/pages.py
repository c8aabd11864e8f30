"""Pages: takes one page from a list of any size, and reads no more for it than the page and a bounded scan.

A page begins after a cursor, or where the page before it ended, which is kept for some minutes. So clients that send
only page numbers, in order, get every page at the same cost. Any other page is found by reading the pages before it, if
they are few.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from forgetless.domain.errors import InvalidRequestError, LedgerError
from forgetless.domain.limits import MOST_OFFSET, SCANNED_ROWS
from forgetless.domain.times import later
from forgetless.ports.clock import Clock
from forgetless.ports.request_ledger import PageEnd, PageEndStore
from forgetless.service.requests import Count, PageOf

__all__ = ["LEAST_READ", "MOST_READ", "PageAsk", "Pager", "Source", "all_rows", "chunk_of", "itself"]

#: How long the end of a page is kept.
_KEPT_S = 600.0
#: The least and the most rows that a list reads at once: a small page never means many small reads. With the row that
#: shows whether more follow, and the state of erasures, the least is a batch of DynamoDB, which holds 100 items.
LEAST_READ, MOST_READ = 98, 500

Row = TypeVar("Row")
Item = TypeVar("Item")


def chunk_of(size: int) -> int:
    """How many rows to read at once for a page of `size`; one more shows whether another page follows."""
    return max(LEAST_READ, min(MOST_READ, size + 1))


def all_rows(
    read: Callable[[str | None], tuple[Sequence[Item], str | None]], after: Callable[[Item], str], size: int
) -> Callable[[str | None], Iterator[tuple[str, Item | None]]]:
    """The rows of a list that shows every item that `read` finds: each with the cursor after it.

    A page of `read` that is shorter than `size`, although more follow, stands for so many rows that were looked at.
    """

    def rows(cursor: str | None) -> Iterator[tuple[str, Item | None]]:
        while True:
            items, cursor = read(cursor)
            yield from ((after(item), item) for item in items)
            if cursor is None:
                return
            for _ in range(size - len(items)):
                yield cursor, None

    return rows


def itself(cursor: str) -> str:
    """The cursor after a row of `all_rows`."""
    return cursor


@dataclass(frozen=True, slots=True)
class PageAsk:
    """Page `number` with `size` items of the list `what`, or the page after `cursor`.

    `what` is everything that makes it this list: who asks, for what, with which filter. Without a number, it is not
    kept where the page ended.
    """

    tenant: str
    what: tuple[object, ...]
    size: int
    number: int | None = 1
    cursor: str | None = None

    def name(self, number: int) -> str:
        """The name under which the end of a page of this list is kept. It is a digest, because filters hold ids."""
        asked = repr((*self.what, self.size, number)).encode("utf-8", "surrogatepass")
        return hashlib.sha256(asked).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Source(Generic[Row, Item]):
    """A list: its rows after a cursor, each with the item to show or None, and the cursor after a row.

    `count` is the number of all items, if it is known without reading them, or at least so many. With `counts`, items
    are counted while the page is read. `weigh` gives the share of an answer that an item takes: all together at most 1.
    """

    rows: Callable[[str | None], Iterator[tuple[Row, Item | None]]]
    after: Callable[[Row], str]
    count: Count | None = None
    counts: bool = True
    weigh: Callable[[Item], float] | None = None
    #: What the rows that are looked at for one page may cost together, and what each of them costs.
    most: int = SCANNED_ROWS
    cost: Callable[[Row], int] = field(default=lambda _: 1)
    #: Whether to judge rows has cost so much that no more are looked at.
    exhausted: Callable[[], bool] = lambda: False


@dataclass(frozen=True, slots=True)
class _Start:
    """Where a page begins, how many items come before it there, and how many of them must still be skipped."""

    cursor: str | None = None
    seen: int | None = 0
    skip: int = 0
    kept: PageEnd | None = None


@dataclass(slots=True)
class _Walk(Generic[Item]):
    """What was found on the way: the page, how many items before and after it, and where it ends."""

    items: list[Item] = field(default_factory=list)
    skipped: int = 0
    beyond: int = 0
    after: str | None = None
    #: Whether all rows were looked at.
    ended: bool = False

    @property
    def more(self) -> bool:
        """Whether another page follows, as far as is known."""
        return self.beyond > 0 or not self.ended


class Pager:
    """Takes pages from lists."""

    def __init__(self, *, ledger: PageEndStore, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    def page(self, ask: PageAsk, source: Source[Row, Item]) -> PageOf[Item]:
        """The page; raises InvalidRequestError, naming `cursor`, for a page that is too far away."""
        if ask.size == 0:
            return PageOf((), source.count or Count(0, exact=False), None)
        start = self._start(ask)
        counts = source.counts and source.count is None and start.kept is None and ask.cursor is None
        walk = _walked(ask, source, start, counts=counts)
        if walk.skipped < start.skip and not walk.ended:
            raise _too_far(ask.number)
        count = _count(ask, source.count, start, walk)
        following = walk.after if walk.more else None
        if following is not None and ask.number is not None:
            seen = (start.seen or 0) + walk.skipped + len(walk.items)
            self._keep(ask, PageEnd(following, seen, count.number, count.exact))
        return PageOf(tuple(walk.items), count, following)

    def _start(self, ask: PageAsk) -> _Start:
        number = ask.number or 1
        kept = self._kept(ask, number - 1) if number > 1 else None
        if ask.cursor is not None:
            same = kept is not None and kept.after == ask.cursor
            return _Start(ask.cursor, kept.seen, kept=kept) if same and kept else _Start(ask.cursor, None)
        if kept is not None:
            return _Start(kept.after, kept.seen, kept=kept)
        skip = (number - 1) * ask.size
        if skip > MOST_OFFSET:
            raise _too_far(ask.number)
        return _Start(skip=skip)

    def _kept(self, ask: PageAsk, number: int) -> PageEnd | None:
        return self._ledger.page_end(ask.tenant, ask.name(number), now=self._clock.now())

    def _keep(self, ask: PageAsk, end: PageEnd) -> None:
        now = self._clock.now()
        # Without it, the next page is found by skipping the items before it.
        with contextlib.suppress(LedgerError):
            name = ask.name(ask.number or 1)
            self._ledger.keep_page_end(ask.tenant, name, end, now=now, expires_at=later(now, _KEPT_S))


def _walked(ask: PageAsk, source: Source[Row, Item], start: _Start, *, counts: bool) -> _Walk[Item]:
    walk: _Walk[Item] = _Walk()
    weight, spent, most = 0.0, 0, source.most + start.skip
    for row, item in source.rows(start.cursor):
        if spent >= most or (spent > 0 and source.exhausted()):
            return walk
        spent += source.cost(row)
        full = len(walk.items) >= ask.size or walk.beyond > 0
        if item is not None and walk.skipped < start.skip:
            walk.skipped += 1
        elif item is not None and not full:
            weight += source.weigh(item) if source.weigh is not None else 0.0
            if weight > 1 and walk.items:
                walk.beyond += 1
            else:
                walk.items.append(item)
        elif item is not None:
            walk.beyond += 1
        if walk.beyond > 0:
            if not counts:
                return walk
        else:
            walk.after = source.after(row)
    walk.ended = True
    return walk


def _count(ask: PageAsk, known: Count | None, start: _Start, walk: _Walk[Item]) -> Count:
    """The number of all items. One that may be too low is high enough for clients that compare it with their page."""
    found = walk.skipped + len(walk.items) + walk.beyond
    if known is not None:
        count = known
    elif start.kept is not None and not walk.ended:
        count = Count(start.kept.count, exact=start.kept.exact)
    else:
        count = Count((start.seen or 0) + found, exact=walk.ended and start.seen is not None)
    if walk.more:
        least = max((start.seen or 0) + walk.skipped + len(walk.items), (ask.number or 1) * ask.size) + 1
        if count.number < least or not count.exact:
            count = Count(max(count.number, least), exact=False)
    return count


def _too_far(number: int | None) -> InvalidRequestError:
    return InvalidRequestError(
        f"page {number} is too far from the start: more than {MOST_OFFSET} items come before it, or too many do not "
        "match. Ask for the pages in order, or give the `cursor` of the page before."
    )
