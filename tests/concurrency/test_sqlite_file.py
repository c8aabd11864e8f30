"""The ledger's file while other processes open and close it: acknowledged writes survive their process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from tests.contract.ledger.making import a_memory

ROOT = Path(__file__).parents[2]

#: What people and programs do beside a service that runs; each opens the file and closes it again.
OTHERS = {
    "a command": [sys.executable, "-m", "forgetless.cli", "keys", "list"],
    "SQLite's backup": [
        sys.executable,
        "-c",
        "import os, sqlite3; one = sqlite3.connect(os.environ['FORGETLESS_LEDGER_PATH']);"
        "one.backup(other := sqlite3.connect(':memory:')); other.close(); one.close()",
    ],
    "a look": [
        sys.executable,
        "-c",
        "import os, sqlite3; one = sqlite3.connect(os.environ['FORGETLESS_LEDGER_PATH']);"
        "print(one.execute('SELECT count(*) FROM memories').fetchone()); one.close()",
    ],
}


class Writer:
    """A process with the ledger open."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def store(self, name: str) -> None:
        """Returns once it is acknowledged."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{name}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().strip()
        assert answer == name

    def open_files(self) -> list[str]:
        """Where its descriptors lead; what was unlinked under it is marked as deleted."""
        folder = Path(f"/proc/{self._process.pid}/fd")
        return [str(link.readlink()) for link in folder.iterdir()]

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(30)


@contextmanager
def writing(path: Path) -> Iterator[Writer]:
    command = [sys.executable, "-m", "tests.concurrency.writer", str(path)]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'layers/core/python'}"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    ) as process:
        try:
            yield Writer(process)
        finally:
            process.kill()


@pytest.mark.parametrize("other", OTHERS)
def test_what_was_acknowledged_is_there_after_kill_9_whoever_opened_the_file_meanwhile(
    tmp_path: Path, other: str
) -> None:
    path = tmp_path / "ledger.db"
    names = [f"memory {number}" for number in range(9)]
    with writing(path) as writer:
        for name in names[:3]:
            writer.store(name)
        for name in names[3:]:
            environment = {**os.environ, "FORGETLESS_LEDGER_PATH": str(path), "FORGETLESS_LEDGER": "sqlite"}
            if name in names[3:5]:
                subprocess.run(OTHERS[other], env=environment, check=True, capture_output=True, timeout=60)
            writer.store(name)
        if Path("/proc/self/fd").exists():
            held = [name for name in writer.open_files() if str(path) in name]
            assert any(name.endswith("-wal") for name in held)
            assert not any("(deleted)" in name for name in held)
        writer.kill()
    ledger = SqliteLedger(path)
    wanted = {a_memory(name).id for name in names}
    assert ledger.read("acme", sorted(wanted)).keys() == wanted
    ledger.close()
