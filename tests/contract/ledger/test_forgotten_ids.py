"""What was deleted keeps no ids in clear: tombstones, jobs, counters, lists of scopes, names of requests and leases."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from forgetless.adapters.ledger_dynamodb import totals
from forgetless.domain.erasures import Target
from forgetless.domain.errors import LedgerError
from forgetless.domain.jobs import JobState
from forgetless.domain.memory import Event, EventKind
from forgetless.domain.scope import Scope
from forgetless.ports.ledger import Ledger
from forgetless.ports.request_ledger import IdempotencyRecord, PageEnd
from tests.contract.ledger.making import a_job, a_memory, a_message, add, at, delete, update
from tests.dynamo_server import DynamoServer
from tests.erasure.scanning import Needles, bytes_of_item, found_in, found_in_files

STEM = "zqmarked"
WHOSE = Scope("acme", user_id=f"{STEM}user", agent_id=f"{STEM}agent é", app_id=f"{STEM}app", run_id=f"{STEM}run")
NEEDLES = Needles(STEM, WHOSE.ids().values(), [WHOSE.key(), WHOSE.writer_key(), replace(WHOSE, run_id="").key()])


@pytest.fixture
def left(request: pytest.FixtureRequest, tmp_path: Path, ledger: Ledger) -> Callable[[], list[str]]:
    """Where the marks are still found in what the ledger stores."""

    def in_files() -> list[str]:
        assert ledger.scrub_erased()
        subprocess.run(["cp", "-r", *tmp_path.glob("ledger.db*"), f"{tmp_path}/copy-of/"], check=True)
        return [f"{name}: {marks}" for name, marks in found_in_files(tmp_path / "copy-of", NEEDLES).items()]

    def in_items() -> list[str]:
        server: DynamoServer = request.getfixturevalue("dynamo_server")
        table = ledger._client.table  # type: ignore[attr-defined]
        pages = server.admin.get_paginator("scan").paginate(TableName=table)
        items = [item for page in pages for item in page["Items"]]
        return [f"{item['pk']['S']}: {marks}" for item in items if (marks := found_in(bytes_of_item(item), NEEDLES))]

    (tmp_path / "copy-of").mkdir()
    return in_files if request.node.callspec.params["reopen"] == "sqlite" else in_items


def test_only_what_we_know_stays_of_the_words_of_a_deleted_memory(
    ledger: Ledger, left: Callable[[], list[str]]
) -> None:
    """A role is any text of a client, and an import may name any key."""
    odd = {"role": f"{STEM} role", "attributed_to": f"{STEM} speaker", "source_key": f"{STEM} key"}
    known = {"role": "human", "attributed_to": "user", "source_key": "6499b77a-2cfe-5ccf-9d2f-a957f05d32ab"}
    memories = [replace(a_memory("a", 0), **odd), replace(a_memory("b", 1), **known)]
    ledger.append(add(*memories))
    assert left() != []
    ledger.append([delete(memory) for memory in memories])
    assert left() == []
    kept = [event.memory for event in ledger.history("acme", memories[1].id)]
    assert {(one.role, one.attributed_to, one.source_key) for one in kept} == {("user", "user", known["source_key"])}


def test_counters_that_a_fault_has_left_go_with_the_end_of_the_erasure(
    ledger: Ledger, left: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = a_memory("a", 0, scope=WHOSE)
    ledger.append(add(memory))

    def fails(*_arguments: object, **_named: object) -> None:
        raise LedgerError("the table did not answer in time")

    with monkeypatch.context() as patch:
        patch.setattr(totals, "clear", fails)
        with contextlib.suppress(LedgerError):  # SQLite has no such counters
            ledger.append([delete(memory)])
    begun = ledger.begin_erasure("acme", [Target({"user_id": WHOSE.user_id}), Target(WHOSE.ids())], at=at(5))
    ledger.end_erasure("acme", begun.number, expires_at=at(9))
    assert left() == []


def test_counters_of_other_ids_go_once_a_late_pass_looks_at_all(
    ledger: Ledger, left: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The erasure names the user alone, and a process died before it removed the counters of the agent and runs."""
    whose = [
        replace(WHOSE, run_id=f"{STEM}run") if not number else Scope("acme", run_id=f"{STEM}{number}")
        for number in range(4)
    ]
    memories = [a_memory("a", number, scope=scope) for number, scope in enumerate(whose)]
    others = a_memory("b", 0, scope=Scope("acme", user_id="bob", run_id="other"))
    ledger.append(add(*memories, others))
    with monkeypatch.context() as patch:
        patch.setattr(totals, "clear", lambda *_arguments, **_named: 1 / 0)
        with contextlib.suppress(ZeroDivisionError):  # SQLite has no such counters
            ledger.append([delete(memory) for memory in memories])
    cursor = ledger.clear_entities("acme", limit=2)
    while cursor is not None:
        cursor = ledger.clear_entities("acme", limit=2, cursor=cursor)
    assert left() == []
    assert {(one.kind, one.id) for one in ledger.entities("acme", limit=9).items} == {("user", "bob"), ("run", "other")}


def test_nothing_names_whose_a_deleted_memory_was(ledger: Ledger, left: Callable[[], list[str]]) -> None:
    said = [a_message("a", place, scope=WHOSE, content=f"{STEM}said") for place in range(2)]
    refs = tuple(message.ref for message in said)
    memories = [
        a_memory("a", place, scope=WHOSE, text=f"{STEM}text", metadata={STEM: 1}, actor_id=f"{STEM}name", sources=refs)
        for place in range(3)
    ]
    done = a_job("a", scope=WHOSE, state=JobState.SUCCEEDED, request={"metadata": {STEM: 1}})
    ledger.append(add(*memories), completing=done, messages=said)
    changed = update(memories[0], text=f"{STEM}new")
    ledger.append([changed])
    assert left()
    gone = [delete(changed.memory), *map(delete, memories[1:])]
    ledger.append(gone, erasing=refs)
    assert left() == []
    assert [event.memory for event in ledger.history("acme", memories[1].id)] == [
        memories[1].blanked(deleted=False).nobodys(),
        gone[1].memory.nobodys(),
    ]
    assert ledger.job("acme", done.id) == done.nobodys()
    assert ledger.entities("acme", limit=9).items == ()
    assert ledger.faults(seconds=20, thorough=True).found == ()
    ledger.append(gone)
    ledger.append([Event(EventKind.ADD, memories[1])])
    assert left() == [], "repeats bring nothing back"


def test_messages_of_a_scope_are_found_although_nothing_names_it(ledger: Ledger, left: Callable[[], list[str]]) -> None:
    others = replace(WHOSE, run_id="another")
    said = [
        a_message("a", place, scope=scope) for place, scope in enumerate((WHOSE, others, replace(WHOSE, app_id="")))
    ]
    ledger.put_job(a_job("a", scope=WHOSE), said)
    for name, value in WHOSE.ids().items():
        found, _ = ledger.scope_messages("acme", {name: value}, limit=9)
        assert {message.ref for message in found} == {one.ref for one in said if getattr(one.scope, name) == value}
    assert ledger.scope_messages("other", WHOSE.ids(), limit=9) == ([], None)
    found, _ = ledger.scope_messages("acme", {"user_id": WHOSE.user_id, "app_id": ""}, limit=9)
    assert [message.ref for message in found] == [said[2].ref]


def test_names_of_requests_leases_and_pages_are_not_kept(ledger: Ledger, left: Callable[[], list[str]]) -> None:
    began = IdempotencyRecord("print", at(60))
    name = f"DELETE /users/{STEM}user key"
    assert ledger.begin_request("acme", name, began, now=at(0), expires_at=at(90)) is None
    assert ledger.begin_request("acme", name, began, now=at(1), expires_at=at(90)) == began
    answered = IdempotencyRecord("print", at(60), 200, "{}")
    ledger.finish_request("acme", name, answered, began=began, expires_at=at(90))
    assert ledger.begin_request("acme", name, began, now=at(1), expires_at=at(90)) == answered
    assert ledger.acquire_lease(WHOSE.writer_key(), owner="me", now=at(0), until=at(9))
    assert ledger.lease_until(WHOSE.writer_key()) == at(9)
    ledger.keep_page_end("acme", f"{STEM}list", PageEnd(f"{STEM}after", 1, 2, True), now=at(0), expires_at=at(9))
    assert ledger.page_end("acme", f"{STEM}list", now=at(1)) == PageEnd(f"{STEM}after", 1, 2, True)
    assert left() == []


def test_the_key_of_digests_stays(ledger: Ledger, reopen: Callable[[], Ledger]) -> None:
    key = ledger.digest_key()
    assert len(key) == 32
    with closing(reopen()) as other:
        assert other.digest_key() == ledger.digest_key() == key
