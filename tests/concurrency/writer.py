"""A process that appends what it reads from standard input, each time in a new thread with its own connection."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from forgetless.adapters.ledger_sqlite import SqliteLedger
from tests.contract.ledger.making import a_memory, add

__all__: list[str] = []


def main() -> None:
    """Each line is the name of a memory; it is said again once the memory is stored. Threads and connections stay."""
    ledger = SqliteLedger(Path(sys.argv[1]))
    stay = threading.Event()

    def append(name: str) -> None:
        try:
            ledger.append(add(a_memory(name)))
        except Exception as error:  # noqa: BLE001 - it must reach the test
            name = repr(error)
        print(name, flush=True)
        stay.wait()

    for line in sys.stdin:
        threading.Thread(target=append, args=(line.strip(),), daemon=True).start()


if __name__ == "__main__":
    main()
