"""Checks whether calls with intervals can be put in an order: just-in-time linearization.

The algorithm is Lowe's ("Testing for linearizability", Concurrency and Computation: Practice and Experience 29(4),
2017, section 4), which knossos has as `linear`; it goes back to Wing and Gong (1993). Events are read in the order of
time. A configuration is the set of calls in flight that have taken effect, and the register after them; all that are
possible are kept, each once. A call takes effect no earlier than some return asks for it, so there are few.

Three things keep them fewer, and change no verdict:
- A call that only reads takes effect as soon as it can: being early hides nothing from anybody. So does a call that
  has nothing left to change (a delete of what is deleted), for what is gone stays gone.
- A call that may never have happened has no return. Of two configurations that differ in nothing but such calls, the
  one that has used fewer of them can do all that the other can.
- What is known of a version's content from any answer (`possible`) rules out orders that make another of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from tests.histories.history import Operation
from tests.histories.register import Metadata, Register, Step

__all__ = ["BUDGET", "Call", "Quiet", "Result", "Verdict", "linearize"]

#: The most steps for one memory; beyond it the verdict is "undecided", never "ok".
BUDGET = 2_000_000


class Verdict(StrEnum):
    """The verdict on a memory's history."""

    OK = "ok"
    FAILED = "failed"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Call:
    """What an operation means for one memory, and when; `ended` infinite: it may take effect ever after, or never.

    With `optional` it may also not happen at all though its interval ends. With `where` it looks first and acts later:
    it does what it does if the memory has had this metadata since it began, and may pass it by if ever it had not.
    """

    operation: Operation | None
    step: Step
    started: float
    ended: float
    optional: bool = False
    where: Metadata | None = None


@dataclass(frozen=True, slots=True)
class Quiet:
    """A moment at which nothing known was in flight and one register alone was possible."""

    at: float
    register: Register
    #: Calls without an end that have taken effect by then.
    used: tuple[Call, ...]


@dataclass(slots=True)
class Result:
    """The verdict, and the steps it took; after a failure the call that fits nowhere and what was possible before."""

    verdict: Verdict
    explored: int
    culprit: Call | None = None
    before: frozenset[Register] = frozenset()
    quiet: list[Quiet] = field(default_factory=list)


class _BudgetError(Exception):
    pass


#: Calls in flight that have taken effect (a bit each), and the register after them.
_Configuration = tuple[int, Register]


def linearize(
    calls: Sequence[Call],
    start: Register,
    *,
    possible: Callable[[Register], bool] = lambda _: True,
    budget: int = BUDGET,
    quiet: bool = False,
) -> Result:
    """Try to order `calls`, which begin with the register `start`; with `quiet`, note the quiet moments."""
    search = _Search(start, possible, budget)
    try:
        for at, is_return, number in _events(calls):
            if not is_return:
                search.begin(number, calls[number])
                continue
            before = frozenset(register for _, register in search.configurations)
            kept = search.finish(number)
            if quiet:
                search.note_quiet(at)
            if not kept:
                return Result(Verdict.FAILED, search.explored, calls[number], before, search.quiet)
    except _BudgetError:
        return Result(Verdict.UNDECIDED, search.explored)
    return Result(Verdict.OK, search.explored, quiet=search.quiet)


def _events(calls: Sequence[Call]) -> list[tuple[float, bool, int]]:
    """Starts and ends in time; where both fall together, the start is first: the two overlap."""
    starts = [(call.started, False, number) for number, call in enumerate(calls)]
    return sorted(starts + [(call.ended, True, number) for number, call in enumerate(calls) if call.ended < math.inf])


class _Search:
    def __init__(self, start: Register, possible: Callable[[Register], bool], budget: int) -> None:
        self.configurations: set[_Configuration] = {(0, start)}
        self.explored = 0
        self.quiet: list[Quiet] = []
        self._possible = possible
        self._budget = budget
        #: Which bit a call has while it is in flight; a returned call's bit goes to the next.
        self._bits: dict[int, int] = {}
        self._width = 0
        self._free: list[int] = []
        self._changing: dict[int, Call] = {}
        self._reading: dict[int, Call] = {}
        self._endless = 0
        #: Of calls that look first: the bits of "it has matched" and "it has not", each set once that was so.
        self._looks: dict[int, tuple[Metadata, int, int]] = {}

    def begin(self, number: int, call: Call) -> None:
        bit = self._bits[number] = self._fresh_bit()
        if call.ended == math.inf:
            self._endless |= bit
        (self._reading if call.step.reads else self._changing)[bit] = call
        if call.where is not None:
            self._looks[bit] = (call.where, self._fresh_bit(), self._fresh_bit())
        self._count(len(self.configurations))
        self.configurations = {
            (self._looked(done | bit if self._is_settled(call, register) else done, register), register)
            for done, register in self.configurations
        }

    def _fresh_bit(self) -> int:
        if self._free:
            return self._free.pop()
        self._width += 1
        return 1 << (self._width - 1)

    def finish(self, number: int) -> bool:
        """The call returns: keep the configurations in which it has taken effect; False when there are none."""
        bit = self._bits.pop(number)
        call = self._changing.get(bit) or self._reading[bit]
        _, matched, passed = self._looks.get(bit, ((), 0, 0))
        reached: set[_Configuration] = set()
        for configuration in self.configurations:
            # It has taken effect, or has seen that there was nothing to do.
            if configuration[0] & (bit | passed) or call.optional:
                reached.add(configuration)
            if not configuration[0] & bit:
                reached |= self._until(bit, passed, configuration)
        after = {(done & ~(bit | matched | passed), register) for done, register in reached}
        self._changing.pop(bit, None)
        self._reading.pop(bit, None)
        self._looks.pop(bit, None)
        self._free += [one for one in (bit, matched, passed) if one]
        self.configurations = self._fewest(after) if self._endless and len(after) > 1 else after
        return bool(after)

    def _until(self, bit: int, passed: int, configuration: _Configuration) -> set[_Configuration]:
        """Every way to let calls in flight take effect up to the one of `bit`, or until `passed` becomes set."""
        found: set[_Configuration] = set()
        seen = {configuration}
        waiting = [configuration]
        while waiting:
            done, register = waiting.pop()
            for other, call in self._changing.items():
                if other & done:
                    continue
                self._count(1)
                after = call.step.apply(register)
                if after is None or (after.version > register.version and not self._possible(after)):
                    continue
                if (after == register and other & self._endless) or not self._may_act(other, done):
                    continue
                reached = (self._settle(done | other, after), after)
                if reached in seen:
                    continue
                seen.add(reached)
                if not reached[0] & bit:
                    waiting.append(reached)
                if reached[0] & bit or reached[0] & passed & ~configuration[0]:
                    found.add(reached)
        return found

    def _settle(self, done: int, register: Register) -> int:
        """With all calls in flight that take effect here without changing anything."""
        for calls in (self._reading, self._changing):
            for bit, call in calls.items():
                if not bit & done and self._is_settled(call, register):
                    done |= bit
        return self._looked(done, register)

    def _looked(self, done: int, register: Register) -> int:
        for wanted, matched, other in self._looks.values():
            done |= matched if register.has(wanted) else other
        return done

    def _may_act(self, bit: int, done: int) -> bool:
        return bit not in self._looks or bool(done & self._looks[bit][1])

    def _is_settled(self, call: Call, register: Register) -> bool:
        if call.step.reads:
            return call.step.apply(register) is not None
        # Before its add a memory may yet come to be what the call would change.
        return register.version > 0 and call.ended < math.inf and call.step.apply(register) == register

    def _fewest(self, configurations: Iterable[_Configuration]) -> set[_Configuration]:
        """Without those that have used more calls without an end than another that is the same otherwise."""
        kept: dict[tuple[int, Register], list[int]] = {}
        for done, register in sorted(configurations, key=lambda one: (one[0] & self._endless).bit_count()):
            used = done & self._endless
            others = kept.setdefault((done & ~self._endless, register), [])
            if not any(other & used == other for other in others):
                others.append(used)
        return {(known | used, register) for (known, register), several in kept.items() for used in several}

    def note_quiet(self, at: float) -> None:
        """Keep this moment if it is a quiet one."""
        if len(self.configurations) != 1 or any(call.ended < math.inf for call in self._changing.values()):
            return
        ((done, register),) = self.configurations
        if all(call.ended == math.inf for call in self._reading.values()):
            used = tuple(call for bit, call in self._changing.items() if bit & done)
            self.quiet.append(Quiet(at, register, used))

    def _count(self, steps: int) -> None:
        self.explored += steps
        if self.explored > self._budget:
            raise _BudgetError
