"""Work that keeps a processor busy for long: one thread of a process does it at a time.

Threads share the interpreter. If thirty of them work at once, whoever has little to do waits for all of them, at each
step. Where a process serves one request at a time, nobody waits.
"""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, nullcontext

__all__ = ["HEAVY_BYTES", "HEAVY_WORK", "heavy_work"]

#: Held for some milliseconds at a time, and never while anything else is waited for.
HEAVY_WORK = threading.Lock()
#: To read or write so many bytes of JSON takes milliseconds, in which no other thread can run.
HEAVY_BYTES = 500_000


def heavy_work(size: int) -> AbstractContextManager[object]:
    """HEAVY_WORK for work on so many bytes; for less than HEAVY_BYTES, nothing that anybody waits for."""
    return nullcontext() if size < HEAVY_BYTES else HEAVY_WORK
