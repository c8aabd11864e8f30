"""Portions: divides a sequence by weight, for work that is done in bounded steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

__all__ = ["first_portion", "until_heavy", "weighed_portions"]

T = TypeVar("T")


def weighed_portions(items: Sequence[T], weight: Callable[[T], int], *, most: int, count: int) -> Iterator[list[T]]:
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


def until_heavy(items: Iterable[T], weight: Callable[[T], int], *, most: int) -> Iterator[T]:
    """The items until they weigh `most`, and at least one, if there is any. It asks for none that it does not give."""
    weighs = 0
    for item in items:
        yield item
        weighs += weight(item)
        if weighs >= most:
            return


def first_portion(
    items: Iterable[T], weight: Callable[[T], int], *, most: int, count: int | None = None
) -> tuple[list[T], bool]:
    """The first items, at most `count`, until they weigh `most`; whether more follow. It asks for one item more."""
    portion: list[T] = []
    weighs = 0
    for item in items:
        if weighs >= most or (count is not None and len(portion) >= count):
            return portion, True
        portion.append(item)
        weighs += weight(item)
    return portion, False
