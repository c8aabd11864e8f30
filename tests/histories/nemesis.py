"""The nemesis injects faults into a world by a schedule that a seed decides, and repairs everything at the end."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.histories.faults import Fault
from tests.histories.recorder import Recorder

__all__ = ["Nemesis"]

#: The most faults at once.
_MOST = 2
_LOOK_S = 0.05


@dataclass(frozen=True, slots=True)
class _UnderWay:
    fault: Fault
    until: float


class Nemesis:
    """Runs in the thread that started the world's processes, because the kernel ends a child with this thread."""

    def __init__(
        self, faults: Sequence[Fault], recorder: Recorder, chance: random.Random, *, shortest: float, longest: float
    ) -> None:
        self._faults = faults
        self._recorder = recorder
        self._chance = chance
        self._between = (shortest, longest)
        self._deck: list[Fault] = []
        self._under_way: list[_UnderWay] = []

    def rage(self, while_: Callable[[], bool]) -> None:
        """Begin and end faults while the condition holds; when this returns, everything is repaired."""
        upcoming = time.monotonic() + self._chance.uniform(0.0, self._between[0])
        try:
            while while_():
                now = time.monotonic()
                self._end_those_that(lambda one, now=now: one.until <= now)  # type: ignore[misc]
                if now >= upcoming and len(self._under_way) < _MOST:
                    if (fault := self._draw()) is not None:
                        self._begin(fault)
                    upcoming = time.monotonic() + self._chance.uniform(*self._between)
                time.sleep(_LOOK_S)
        finally:
            self._end_those_that(lambda _: True)

    def _draw(self) -> Fault | None:
        """Return the next fault of a shuffled deck that holds each by its weight, so that none is left out for long.

        None when the targets of all that are left have a fault already.
        """
        taken = {one.fault.target for one in self._under_way}
        if not self._deck:
            for fault in self._faults:
                # A weight of 1.5 is one card, and every second time another one.
                self._deck += [fault] * int(fault.weight + self._chance.random())
            self._chance.shuffle(self._deck)
        place = next((place for place, fault in enumerate(self._deck) if fault.target not in taken), None)
        return None if place is None else self._deck.pop(place)

    def _begin(self, fault: Fault) -> None:
        self._recorder.fault(f"begin {fault.name}", fault.target)
        fault.begin()
        lasts = self._chance.uniform(fault.shortest, fault.longest)
        self._under_way.append(_UnderWay(fault, time.monotonic() + lasts))

    def _end_those_that(self, are_due: Callable[[_UnderWay], bool]) -> None:
        for one in [one for one in self._under_way if are_due(one)]:
            self._under_way.remove(one)
            one.fault.end()
            self._recorder.fault(f"end {one.fault.name}", one.fault.target)
