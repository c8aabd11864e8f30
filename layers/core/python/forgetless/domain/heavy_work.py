"""Work that keeps a processor busy for long: one thread of a process does it at a time.

Threads share the interpreter. If thirty of them work at once, whoever has little to do waits for all of them, at each
step. Where a process serves one request at a time, nobody waits.
"""

from __future__ import annotations

import threading

__all__ = ["HEAVY_WORK"]

#: Held for some milliseconds at a time, and never while anything else is waited for.
HEAVY_WORK = threading.Lock()
