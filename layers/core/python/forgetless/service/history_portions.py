"""Portions of memories whose histories are read, made or removed at once: a memory may have thousands of versions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from forgetless.domain.limits import HISTORIES_AT_ONCE
from forgetless.domain.memory import Memory

__all__ = ["few_of", "light_portions", "portions"]

T = TypeVar("T")


def portions(items: Sequence[T], weight: Callable[[T], int], *, most: int, count: int) -> Iterator[list[T]]:
    """The items in their order, in portions of at most `count` that weigh at most `most`; what weighs more is alone."""
    portion: list[T] = []
    weighs = 0
    for item in items:
        its = weight(item)
        if portion and (len(portion) >= count or weighs + its > most):
            yield portion
            portion, weighs = [], 0
        portion.append(item)
        weighs += its
    if portion:
        yield portion


def light_portions(memories: Sequence[Memory], *, count: int | None = None) -> Iterator[list[Memory]]:
    """The memories in portions of at most `count` whose histories have HISTORIES_AT_ONCE."""
    return portions(memories, _bytes_of, most=HISTORIES_AT_ONCE, count=count or len(memories))


def few_of(items: Sequence[T], weight: Callable[[T], int]) -> int:
    """How many of the items, which were read in their order, are in the first portion."""
    return len(next(portions(items, weight, most=HISTORIES_AT_ONCE, count=len(items)), []))


def _bytes_of(memory: Memory) -> int:
    return memory.all_bytes
