"""A ledger that can be read but not written says so when it is pinged, after the first failed write."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.domain.errors import LedgerError
from forgetless.ports.ledger import Ledger
from tests.contract.ledger.making import a_memory, add, at
from tests.dynamo_server import DynamoServer, error
from tests.full_disk import full_disk

Broken = Callable[[], AbstractContextManager[None]]
_WRITES = {"PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems", "BatchWriteItem"}


@pytest.fixture
def no_writes(request: pytest.FixtureRequest, ledger: Ledger) -> Broken:
    """Makes a context in which every write of this process fails and every read works."""
    if isinstance(ledger, SqliteLedger):
        return lambda: full_disk(4096)
    server: DynamoServer = request.getfixturevalue("dynamo_server")

    @contextmanager
    def refused() -> Iterator[None]:
        server.rules.append(lambda operation, _: error("AccessDeniedException") if operation in _WRITES else None)
        yield
        server.rules.pop()

    return refused


def test_a_ping_tries_a_write_from_a_failed_one_on_until_one_succeeds(ledger: Ledger, no_writes: Broken) -> None:
    ledger.append(add(a_memory("a")))
    with no_writes():
        ledger.ping()
        with pytest.raises(LedgerError):
            ledger.append(add(a_memory("b")))
        for _ in range(2):
            with pytest.raises(LedgerError, match="ledger"):
                ledger.ping()
        assert ledger.read("acme", [a_memory("a").id])
    ledger.ping()
    with no_writes():
        ledger.ping()


def test_nothing_is_left_of_the_trial(ledger: Ledger, no_writes: Broken) -> None:
    with no_writes(), pytest.raises(LedgerError):
        ledger.append(add(a_memory("b")))
    ledger.ping()
    assert ledger.list_memories("acme", {}, limit=9).items == ()
    ledger.append(add(a_memory("b")))


def _ping(path: Path, size: int | None, answers: multiprocessing.SimpleQueue[str]) -> None:
    ledger = SqliteLedger(path)
    try:
        with full_disk(size) if size is not None else _room():
            ledger.ping()
    except LedgerError as error_:
        answers.put(error_.message)
    else:
        answers.put("ok")
    finally:
        ledger.close()


@contextmanager
def _room() -> Iterator[None]:
    yield


def test_other_processes_over_the_same_file_know_it_too(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = SqliteLedger(path)
    spawn = multiprocessing.get_context("spawn")
    answers: multiprocessing.SimpleQueue[str] = spawn.SimpleQueue()

    def elsewhere(size: int | None) -> str:
        process = spawn.Process(target=_ping, args=(path, size, answers))
        process.start()
        answer = answers.get()
        process.join()
        return answer

    ledger.append(add(a_memory("a")))
    assert elsewhere(4096) == "ok", "no write has failed yet"
    with full_disk(4096), pytest.raises(LedgerError):
        ledger.append(add(a_memory("b")))
    assert elsewhere(4096).startswith("the ledger ledger.db failed")
    assert elsewhere(None) == "ok"
    assert elsewhere(4096) == "ok", "the doubt is over for everybody: its write succeeded"
    ledger.ping()
    ledger.close()


def test_a_trial_is_as_large_as_a_large_add(tmp_path: Path) -> None:
    """After a failed write a few bytes still find room in the log, which an add would not."""
    ledger = SqliteLedger(tmp_path / "ledger.db")
    ledger.acquire_lease("scope", owner="me", now=at(0), until=at(5))
    with full_disk(120_000):
        with pytest.raises(LedgerError):
            ledger.append(add(a_memory("a", text="x" * 200_000)))
        ledger.acquire_lease("scope", owner="me", now=at(1), until=at(6))
        with pytest.raises(LedgerError):
            ledger.ping()
    ledger.ping()
    ledger.close()
