"""FairTurns: a bounded number of turns; when all are taken, the next one goes to whoever has the fewest.

Where an owner may not have all of them, others need not wait for the end of one of its turns.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping

import anyio

__all__ = ["FairTurns"]


class _Turn:
    """A turn that is waited for."""

    def __init__(self) -> None:
        self.ready = anyio.Event()
        self.given = False


class FairTurns:
    """Turns of `most` that exist, by owner. It belongs to one event loop and needs no lock.

    In the order of arrival, one tenant whose requests take long could hold up all others: theirs would wait for every
    request of that tenant that came before.
    """

    def __init__(self, most: int, *, each: int | None = None, fewer: Mapping[str, int] | None = None) -> None:
        """`most` turns in all, and `each` for one owner (None: all); some owners have `fewer`."""
        self._free = most
        self._each = most if each is None else each
        self._fewer = dict(fewer or {})
        self._taken: Counter[str] = Counter()
        #: By owner, in the order in which they began to wait.
        self._waiting: dict[str, deque[_Turn]] = {}

    async def take(self, owner: str) -> None:
        """Return when it is the owner's turn; whoever is cancelled has none."""
        if self._free > 0 and self._may_take(owner):
            self._free -= 1
            self._taken[owner] += 1
            return
        turn = _Turn()
        self._waiting.setdefault(owner, deque()).append(turn)
        try:
            await turn.ready.wait()
        except BaseException:
            if turn.given:
                self.give(owner)
            else:
                self._leave(owner, turn)
            raise

    def give(self, owner: str) -> None:
        """End a turn of the owner."""
        self._taken[owner] -= 1
        if not self._taken[owner]:
            del self._taken[owner]
        allowed = [one for one in self._waiting if self._may_take(one)]
        if not allowed:
            self._free += 1
            return
        following = min(allowed, key=lambda one: self._taken[one])
        turn = self._waiting[following][0]
        self._leave(following, turn)
        self._taken[following] += 1
        turn.given = True
        turn.ready.set()

    def _may_take(self, owner: str) -> bool:
        return self._taken[owner] < self._fewer.get(owner, self._each)

    def _leave(self, owner: str, turn: _Turn) -> None:
        self._waiting[owner].remove(turn)
        if not self._waiting[owner]:
            del self._waiting[owner]
