"""Every log of erasures: one key for all who use it, lines that stay, and nothing of an id in clear."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context

from forgetless.domain.erasure_log import LoggedErasure, LoggedRestore, logged
from forgetless.domain.erasures import Erasure, Target
from forgetless.ports.erasure_log import ErasureLog

AT = "2026-11-01T10:00:00.000000+00:00"


def erasure(number: int, tenant: str = "acme") -> Erasure:
    ids = {"user_id": "\ud800 secret-name", "run_id": "r"}
    return Erasure(tenant, number, (Target(ids, ("agent_id",)), Target()), AT, f"id-{tenant}-{number}")


def note(opener: Callable[[], ErasureLog], number: int) -> bytes:
    with closing(opener()) as log:
        key = log.key()
        log.write(logged(key, "one", erasure(number)))
        return key


def test_the_first_use_makes_a_key_that_all_others_find(reopen: Callable[[], ErasureLog]) -> None:
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        keys = set(pool.map(note, [reopen] * 8, range(8)))
    assert len(keys) == 1
    with closing(reopen()) as log:
        assert {log.key()} == keys
        numbers = sorted(line.number for line in log.lines() if isinstance(line, LoggedErasure))
        assert numbers == list(range(8))


def test_lines_come_back_as_they_were_written(reopen: Callable[[], ErasureLog]) -> None:
    with closing(reopen()) as log:
        assert list(log.lines()) == []
        written = [
            logged(log.key(), "", erasure(1)),
            logged(log.key(), "one", erasure(1, "beta")),
            LoggedRestore("two", "one"),
            LoggedRestore("three", ""),
        ]
        for line in written:
            log.write(line)
    with closing(reopen()) as log:
        assert sorted(map(str, log.lines())) == sorted(map(str, written))


def test_a_line_that_is_written_again_counts_once(log: ErasureLog) -> None:
    line = logged(log.key(), "one", erasure(1))
    log.write(line)
    log.write(line)
    assert {found.id for found in log.lines() if isinstance(found, LoggedErasure)} == {line.id}


def test_erasures_with_one_number_are_all_kept(log: ErasureLog) -> None:
    """A ledger whose file was copied by hand repeats its numbers."""
    one = logged(log.key(), "one", erasure(1))
    other = LoggedErasure("one", one.tenant, 1, "another", one.targets)
    log.write(one)
    log.write(other)
    assert {line.id for line in log.lines() if isinstance(line, LoggedErasure)} == {one.id, "another"}


def test_no_id_is_there_in_clear(log: ErasureLog) -> None:
    log.write(logged(log.key(), "one", erasure(1)))
    old = Erasure("acme", 2, (Target({"user_id": "secret-name"}),), AT)
    log.write(logged(log.key(), "one", old))
    said = str(list(log.lines()))
    assert "secret-name" not in said
    assert "acme" not in said.replace("id-acme-1", "")
