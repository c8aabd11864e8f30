"""The file of queues: only its owner can read it, and a damaged one is set aside so that the emulator starts."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from local.emulator.sqs.messages import Outgoing
from local.emulator.sqs.queue_file import SCHEMA_VERSION, StateError
from local.emulator.sqs.store import Store
from tests.emulator.fidelity import own

QUEUE = "jobs.fifo"


def filled(folder: Path) -> Path:
    path = folder / "emulator" / "queues.sqlite3"
    with closing(Store(path)) as store:
        store.put_queue(QUEUE, {"FifoQueue": "true"})
        store.send(QUEUE, [Outgoing(body="x" * 900, group=str(n), deduplication=str(n)) for n in range(200)])
    return path


def depth(store: Store) -> int:
    return store.depths(QUEUE)["visible"]


def truncated(path: Path) -> None:
    os.truncate(path, 20_000)


def garbage(path: Path) -> None:
    path.write_bytes(os.urandom(30_000))


def pages_overwritten(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(os.urandom(40_000))


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def of_another_program(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE bookmarks (url)")


@own("queues on disk")
@pytest.mark.parametrize("damage", [truncated, garbage, pages_overwritten, a_folder, of_another_program])
def test_a_damaged_file_is_set_aside_and_the_queue_begins_again(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    path = filled(tmp_path)
    damage(path)
    with closing(Store(path)) as store:
        assert "was damaged" in store.note
        store.put_queue(QUEUE, {"FifoQueue": "true"})
        assert depth(store) == 0
    (aside,) = path.parent.glob("queues.sqlite3.damaged-*")
    assert (aside / path.name).exists()
    assert str(aside) in store.note


@own("queues on disk")
def test_a_sound_file_keeps_its_messages_and_says_nothing(tmp_path: Path) -> None:
    with closing(Store(filled(tmp_path))) as store:
        assert (depth(store), store.note) == (200, "")


@own("queues on disk")
def test_a_file_that_another_program_holds_is_never_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.damaged_files.LOCK_SECONDS", 0.05)
    path = filled(tmp_path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StateError, match="another program holds"):
            Store(path)
        other.execute("COMMIT")
    with closing(Store(path)) as store:
        assert depth(store) == 200


@own("queues on disk")
def test_a_file_of_another_version_is_refused_and_stays(tmp_path: Path) -> None:
    path = filled(tmp_path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(StateError, match="move it away"):
        Store(path)
    assert not list(path.parent.glob("*.damaged-*"))


@own("queues on disk")
def test_a_folder_that_cannot_be_made_names_the_option(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="--state DIR"):
        Store(tmp_path / "file" / "queues.sqlite3")


@own("queues on disk")
def test_files_of_an_earlier_version_are_closed_to_others(tmp_path: Path) -> None:
    path = filled(tmp_path)
    path.chmod(0o644)
    path.parent.chmod(0o755)
    with closing(Store(path)) as store:
        store.put_queue(QUEUE, {"FifoQueue": "true"})
        assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.glob("queues.sqlite3*")} == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
