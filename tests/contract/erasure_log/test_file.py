"""The log as a file: torn lines, a full disk, other programs' files, and who may read it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from forgetless.adapters.erasure_log_file import FileErasureLog, read_log
from forgetless.domain.erasure_log import LoggedRestore, dump_header
from forgetless.domain.errors import LedgerError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.db-erasures"


def names(path: Path) -> list[str]:
    return [line.incarnation for line in FileErasureLog(path).lines()]


def test_only_its_owner_can_read_it(path: Path) -> None:
    FileErasureLog(path).write(LoggedRestore("b", "a"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("torn", [b"x", b'{"incarnation":"c"', b"y" * 9000])
def test_a_line_without_its_end_was_never_written(path: Path, torn: bytes) -> None:
    log = FileErasureLog(path)
    log.write(LoggedRestore("b", "a"))
    with path.open("ab") as file:
        file.write(torn)
    assert names(path) == ["b"]
    log.write(LoggedRestore("c", "b"))
    assert names(path) == ["b", "c"]
    assert len(path.read_bytes().splitlines()) == 3


@pytest.mark.parametrize("held", [b"", b'{"format":"forg'])
def test_a_file_that_was_hardly_begun_is_begun_again(path: Path, held: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(held)
    FileErasureLog(path).write(LoggedRestore("b", "a"))
    assert names(path) == ["b"]


def test_a_disk_that_is_full_leaves_the_file_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = FileErasureLog(path)
    log.write(LoggedRestore("b", "a"))
    before = path.read_bytes()
    write = os.write

    def half(descriptor: int, data: bytes) -> int:
        if len(data) < 20:
            raise OSError(28, "No space left on device")
        return write(descriptor, bytes(data)[: len(data) // 2])

    with monkeypatch.context() as full:
        full.setattr(os, "write", half)
        with pytest.raises(LedgerError, match="No space left"):
            log.write(LoggedRestore("c", "b"))
    assert path.read_bytes() == before


@pytest.mark.parametrize("held", [b"other\n", b"[]\n", b'{"format":"forgetless-events","version":1}\n'])
def test_another_file_is_never_written_to(path: Path, held: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(held)
    with pytest.raises(LedgerError, match="the log of erasures"):
        FileErasureLog(path).write(LoggedRestore("b", "a"))
    with pytest.raises(LedgerError, match="line 1"):
        names(path)
    assert path.read_bytes() == held


def test_the_log_of_one_tenant_is_not_the_log(path: Path) -> None:
    path.parent.mkdir()
    path.write_text(dump_header(b"k" * 32, tenant=True) + "\n")
    assert read_log(path) == (b"k" * 32, True, [])
    with pytest.raises(LedgerError, match="one tenant"):
        FileErasureLog(path).write(LoggedRestore("b", "a"))


def test_a_damaged_line_is_named(path: Path) -> None:
    FileErasureLog(path).write(LoggedRestore("b", "a"))
    with path.open("ab") as file:
        file.write(b"{}\n")
    with pytest.raises(LedgerError, match="line 3: not a line"):
        names(path)


def test_a_file_that_is_replaced_under_a_process_is_not_written_to(path: Path) -> None:
    log = FileErasureLog(path)
    log.key()
    path.unlink()
    with pytest.raises(LedgerError, match="restart"):
        log.write(LoggedRestore("b", "a"))
