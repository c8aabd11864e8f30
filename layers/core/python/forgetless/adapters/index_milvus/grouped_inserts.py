"""Inserts of several threads in one call, because a row alone costs Milvus several times what it costs among others."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from forgetless.domain.errors import IndexUnavailableError

__all__ = ["ALONE_ROWS", "MOST_ROWS", "GroupedInserts"]

#: A call for several threads has at most so many rows. Who has more than the second number gains little from others,
#: and would hold them up: they go alone, and wait for nobody.
MOST_ROWS, ALONE_ROWS = 64, 16

_Rows = Sequence[Mapping[str, Any]]


@dataclass(eq=False, slots=True)
class _Waiting:
    """The rows of one thread. It is woken when they are done, or when it is to make the next call."""

    rows: _Rows
    woken: threading.Event = field(default_factory=threading.Event)
    done: bool = False
    error: Exception | None = None
    #: A call with others has failed, perhaps because of the rows of one of them.
    alone: bool = False


class GroupedInserts:
    """Passes rows on to `insert`: at once while no call runs, otherwise in the next one, with those of all who wait.

    An insert returns when its rows are inserted, and raises only what concerns them: if a call with the rows of several
    threads fails, each is repeated alone. A call that has failed after `slow_s` fails for all who wait, because each of
    them would wait as long again.
    """

    def __init__(
        self, insert: Callable[[list[Any]], None], *, slow_s: float, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._insert = insert
        self._slow_s = slow_s
        self._now = now
        self._lock = threading.Lock()
        #: In the order in which they came. While a call runs or is about to, `_calling` is true.
        self._waiting: deque[_Waiting] = deque()
        self._calling = False

    def insert(self, rows: _Rows) -> None:
        """Insert rows; raises what the call raises."""
        if len(rows) > ALONE_ROWS:
            self._insert(list(rows))
            return
        mine = _Waiting(rows)
        with self._lock:
            self._waiting.append(mine)
            first, self._calling = not self._calling, True
        if not first:
            mine.woken.wait()
        if not mine.done:
            try:
                while not mine.done:
                    self._call(self._next_group())
            finally:
                self._hand_over()
        if mine.error is not None:
            raise mine.error

    def _next_group(self) -> list[_Waiting]:
        """The first who waits, which is the calling thread, and those who can go with it."""
        with self._lock:
            group = [self._waiting.popleft()]
            rows = len(group[0].rows)
            while not group[0].alone and self._waiting and not self._waiting[0].alone:
                rows += len(self._waiting[0].rows)
                if rows > MOST_ROWS:
                    break
                group.append(self._waiting.popleft())
            return group

    def _call(self, group: list[_Waiting]) -> None:
        began = self._now()
        try:
            self._insert([row for one in group for row in one.rows])
        except Exception as error:  # noqa: BLE001 - each thread raises it, or its own after another try
            if self._now() - began >= self._slow_s:
                _settle([*group, *self._all_waiting()], error)
            elif len(group) == 1:
                _settle(group, error)
            else:
                self._put_back(group)
        except BaseException:
            _settle(group, IndexUnavailableError("an insert was broken off"))
            raise
        else:
            _settle(group)

    def _put_back(self, group: list[_Waiting]) -> None:
        for one in group:
            one.alone = True
        with self._lock:
            self._waiting.extendleft(reversed(group))

    def _all_waiting(self) -> list[_Waiting]:
        with self._lock:
            waiting = list(self._waiting)
            self._waiting.clear()
            return waiting

    def _hand_over(self) -> None:
        """Let the next one call who waits. So no thread works for others for longer than one call."""
        with self._lock:
            self._calling = bool(self._waiting)
            if self._waiting:
                self._waiting[0].woken.set()


def _settle(group: Iterable[_Waiting], error: Exception | None = None) -> None:
    for one in group:
        one.error = error
        one.done = True
        one.woken.set()
