"""Portions of memories whose histories are read, made or removed at once: a memory may have thousands of versions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from forgetless.domain.limits import HISTORIES_AT_ONCE
from forgetless.domain.memory import Memory
from forgetless.domain.portions import weighed_portions
from forgetless.ports.request_ledger import MemoryPage

__all__ = ["few_of", "light_ids", "light_page", "light_portions"]

T = TypeVar("T")


def light_portions(memories: Sequence[Memory], *, count: int | None = None) -> Iterator[list[Memory]]:
    """The memories in portions of at most `count` whose histories have HISTORIES_AT_ONCE."""
    return weighed_portions(memories, _bytes_of, most=HISTORIES_AT_ONCE, count=count or len(memories))


def light_ids(weights: Mapping[str, int], *, count: int) -> Iterator[list[str]]:
    """The ids of memories whose histories have so many bytes, in portions as those of `light_portions`."""
    return weighed_portions(list(weights), lambda id_: weights[id_], most=HISTORIES_AT_ONCE, count=count)


def light_page(read: Callable[[int], MemoryPage], limit: int) -> MemoryPage:
    """The page that `read` gives with this limit, or with a lower one, so that its histories can be read at once."""
    page = read(limit)
    few = few_of(page.items, _bytes_of)
    return page if few == len(page.items) else read(few)


def few_of(items: Sequence[T], weight: Callable[[T], int]) -> int:
    """How many of the items, which were read in their order, are in the first portion."""
    return len(next(weighed_portions(items, weight, most=HISTORIES_AT_ONCE, count=len(items)), []))


def _bytes_of(memory: Memory) -> int:
    return memory.all_bytes
