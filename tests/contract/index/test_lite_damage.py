"""Milvus Lite's file, damaged in every way we know: it is set aside, and the server starts and answers."""

from __future__ import annotations

import os
import random
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from forgetless.adapters.index_milvus import MilvusIndex
from forgetless.domain.filters.ast import EVERYTHING
from local.milvus import LiteServer, LiteServerError
from tests.contract.index.builders import DIMENSIONS, NORTH, asked, ids, memory, row

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
ROWS = 400


@pytest.fixture(scope="module")
def sound() -> Iterator[bytes]:
    """The file of a server that was stopped cleanly."""
    with tempfile.TemporaryDirectory(prefix="fl-") as name:
        folder = Path(name)
        with closing(served(folder)) as index:
            index.insert([row(memory(f"m{n}"), words=f"tea w{n} " + "more words " * 20) for n in range(ROWS)])
        yield (folder / "data" / "milvus.db").read_bytes()


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="fl-") as name:
        yield Path(name)


class Served(MilvusIndex):
    """An index whose server ends with it."""

    def __init__(self, server: LiteServer) -> None:
        super().__init__(server.uri, collection="c", dimensions=DIMENSIONS, timeout_s=10)
        self.server = server

    def close(self) -> None:
        super().close()
        self.server.stop()


def served(folder: Path) -> Served:
    server = LiteServer(folder / "data", folder / "m.sock")
    server.start()
    try:
        server.ready()
    except LiteServerError:
        server.stop()
        raise
    return Served(server)


def put(folder: Path, content: bytes) -> Path:
    database = folder / "data" / "milvus.db"
    database.parent.mkdir()
    database.write_bytes(content)
    return database


def found(index: MilvusIndex) -> int:
    return len(ids(index.search_vector("acme", NORTH, EVERYTHING, 10 * ROWS)))


def truncated(at: int) -> Callable[[Path], None]:
    return lambda database: os.truncate(database, at)


def last_page_gone(database: Path) -> None:
    os.truncate(database, database.stat().st_size - 4096)


def overwritten(start: int, size: int) -> Callable[[Path], None]:
    def damage(database: Path) -> None:
        with database.open("r+b") as file:
            file.seek(start)
            file.write(random.Random(start).randbytes(size))

    return damage


def pages_in_the_middle(database: Path) -> None:
    # With these Milvus Lite starts, finds a part of its rows, and loses what is written.
    overwritten(database.stat().st_size // 8 * 4, 20_000)(database)


def garbage(database: Path) -> None:
    database.write_bytes(random.Random(1).randbytes(50_000))


def text(database: Path) -> None:
    database.write_text("not what it was " * 4000)


def a_folder(database: Path) -> None:
    database.unlink()
    database.mkdir()


def a_link_to_nowhere(database: Path) -> None:
    database.unlink()
    database.symlink_to("/nowhere/milvus.db")


def a_folder_as_journal(database: Path) -> None:
    database.with_name("milvus.db-journal").mkdir()


def a_folder_as_log(database: Path) -> None:
    database.with_name("milvus.db-wal").mkdir()


def of_another_program(database: Path) -> None:
    database.unlink()
    with closing(sqlite3.connect(database)) as other:
        other.execute("CREATE TABLE bookmarks (url)")


def of_another_form(database: Path) -> None:
    with closing(sqlite3.connect(database)) as other:
        other.executescript("DROP TABLE collection_meta; CREATE TABLE collection_meta (a)")


DAMAGES = [
    truncated(40_000),
    truncated(100),
    last_page_gone,
    overwritten(0, 4096),
    overwritten(4096, 40_000),
    pages_in_the_middle,
    garbage,
    text,
    a_folder,
    a_link_to_nowhere,
    a_folder_as_journal,
    a_folder_as_log,
    of_another_program,
    of_another_form,
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__qualname__.replace(".<locals>.", " "))
def test_a_damaged_file_is_set_aside_and_a_new_one_takes_rows(
    folder: Path, sound: bytes, damage: Callable[[Path], None]
) -> None:
    database = put(folder, sound)
    damage(database)
    with closing(served(folder)) as index:
        (aside,) = database.parent.glob("milvus.db.damaged-*")
        assert index.server.note.startswith("the index file milvus.db was damaged (")
        assert str(aside) in index.server.note
        assert "\n" not in index.server.note
        assert found(index) == 0
        index.insert([row(memory("new"), words="tea")])
        assert ids(index.search_words("acme", asked("tea"), EVERYTHING, 9)) == [memory("new").id]
    assert os.path.lexists(aside / "milvus.db")


@pytest.mark.parametrize("beside", ["milvus.db-journal", "milvus.db-wal", "milvus.log", ".trial-old"])
def test_a_sound_file_stays_whatever_lies_beside_it(folder: Path, sound: bytes, beside: str) -> None:
    put(folder, sound).with_name(beside).write_bytes(random.Random(2).randbytes(50_000))
    with closing(served(folder)) as index:
        assert (index.server.note, found(index)) == ("", ROWS)


def test_an_empty_file_is_filled(folder: Path) -> None:
    put(folder, b"")
    with closing(served(folder)) as index:
        assert (index.server.note, found(index)) == ("", 0)


def test_the_newest_damaged_file_alone_is_kept(folder: Path, sound: bytes) -> None:
    database = put(folder, sound)
    for content in (b"first", b"second", b"third"):
        database.write_bytes(content * 1000)
        served(folder).close()
    (aside,) = database.parent.glob("milvus.db.damaged-*")
    assert (aside / "milvus.db").read_bytes().startswith(b"third")


def test_a_file_that_another_program_holds_is_never_set_aside(
    folder: Path, sound: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("local.damaged_files.LOCK_SECONDS", 0.05)
    database = put(folder, sound)
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LiteServerError, match=r"another program holds .*milvus\.db; stop it first"):
            served(folder)
        other.execute("ROLLBACK")
    with closing(served(folder)) as index:
        assert found(index) == ROWS


def test_a_look_that_would_take_too_long_sets_nothing_aside(
    folder: Path, sound: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("local.damaged_files.LOOK_SECONDS", 0.0)
    put(folder, sound)
    with closing(served(folder)) as index:
        assert (index.server.note, found(index)) == ("", ROWS)


@pytest.fixture
def picky_binary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Has the binary end at once for a reason of the given shell test, and otherwise run as ever."""
    from local.milvus import binary  # noqa: PLC0415 - the module, not what it exports

    real = binary.binary_path()

    def end_when(condition: str) -> None:
        played = tmp_path / "milvus"
        run = f'LD_LIBRARY_PATH="{real.parent}" exec "{real}" "$@"'
        played.write_text(f"#!/bin/sh\nif {condition}; then exit 255; fi\n{run}\n")
        played.chmod(0o755)
        monkeypatch.setattr(binary, "binary_path", lambda: played)

    return end_when


def test_a_file_on_which_alone_the_binary_ends_is_set_aside(
    folder: Path, sound: bytes, picky_binary: Callable[[str], None]
) -> None:
    picky_binary("[ -s $1 ]")  # whatever our own look has missed
    put(folder, sound)
    with closing(served(folder)) as index:
        assert "Milvus Lite ends with code 255 on it" in index.server.note
        assert found(index) == 0


def test_a_binary_that_never_starts_leaves_a_sound_file_alone(
    folder: Path, sound: bytes, picky_binary: Callable[[str], None]
) -> None:
    picky_binary("true")
    database = put(folder, sound)
    with pytest.raises(LiteServerError, match="ended at once"):
        served(folder)
    assert database.read_bytes() == sound
    assert not list(database.parent.glob("milvus.db.damaged-*"))


def test_a_place_that_cannot_be_listened_on_leaves_a_sound_file_alone(folder: Path, sound: bytes) -> None:
    database = put(folder, sound)
    server = LiteServer(folder / "data", folder / "m.sock", address="192.0.2.1:19530")
    server.start()
    with pytest.raises(LiteServerError):
        server.ready(5)
    server.stop()
    assert database.read_bytes() == sound


@pytest.mark.parametrize("name", ["milvus.lock", "owner.lock", "milvus.log"])
def test_a_folder_in_the_way_is_one_line_that_names_it(folder: Path, sound: bytes, name: str) -> None:
    put(folder, sound).with_name(name).mkdir()
    with pytest.raises(LiteServerError, match=f"cannot use .*{name}: Is a directory; move it away"):
        served(folder)


def test_data_that_is_a_file_is_one_line_that_names_it(folder: Path) -> None:
    (folder / "data").write_text("in the way")
    with pytest.raises(LiteServerError, match="data: File exists; move it away"):
        served(folder)


def test_the_supervisor_notes_it_before_it_says_ready_and_closes_the_files(folder: Path) -> None:
    database = put(folder, b"rubbish" * 1000)
    command = [sys.executable, "-m", "local.milvus", "--data", str(folder / "data"), "--socket", str(folder / "m.sock")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        said = [supervisor.stdout.readline() for _ in range(2)]
        supervisor.terminate()
        assert supervisor.wait(60) == 0
    assert said[0].startswith("note: the index file milvus.db was damaged (file is not a database)")
    assert '"ready": true' in said[1]
    assert stat.S_IMODE(database.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in database.parent.glob("milvus.*") if file.is_file()} == {0o600}
