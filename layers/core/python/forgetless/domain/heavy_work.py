"""Work that keeps a processor busy for long: one thread of a process does it at a time.

Threads share the interpreter. If thirty of them work at once, whoever has little to do waits for all of them, at each
step. Where a process serves one request at a time, nobody waits.

Of those who wait, the tenant that has worked least lately is next. Filters work for milliseconds at a time and come
again at once, and bodies for hundreds of them: in the order of arrival, a filter over a thousand memories would wait
for a thousand bodies of another tenant. So after its work a tenant is awaited for some milliseconds, if those who wait
have worked more. The time in which others wait for it counts as its work.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar

from forgetless.domain.errors import BusyError

__all__ = ["HEAVY_BYTES", "HEAVY_WORK", "HeavyTurn", "heavy_work", "heavy_work_of", "own_heavy_work"]

#: To read or write so many bytes of JSON takes milliseconds, in which no other thread can run.
HEAVY_BYTES = 500_000
#: How long a request waits for its turn. Who has something to answer then does its work beside that of others.
_PATIENCE_S = 10.0
#: How long a tenant is awaited after its work.
_AWAITED_S = 0.01
#: Of what a tenant has worked, half counts after so many seconds; less than this does not count.
_HALF_S, _LEAST_S = 2.0, 0.001

_owner: ContextVar[str] = ContextVar("owner of heavy work", default="")


def own_heavy_work(tenant: str) -> None:
    """Say whose heavy work is that follows in this context."""
    _owner.set(tenant)


@contextmanager
def heavy_work_of(tenant: str) -> Iterator[None]:
    """`own_heavy_work` while the context is open."""
    token = _owner.set(tenant)
    try:
        yield
    finally:
        _owner.reset(token)


class HeavyTurn:
    """One turn, which several threads wait for; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._since: float | None = None
        #: Who waits, by owner, in their order.
        self._waiting: dict[str, deque[object]] = {}
        #: Seconds of work by owner, and when they were so many.
        self._worked: dict[str, tuple[float, float]] = {}
        #: Whose work ended last, and until when it is awaited again.
        self._awaited: tuple[str, float] = ("", 0.0)
        #: Since when somebody waits for that although the turn is free.
        self._idle_since: float | None = None

    def take(self, owner: str, *, patience_s: float = _PATIENCE_S) -> bool:
        """Wait for the turn; False if it did not come in time."""
        with self._changed:
            give_up, ticket = self._clock() + patience_s, object()
            self._waiting.setdefault(owner, deque()).append(ticket)
            try:
                while (rest := self._rest(owner, ticket)) > 0:
                    left = give_up - self._clock()
                    if left <= 0:
                        return False
                    if self._since is None and self._idle_since is None:
                        self._idle_since = self._clock()
                    self._changed.wait(min(rest, left))
                self._since = self._clock()
                self._count_idle(self._since)
                return True
            finally:
                self._waiting[owner].remove(ticket)
                if not self._waiting[owner]:
                    del self._waiting[owner]
                self._changed.notify_all()

    def give(self, owner: str) -> None:
        """End the turn, which this owner has."""
        with self._changed:
            now, since = self._clock(), self._since
            assert since is not None
            self._since = None
            self._add(owner, now - since, now)
            self._worked = {one: work for one, work in self._worked.items() if self._lately(one, now) > _LEAST_S}
            self._awaited = (owner, now + _AWAITED_S)
            self._changed.notify_all()

    @contextmanager
    def of_owner(self, *, may_fail: bool) -> Iterator[None]:
        """Hold the turn for whoever owns this context. Without it in time: BusyError, or else go on beside others."""
        owner = _owner.get()
        taken = self.take(owner)
        if not taken and may_fail:
            raise BusyError("other requests keep this process busy at this moment; try again, or send less at once")
        try:
            yield
        finally:
            if taken:
                self.give(owner)

    def _add(self, owner: str, seconds: float, now: float) -> None:
        self._worked[owner] = (self._lately(owner, now) + seconds, now)

    def _count_idle(self, now: float) -> None:
        if self._idle_since is not None:
            self._add(self._awaited[0], now - self._idle_since, now)
            self._idle_since = None

    def _rest(self, owner: str, ticket: object) -> float:
        """After how many seconds to look again whether it is the turn of this ticket; 0 if it is."""
        if self._since is not None or self._waiting[owner][0] is not ticket:
            return _PATIENCE_S
        now = self._clock()
        mine = self._lately(owner, now)
        if any(self._lately(one, now) < mine for one in self._waiting):
            return _PATIENCE_S
        last, until = self._awaited
        return until - now if last != owner and self._lately(last, now) < mine else 0.0

    def _lately(self, owner: str, now: float) -> float:
        seconds, at = self._worked.get(owner, (0.0, now))
        return float(seconds * 0.5 ** ((now - at) / _HALF_S))


#: Held for some milliseconds at a time, and never while anything else is waited for.
HEAVY_WORK = HeavyTurn()


def heavy_work(size: int, *, may_fail: bool = False) -> AbstractContextManager[object]:
    """The turn for work on so many bytes; for less than HEAVY_BYTES, nothing that anybody waits for.

    With `may_fail`, raises BusyError if it does not come in time.
    """
    return nullcontext() if size < HEAVY_BYTES else HEAVY_WORK.of_owner(may_fail=may_fail)
