"""`forgetless export` and `forgetless import` over files."""

from __future__ import annotations

import gzip
import io
import json
import os
import sqlite3
import stat
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.cli import import_file, import_verify
from forgetless.cli.__main__ import FAILED, OK, main
from forgetless.cli.private_files import continued_file
from forgetless.domain.memory import Event, EventKind, Memory
from forgetless.domain.scope import Scope
from forgetless.service.transfer import import_check
from forgetless.service.transfer.export_jobs import ExportJobs
from forgetless.service.transfer.import_jobs import ImportJobs

INCOMPLETE = 1
JOB = "00000000-0000-0000-0000-000000000001"


def memory(number: int, tenant: str = "default") -> Memory:
    at = f"2026-01-01T00:00:{number % 60:02d}.{number:06d}+00:00"
    return Memory(f"m{number:04d}", 1, Scope(tenant, user_id="ana"), f"fact {number}", at, at, JOB, number)


class Place:
    """A ledger that the command line works on."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        self._monkeypatch = monkeypatch

    def run(self, *arguments: str) -> int:
        self._monkeypatch.setenv("FORGETLESS_LEDGER_PATH", str(self.path))
        return main(arguments)

    def remember(self, count: int) -> None:
        ledger = SqliteLedger(self.path)
        ledger.append([Event(EventKind.ADD, memory(number)) for number in range(count)])
        ledger.close()

    def texts(self, tenant: str = "default") -> list[str]:
        ledger = SqliteLedger(self.path)
        found = [one.text for one in ledger.list_memories(tenant, {}, limit=9999).items]
        ledger.close()
        return found


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(tmp_path / "here.db", monkeypatch)


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(tmp_path / "there.db", monkeypatch)


def test_a_backup_goes_out_and_comes_back(here: Place, there: Place, tmp_path: Path) -> None:
    here.remember(450)
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    assert here.run("export", "--out", str(one)) == OK
    assert there.run("import", str(one)) == OK
    assert there.run("import", str(one)) == OK
    assert there.run("export", "--out", str(two)) == OK
    assert one.read_bytes() == two.read_bytes()
    assert len(one.read_bytes().splitlines()) == 451
    assert one.stat().st_mode & 0o077 == 0
    assert there.texts() == here.texts()
    assert sorted(path.name for path in tmp_path.glob("*.jsonl*")) == ["one.jsonl", "two.jsonl"]


def test_it_goes_through_pipes(
    here: Place, there: Place, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    here.remember(3)
    assert here.run("export") == OK
    lines = capfdbinary.readouterr().out
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    assert there.run("import", "-", "--tenant", "acme") == OK
    assert there.texts("acme") == here.texts()
    assert there.texts() == []


def test_an_interrupted_export_goes_on_where_it_was(
    here: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.remember(900)
    whole, file = tmp_path / "whole.jsonl", tmp_path / "file.jsonl"
    here.run("export", "--out", str(whole))
    steps: list[str | None] = []
    fetch = ExportJobs.fetch

    def interrupted(self: ExportJobs, tenant: str, job_id: str, cursor: str | None, **sizes: Any) -> Any:
        steps.append(cursor)
        if len(steps) == 4:
            raise KeyboardInterrupt
        return fetch(self, tenant, job_id, cursor, most_bytes=50_000, enough=50_000)

    monkeypatch.setattr(ExportJobs, "fetch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        here.run("export", "--out", str(file))
    assert not file.exists()
    # What a crash in the middle of a write leaves is cut off.
    with file.with_name("file.jsonl.part").open("ab") as part:
        part.write(b'{"type": "event", "ki')
    assert here.run("export", "--out", str(file)) == OK
    assert file.read_bytes() == whole.read_bytes()
    # The third portion was written, but nobody said so: it is fetched again.
    assert steps[4] == steps[2] is not None
    assert len(steps) > 6


def test_an_export_of_another_tenant_does_not_go_on_there(here: Place, tmp_path: Path) -> None:
    here.remember(3)
    file = tmp_path / "file.jsonl"
    file.with_name("file.jsonl.part").write_text("old")
    note = {"job": "4f1c0a52-7c11-4a51-9a39-2f6f3f3b6a01", "from": "acme"}
    file.with_name("file.jsonl.progress").write_text(json.dumps(note))
    for name in ("file.jsonl.part", "file.jsonl.progress"):
        file.with_name(name).chmod(0o600)
    assert here.run("export", "--out", str(file)) == OK
    assert len(file.read_bytes().splitlines()) == 4


@pytest.mark.parametrize("about", [(), ("--user", "ana")], ids=["tenant", "person"])
@pytest.mark.parametrize("planted", ["readable", "link", "hard link", "pipe"])
def test_what_another_user_put_in_the_place_of_an_export_is_not_written_to(
    here: Place, tmp_path: Path, planted: str, about: tuple[str, ...]
) -> None:
    here.remember(2)
    file, theirs = tmp_path / "file.jsonl", tmp_path / "theirs"
    theirs.write_text("theirs")
    theirs.chmod(0o600)
    for end in (".part", ".progress", ".progress.new"):
        place = file.with_name(file.name + end)
        if planted == "readable":
            place.write_text("theirs")
            place.chmod(0o666)
        elif planted == "link":
            place.symlink_to(theirs)
        elif planted == "hard link":
            place.hardlink_to(theirs)
        else:
            os.mkfifo(place, 0o600)
        assert continued_file(place) is None
    assert here.run("export", "--out", str(file), *about) == OK
    found = file.lstat()
    assert (stat.S_ISREG(found.st_mode), stat.S_IMODE(found.st_mode), found.st_nlink) == (True, 0o600, 1)
    assert b"forgetless" in file.read_bytes()
    assert theirs.read_text() == "theirs"


ITEM = {"id": "7f0c1d5e-1111-4222-8333-944445555666", "memory": "Likes tea", "user_id": "ana"}
POINT = {"id": 1, "payload": {"data": "Lives in Lisbon", "user_id": "ana"}}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([ITEM, POINT]),
        json.dumps({"results": [ITEM, POINT]}),
        json.dumps({"memories": [ITEM, POINT]}, indent=2),
        f"{json.dumps(ITEM)}\n\n{json.dumps(POINT)}\n",
        json.dumps(ITEM) + "\n" + json.dumps(POINT),
    ],
)
def test_mem0_s_forms_are_taken(there: Place, tmp_path: Path, text: str) -> None:
    file = tmp_path / "mem0.json"
    file.write_text(text)
    assert there.run("import", str(file)) == OK
    assert sorted(there.texts()) == ["Likes tea", "Lives in Lisbon"]


def test_what_was_not_taken_is_said(there: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mem0.jsonl"
    file.write_text("\n".join(json.dumps(one) for one in (ITEM, {"id": "x"}, *[{"memory": "x"}] * 30)))
    assert there.run("import", str(file)) == INCOMPLETE
    said = capsys.readouterr().err
    assert "line 2: the text is missing" in said
    assert "and 11 more" in said
    assert "imported: 1 memories with 1 events, 0 jobs; not imported: 31" in said
    assert there.texts() == ["Likes tea"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"a": 1', "line 1"),
        ("7\n{", "line 2"),
        (f"[1,\n{'9' * 5000}]", "line 2"),
        (f'{{"a": {"9" * 5000}}}', "line 1"),
        ('{"format":"forgetless-events","version":9}', "9"),
    ],
)
def test_a_broken_file_is_one_line_of_error(
    there: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, says: str
) -> None:
    file = tmp_path / "broken"
    file.write_text(text)
    assert there.run("import", str(file)) == FAILED
    said = capsys.readouterr().err
    assert (says in said, said.count("\n")) == (True, 1)


def test_a_named_pipe_is_refused_instead_of_waited_for(
    there: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert there.run("import", str(pipe)) == FAILED
    assert "a named pipe has no end of its own: give `-`" in capsys.readouterr().err
    # What a shell makes of <(command) is a pipe, too, and has a writer.
    reading, writing = os.pipe()
    os.write(writing, json.dumps(ITEM).encode())
    os.close(writing)
    assert there.run("import", f"/dev/fd/{reading}") == OK
    os.close(reading)


def test_a_file_that_is_not_there_is_one_line_of_error(there: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert there.run("import", "/nowhere/at/all") == FAILED
    assert "/nowhere/at/all: No such file" in capsys.readouterr().err


def openmemory(count: int) -> bytes:
    lines = (json.dumps({"id": f"{n}", "content": f"fact {n}", "state": "active"}) + "\n" for n in range(count))
    return gzip.compress("".join(lines).encode())


def test_a_compressed_file_goes_on_where_it_was(
    there: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "memories.jsonl.gz"
    file.write_bytes(openmemory(500))
    monkeypatch.setattr(import_file, "_FIRST_BYTES", 20_000)
    taken: list[int] = []
    take = ImportJobs.take

    def interrupted(self: ImportJobs, tenant: str, job_id: str, body: bytes, **place: Any) -> Any:
        taken.append(place["line"])
        if len(taken) == 2:
            raise KeyboardInterrupt
        return take(self, tenant, job_id, body, **place)

    monkeypatch.setattr(ImportJobs, "take", interrupted)
    with pytest.raises(KeyboardInterrupt):
        there.run("import", str(file), "--user", "ana")
    assert there.run("import", str(file), "--user", "ana", "--verify") == OK
    assert taken[1] == taken[2] > 1
    assert len(there.texts()) == 500
    monkeypatch.setattr(import_check, "PORTION_S", 0.0)
    assert there.run("import", str(file), "--user", "ana", "--verify") == OK, "counted in parts, it is as complete"
    said = capsys.readouterr().err
    assert "imported: 500 memories with 500 events" in said
    verified = "verified: all 500 memories of the file are there\n  user ana: 500 in the file, 500 of them there"
    assert said.count(verified) == 2


def test_what_differs_is_named_and_fails(
    here: Place, there: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, exported = tmp_path / "mem0.jsonl", tmp_path / "export.jsonl"
    file.write_text(json.dumps(ITEM) + "\n" + json.dumps({**ITEM, "id": "7", "user_id": "Jane Doe", "run_id": "r"}))
    assert there.run("import", str(file), "--verify") == OK
    ledger = SqliteLedger(there.path)
    held = ledger.read("default", [ITEM["id"]])[ITEM["id"]]
    gone = held.tombstone(held.updated_at, event_id="gone")
    ledger.append([Event(EventKind.DELETE, gone)])
    ledger.close()
    assert there.run("import", str(file), "--verify") == INCOMPLETE
    said = capsys.readouterr().err
    assert "differs: the file has 2 memories; not there: 1\n! user ana: 1 in the file, 0 of them there" in said
    assert "  user Jane Doe: 1 in the file, 1 of them there" in said
    # An export with a deleted memory is as complete as it was.
    assert there.run("export", str(exported)) == OK
    assert here.run("import", str(exported), "--verify") == OK
    assert "verified: all 1 memories of the file are there" in capsys.readouterr().err
    monkeypatch.setattr(import_verify, "MOST_IDS", 1)
    monkeypatch.setattr(import_verify, "_PORTION_BYTES", 1)
    assert there.run("import", str(file), "--verify") == INCOMPLETE
    said = capsys.readouterr().err
    assert "not there: 1" in said
    assert "Jane" not in said
    assert there.run("import", "-", "--verify") == FAILED
    assert there.run("import", str(file), "--user", "a\tb") == FAILED
    assert there.run("import", str(file), "--history", str(tmp_path / "no.db")) == FAILED
    said = capsys.readouterr().err
    assert "--verify: it reads the file twice" in said
    assert "--user" in said
    assert "no.db: there is no such file" in said


def test_a_history_is_imported(there: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, history = tmp_path / "mem0.json", tmp_path / "history.db"
    file.write_text(json.dumps({"results": [ITEM]}))
    with closing(sqlite3.connect(history)) as db:
        db.execute("CREATE TABLE history (memory_id, old_memory, new_memory, event, created_at, updated_at)")
        rows = [(None, "Likes coffee", "ADD"), ("Likes coffee", "Likes tea", "UPDATE")]
        for number, row in enumerate(rows, 1):
            at = f"2025-01-0{number}T00:00:00-07:00"
            db.execute("INSERT INTO history VALUES (?, ?, ?, ?, ?, ?)", (ITEM["id"], *row, at, at))
        db.commit()
    for _ in range(2):
        assert there.run("import", str(file), "--history", str(history)) == OK
        assert "imported: 1 memories with 2 events, 0 jobs; not imported: 0" in capsys.readouterr().err
    ledger = SqliteLedger(there.path)
    found = [(one.kind.value, one.memory.text) for one in ledger.history("default", ITEM["id"])]
    ledger.close()
    assert found == [("ADD", "Likes coffee"), ("UPDATE", "Likes tea")]
    # Without the history it would be another one, so nothing is lost by a later import.
    assert there.run("import", str(file)) == INCOMPLETE
    assert "the ledger already has another history of it" in capsys.readouterr().err
