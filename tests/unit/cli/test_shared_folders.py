"""Commands that write into a folder where others may write too, and what they leave there when they fail."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from forgetless.adapters.erasure_log_file import FileErasureLog
from forgetless.adapters.ledger_sqlite import SqliteLedger, backup
from forgetless.cli.__main__ import FAILED, OK, main
from forgetless.domain.errors import LedgerError
from forgetless.runtime.index_note import read_note, write_note
from forgetless.service.stores.ledger_identity import IndexNote
from forgetless.service.transfer.event_export import EventExport
from forgetless.service.transfer.export_jobs import ExportJobs
from forgetless.service.transfer.person_export import PersonExport
from tests.contract.ledger.making import a_memory, add

#: A process that waits for a pipe is ended by the test's own time.
pytestmark = pytest.mark.timeout(30)

PERSON = ("export", "--user", "alice")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "house" / "ledger.db"
    with closing(SqliteLedger(path)) as ledger:
        ledger.append([one for number in range(3) for one in add(a_memory(f"m{number}"))])
    monkeypatch.setenv("FORGETLESS_LEDGER_PATH", str(path))
    return path


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    folder = tmp_path / "shared"
    folder.mkdir()
    return folder


def others_put(folder: Path, name: str) -> tuple[Path, Path]:
    """A pipe, and a link to a folder, with names that begin like this."""
    pipe, link = folder / f"{name}pipe", folder / f"{name}link"
    os.mkfifo(pipe)
    target = folder.parent / "precious"
    target.mkdir(exist_ok=True)
    (target / "file").write_text("precious")
    link.symlink_to(target)
    return pipe, target / "file"


def test_a_backup_and_a_restore_wait_for_no_pipe_and_follow_no_link(
    place: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "_YOUNG_S", -1.0)
    copy = shared / "copy.db"
    pipe, precious = others_put(shared, ".copy.db.part-")
    assert main(["backup", str(copy)]) == OK
    others_put(place.parent, f".{place.name}.part-")
    users = place.with_name(f"{place.name}-users")
    users.unlink(missing_ok=True)
    os.mkfifo(users)
    assert main(["restore", "--replace", str(copy)]) == OK
    assert pipe.is_fifo()
    assert precious.read_text() == "precious"


def test_a_log_of_erasures_that_is_a_pipe_is_an_error(shared: Path) -> None:
    os.mkfifo(shared / "ledger.db-erasures")
    log = FileErasureLog(shared / "ledger.db-erasures")
    for use in (log.key, log.lines):
        with pytest.raises(LedgerError, match=r"named pipe|not a file"):
            list(use())


def test_a_note_of_the_index_is_not_written_through_a_link(shared: Path) -> None:
    precious = shared / "precious"
    precious.write_text("precious")
    note = shared / "index-collection"
    (shared / f".{note.name}.{os.getpid()}").symlink_to(precious)
    write_note(note, IndexNote("c"))
    assert precious.read_text() == "precious"
    held = read_note(note)
    assert held is not None
    assert held.collection == "c"


def failing(error: BaseException) -> Callable[..., Iterator[bytes]]:
    def portions(*_: Any, **__: Any) -> Iterator[bytes]:
        yield b'{"memory": "alice likes plums"}\n' * 10_000
        raise error

    return portions


@pytest.mark.parametrize("error", [KeyboardInterrupt(), LedgerError("gone"), OSError(28, "No space left on device")])
def test_an_export_about_a_person_that_fails_leaves_nothing_of_them(
    place: Path, shared: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    file = shared / "person.jsonl"
    file.write_text("the last one")
    with monkeypatch.context() as broken:
        broken.setattr(PersonExport, "portions", failing(error))
        if isinstance(error, KeyboardInterrupt):
            with pytest.raises(KeyboardInterrupt):
                main([*PERSON, str(file)])
        else:
            assert main([*PERSON, str(file)]) != OK
    assert [one.name for one in shared.iterdir()] == ["person.jsonl"]
    assert file.read_text() == "the last one"
    assert main([*PERSON, str(file)]) == OK
    assert "the last one" not in file.read_text()


def test_a_log_of_erasures_that_cannot_be_put_in_its_place_leaves_nothing(place: Path, shared: Path) -> None:
    (shared / "log").mkdir()
    assert main(["erasures", str(shared / "log")]) == FAILED
    assert [one.name for one in shared.iterdir()] == ["log"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_an_export_that_can_go_on_says_what_it_leaves(
    place: Path, shared: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException
) -> None:
    portion = ExportJobs.fetch

    def fetch(self: ExportJobs, tenant: str, job_id: str, cursor: str | None, **_: Any) -> Any:
        if cursor is not None:
            raise error
        return portion(self, tenant, job_id, cursor, most_bytes=1000, enough=1)

    file = shared / "all.jsonl"
    with monkeypatch.context() as broken:
        broken.setattr(ExportJobs, "fetch", fetch)
        if isinstance(error, KeyboardInterrupt):
            with pytest.raises(KeyboardInterrupt):
                main(["export", str(file)])
        else:
            assert main(["export", str(file)]) == FAILED
    told = capsys.readouterr().err
    assert f"{file}.part keeps what was exported so far" in told
    assert "all.jsonl.progress" in told
    assert sorted(one.name for one in shared.iterdir()) == ["all.jsonl.part", "all.jsonl.progress"]
    assert main(["export", str(file)]) == OK
    assert [one.name for one in shared.iterdir()] == ["all.jsonl"]
    with closing(SqliteLedger(place)) as ledger:
        assert file.read_bytes() == b"".join(one.lines for one in EventExport(ledger=ledger).portions("default"))
