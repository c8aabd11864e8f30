"""Nothing opens a database beside SQLite: closing any descriptor drops its POSIX locks (howtocorrupt, 2.2)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]

#: Python tells of every `open` and `os.open`; SQLite's own do not pass through Python.
WATCHED = """
import json, sys
opened = []
def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        name = arguments[0] if isinstance(arguments[0], str) else arguments[0].decode()
        if name.endswith((".db", ".db-wal", ".db-shm", ".db-journal", ".sqlite3", ".sqlite3-wal", ".sqlite3-shm")):
            opened.append(name)
sys.addaudithook(watch)
import threading
from pathlib import Path
from tests.contract.ledger.making import a_memory, add, delete
folder = Path(sys.argv[1])
"""

LEDGER = """
from forgetless.adapters.ledger_sqlite import SqliteLedger
ledger = SqliteLedger(folder / "ledger.db")
def use(n):
    memory = a_memory(str(n))
    ledger.append(add(memory))
    ledger.append([delete(memory)])
threads = [threading.Thread(target=use, args=(n,)) for n in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
ledger.faults(seconds=9, thorough=True)
ledger.back_up(folder / "copy.db")
ledger.close()
from forgetless.cli.__main__ import main
assert main(["restore", "--replace", str(folder / "copy.db")]) == 0
assert main(["backup", str(folder / "again.db")]) == 0
"""

QUEUE = """
from local.emulator.sqs.store import Store
for _ in range(2):
    store = Store(folder / "queues.sqlite3")
    store.put_queue("q", {})
    store.close()
"""


def opened_by(code: str, folder: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{WATCHED}{code}\nprint(json.dumps(opened))", str(folder)],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "FORGETLESS_LEDGER_PATH": str(folder / "ledger.db")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_the_ledger_and_its_copies_are_opened_by_sqlite_alone(tmp_path: Path) -> None:
    assert opened_by(LEDGER, tmp_path) == []


def test_the_queue_file_is_opened_by_sqlite_alone(tmp_path: Path) -> None:
    assert opened_by(QUEUE, tmp_path) == []


def test_the_watch_sees_a_file_that_is_opened(tmp_path: Path) -> None:
    assert opened_by("(folder / 'ledger.db').touch(); (folder / 'ledger.db').read_bytes()", tmp_path) != []
