"""ErasureLogbook: notes each erasure in the log that stands outside the ledger, before its answer leaves.

The ledger has an erasure first, and the log second. A process may die in between: then nobody was told of the erasure,
but it is in effect. So whoever finishes an erasure notes it before its ids are removed from the ledger, and sweep
notes those that no request has come to note. Until then, the ledger has all that a line of the log needs.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable

from forgetless.domain.erasure_log import logged
from forgetless.domain.erasures import Erasure
from forgetless.ports.erasure_log import ErasureLog
from forgetless.ports.ledger import Ledger

__all__ = ["ErasureLogbook", "note_unfinished"]

#: So many erasures are remembered as noted, so that the process that began one does not note it again at its end.
_REMEMBERED = 1000


class ErasureLogbook:
    """Notes the erasures of one ledger; `log` is None where there is no log. Several threads use it at once."""

    def __init__(self, *, ledger: Ledger, log: ErasureLog | None) -> None:
        self._ledger = ledger
        self._log = log
        self._noted: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()
        #: The ledger's incarnation, which does not change while processes use it.
        self._incarnation: str | None = None

    def note(self, erasure: Erasure) -> None:
        """Write the erasure to the log, unless this process has done so; it is durable when this returns.

        Raises LedgerError; the erasure is in effect nevertheless, and sweep notes it later.
        """
        if self._log is None or self._is_noted(erasure):
            return
        if self._incarnation is None:
            self._incarnation = self._ledger.incarnation()
        self._log.write(logged(self._log.key(), self._incarnation, erasure))
        with self._lock:
            self._noted[erasure.identity] = None
            if len(self._noted) > _REMEMBERED:
                self._noted.popitem(last=False)

    def _is_noted(self, erasure: Erasure) -> bool:
        with self._lock:
            return erasure.identity in self._noted


def note_unfinished(log: ErasureLog, incarnation: str, erasures: Iterable[Erasure]) -> None:
    """Note the erasures that a ledger has not finished, before another ledger takes its place."""
    for erasure in erasures:
        log.write(logged(log.key(), incarnation, erasure))
