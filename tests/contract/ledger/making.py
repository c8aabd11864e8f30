"""Builders of the domain's objects with short arguments, and other processes to race with."""

from __future__ import annotations

import multiprocessing
import subprocess
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from forgetless.adapters.ledger_dynamodb import documents as dynamodb_documents
from forgetless.adapters.ledger_sqlite import documents as sqlite_documents
from forgetless.domain.documents import Document
from forgetless.domain.jobs import Job, JobState
from forgetless.domain.keys import ApiKey
from forgetless.domain.memory import Event, EventKind, Memory, Message, MessageRef, memory_id
from forgetless.domain.scope import Scope
from forgetless.ports.ledger import KeyStore, Ledger
from forgetless.ports.request_ledger import Entity
from forgetless.service.access.key_pages import every_key

ANNA = Scope("acme", user_id="anna")


def at(second: int) -> str:
    return f"2026-01-01T00:{second // 60:02d}:{second % 60:02d}.000000+00:00"


def job_id(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, name))


def a_memory(
    name: str, position: int = 0, *, scope: Scope = ANNA, text: str = "", second: int = 0, **more: Any
) -> Memory:
    job = job_id(name)
    text = text or f"text of {name} {position}"
    time = at(second)
    return Memory(memory_id(job, position), 1, scope, text, time, time, job, position, **more)


def a_message(name: str, position: int = 0, *, scope: Scope = ANNA, content: str = "said", second: int = 0) -> Message:
    return Message(MessageRef(job_id(name), position), scope, "user", content, at(second))


def a_job(name: str, *, scope: Scope = ANNA, second: int = 0, **more: Any) -> Job:
    return Job(job_id(name), scope, more.pop("state", JobState.PENDING), at(second), at(second), **more)


def entities_of(ledger: Ledger, tenant: str, *, limit: int = 2) -> list[Entity]:
    """All entities of the tenant, page by page, in one order for both ledgers."""
    found: list[Entity] = []
    cursor: str | None = None
    while True:
        page = ledger.entities(tenant, limit=limit, cursor=cursor)
        assert len(page.items) <= limit
        found += page.items
        cursor = page.cursor
        if cursor is None:
            return sorted(found, key=lambda entity: (entity.kind, entity.id))


def keys_of(ledger: KeyStore, tenant: str) -> list[ApiKey]:
    """All keys of the tenant, also revoked ones, the oldest first."""
    return sorted(every_key(ledger, tenant), key=lambda key: (key.created_at, key.hash))


def an_event_id() -> str:
    """One of its own for each change, as the service gives it."""
    return str(uuid.uuid4())


def add(*memories: Memory) -> list[Event]:
    return [Event(EventKind.ADD, memory) for memory in memories]


def update(memory: Memory, second: int = 1, **changes: Any) -> Event:
    return Event(EventKind.UPDATE, memory.next_version(at(second), **{"event_id": an_event_id(), **changes}))


def delete(memory: Memory, second: int = 2) -> Event:
    return Event(EventKind.DELETE, memory.tombstone(at(second), event_id=an_event_id()))


def files_holding(folder: Path, word: str) -> list[str]:
    """Names of files with the word in them, read by another process: to open them here would drop SQLite's locks."""
    found = subprocess.run(
        ["grep", "--files-with-matches", "--text", "--fixed-strings", word, *folder.iterdir()],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode in (0, 1), found.stderr
    return [Path(line).name for line in found.stdout.splitlines()]


def in_processes(reopen: Callable[[], Ledger], work: Callable[[Ledger, int], Any], count: int) -> list[Any]:
    """What `work(ledger, number)` gave in `count` fresh processes that began together."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(count)
    results = context.Queue()
    processes = [
        context.Process(target=_work, args=(reopen, work, number, barrier, results), daemon=True)
        for number in range(count)
    ]
    for process in processes:
        process.start()
    found = [results.get(timeout=100) for _ in processes]
    for process in processes:
        process.join(60)
    errors = [result for _, result in found if isinstance(result, str) and result.startswith("unexpected")]
    assert not errors
    return [result for _, result in sorted(found, key=lambda item: item[0])]


def _work(reopen: Any, work: Any, number: int, barrier: Any, results: Any) -> None:
    try:
        ledger = reopen()
        barrier.wait(60)
        results.put((number, work(ledger, number)))
        ledger.close()
    except Exception as error:  # noqa: BLE001 - it must reach the test
        results.put((number, f"unexpected {error!r}"))


def ids(memories: Sequence[Memory]) -> list[str]:
    return [memory.id for memory in memories]


def put_as_earlier_versions(ledger: Ledger, document: Document) -> None:
    """Store a document of a memory whatever the memory is: earlier versions left feedback of deleted memories."""
    with pytest.MonkeyPatch.context() as patched:
        for module in (dynamodb_documents, sqlite_documents):
            patched.setattr(module, "OF_MEMORIES", frozenset())
        assert ledger.put_document(document)
