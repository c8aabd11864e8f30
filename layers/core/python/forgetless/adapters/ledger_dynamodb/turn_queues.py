"""Queues that are read in turn by tenant, so that what waits of one tenant hides nothing of the others.

Their sort key in the secondary index is `!hour#tenant#time#id` (`item_keys.in_turn`). A reader jumps to the next tenant
of the hour, or to the next hour, whatever else the tenant has there, and it does not see later hours at all.

Earlier versions wrote `time#…`. Their entries are read as well, up to a number, and get the new key with the next
change of their item. The `!` lets an earlier version find new entries: it reads all keys up to a time.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, islice

from forgetless.adapters.ledger_dynamodb.attribute_values import Item
from forgetless.adapters.ledger_dynamodb.item_keys import HOUR, IN_TURN, Key, turn_of
from forgetless.adapters.ledger_dynamodb.table import Between, Table, key_of

__all__ = ["Look", "TurnQueues", "by_hour", "in_order", "oldest"]

#: The least number of keys in a page. A tenant that has fewer shares its page with the next ones.
_PAGE = 100
#: How many pages of each queue are looked at for the oldest entries.
_OLDEST_PAGES = 10
#: How many pages of all queues one look in turn reads: about two seconds.
_MOST_PAGES = 500
#: How many entries of earlier versions a look sees, the oldest first. There are about 7,000 in one page.
_MOST_OLD = 50_000
#: The character after the `#` that ends a tenant in a sort key, and texts that sort below and above what may follow.
_NEXT, _LOWEST, _HIGHEST = "$", " ", "~~~~"
#: Sort keys of entries of earlier versions are above this.
_OLD = '"'


@dataclass(frozen=True, slots=True)
class Look:
    """What a reader wants: entries with a time up to `until` (None: all), and of a tenant in an hour at most `each`.

    With `after`, a sort key of the new form, only what has a place after it.
    """

    until: str | None = None
    each: int | None = None
    after: str = ""

    def wants(self, time: str, number: int) -> bool:
        """Whether an entry is wanted that is this one of its tenant in its hour."""
        return (self.each is None or number <= self.each) and (self.until is None or time <= self.until)

    @property
    def new(self) -> Between:
        """The sort keys of new entries that may be wanted."""
        last = "" if self.until is None else f"{self.until[:HOUR]}#"
        return Between(f"{self.after}{_LOWEST}" if self.after else IN_TURN, f"{IN_TURN}{last}{_HIGHEST}")

    @property
    def old(self) -> Between:
        """The sort keys of wanted entries of earlier versions, from the hour of `after` on; the time comes first."""
        hour = self.after[len(IN_TURN) :][:HOUR]
        return Between(hour or _OLD, _HIGHEST if self.until is None else f"{self.until}~")


class TurnQueues:
    """The looks in turn at some queues. A look that is too long for once goes on with the next one."""

    def __init__(self, table: Table) -> None:
        self._table = table
        #: Where the next look at a queue begins; without a place at its first key.
        self._places: dict[str, str] = {}

    def in_turn(self, queues: Sequence[str], *, until: str | None = None, each: int) -> list[list[Key]]:
        """Of each tenant the keys of up to `each` entries, the oldest first; tenants with the oldest come first."""
        look, pages = Look(until, each), max(_MOST_PAGES // len(queues), 1)
        found: dict[str, list[tuple[str, Key]]] = {}
        for queue in queues:
            for entry in self._some(queue, look, pages):
                found.setdefault(_tenant(entry), []).append(_placed(entry))
            old: dict[str, int] = {}
            for entry in islice(self._table.queue_entries(queue, look.old), _MOST_OLD):
                old[_tenant(entry)] = seen = old.get(_tenant(entry), 0) + 1
                if seen <= each:
                    found.setdefault(_tenant(entry), []).append(_placed(entry))
        lists = sorted(sorted(those) for those in found.values())
        return [[key for _, key in those[:each]] for those in lists]

    def _some(self, queue: str, look: Look, pages: int) -> Iterator[Item]:
        """What a bounded number of pages has, from the place where the last look stopped, and round to it."""
        begin, high = self._places.pop(queue, ""), look.new.high
        ranges = [Between(begin, high)] if begin else []
        ranges.append(Between(look.new.low, begin or high))
        for limits in ranges:
            for wanted, following in _pages(self._table, queue, look, limits):
                yield from wanted
                pages -= 1
                if pages == 0:
                    self._places[queue] = following
                    return


def by_hour(table: Table, queue: str, look: Look, *, page: int) -> Iterator[Item]:
    """The entries of all tenants, the oldest hour first, in any order within it; read in pages of about so many keys.

    However much an hour has, nothing is read but the pages that are asked for.
    """
    streams = (table.queue_entries(queue, look.old, page=max(page, _PAGE)), _new(table, queue, look, page))
    return heapq.merge(*streams, key=_hour)


def in_order(table: Table, queues: Sequence[str], look: Look, *, page: int) -> Iterator[Item]:
    """`by_hour` of several queues in the order of the new sort keys: within an hour tenant by tenant.

    This order does not change when an entry of an earlier version gets its new key. Of such entries, an hour is held.
    """
    new = [_new(table, queue, look, page) for queue in queues]
    old = [_old_in_order(table.queue_entries(queue, look.old, page=max(page, _PAGE))) for queue in queues]
    return (entry for entry in heapq.merge(*new, *old, key=_place) if _place(entry) > look.after)


def oldest(table: Table, queues: Sequence[str], number: int) -> list[Item]:
    """The oldest entries, up to so many. If the oldest hours have very many tenants, some of them are not looked at."""
    look = Look(each=number)
    pages = (islice(_pages(table, queue, look, look.new), _OLDEST_PAGES) for queue in queues)
    found = [entry for wanted, _ in chain.from_iterable(pages) for entry in wanted]
    for queue in queues:
        found += islice(table.queue_entries(queue, look.old, page=max(number, _PAGE)), number)
    return sorted(found, key=_placed)[:number]


def _new(table: Table, queue: str, look: Look, page: int) -> Iterator[Item]:
    for wanted, _ in _pages(table, queue, look, look.new, size=page):
        yield from wanted


def _old_in_order(entries: Iterator[Item]) -> Iterator[Item]:
    for _, those in groupby(entries, key=_hour):
        yield from sorted(those, key=_place)


def _pages(table: Table, queue: str, look: Look, limits: Between, *, size: int = 0) -> Iterator[tuple[list[Item], str]]:
    """What is wanted of each page, and the sort key at which the next one begins; empty after the last one."""
    size = max(size, _PAGE, (look.each or 0) + 1)
    low, group, seen = limits.low, "", 0
    while low <= limits.high:
        page = list(islice(table.queue_entries(queue, Between(low, limits.high), page=size), size))
        wanted: list[Item] = []
        passed = False
        for entry in page:
            if _group(entry) != group:
                group, seen = _group(entry), 0
            seen += 1
            passed = not look.wants(_time(entry), seen)
            wanted += [] if passed else [entry]
        if len(page) < size:
            yield wanted, ""
            return
        low = group + _NEXT if passed else str(page[-1]["gsi1sk"]) + _LOWEST
        yield wanted, low


def _group(entry: Item) -> str:
    """The beginning of a new entry's sort key: its hour and its tenant."""
    return str(entry["gsi1sk"]).rsplit("#", 2)[0]


def _time(entry: Item) -> str:
    return _time_and_id(entry).partition("#")[0]


def _hour(entry: Item) -> str:
    return _time(entry)[:HOUR]


def _place(entry: Item) -> str:
    """The sort key that the entry has, or gets with the next change of its item."""
    return turn_of(_tenant(entry), *_time_and_id(entry).split("#", 1))


def _time_and_id(entry: Item) -> str:
    """The end of the sort key, `time#id`, which earlier versions wrote alone."""
    return str(entry["gsi1sk"]).split("#", 2 if _is_new(entry) else 0)[-1]


def _placed(entry: Item) -> tuple[str, Key]:
    """The entry's item after what orders it among others of its hour."""
    return _time_and_id(entry), key_of(entry)


def _is_new(entry: Item) -> bool:
    return str(entry["gsi1sk"]).startswith(IN_TURN)


def _tenant(entry: Item) -> str:
    """The tenant as a part of keys: it comes second in the partition key of whatever is in these queues."""
    return str(entry["pk"]).split("#", 2)[1]
