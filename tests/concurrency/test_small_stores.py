"""Documents, keys and idempotency records under races: no change is lost, and one writer wins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from forgetless.adapters.clock import SystemClock
from forgetless.adapters.ledger_dynamodb import DynamoLedger
from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.domain.documents import Document
from forgetless.domain.errors import ConflictError, InvalidRequestError, TooManyKeysError
from forgetless.domain.keys import ApiKey, Role, key_hash
from forgetless.domain.scope import Scope
from forgetless.ports.ledger import Ledger
from forgetless.ports.request_ledger import IdempotencyRecord
from forgetless.service.access.keys import KeyService
from forgetless.service.document_change import change_document, put_within
from forgetless.service.projects.settings import ProjectService, project_id
from tests.concurrency.arena import Arena
from tests.contract.ledger.making import a_memory, add, at, delete, keys_of


class PatientClock(SystemClock):
    """For whom no time passes while it waits: over moto, and on a busy machine, seconds are soon over."""

    def monotonic(self) -> float:
        return 0.0


def _count_up(ledger: Ledger, number: int, name: str) -> None:
    def one_more(held: Document | None) -> Mapping[str, Any]:
        return {"count": 1 if held is None else held.body["count"] + 1}

    for _ in range(3):
        change_document(ledger, (name, "counter", "a"), one_more, clock=PatientClock())


def test_every_change_of_a_document_is_done_once(arena: Arena) -> None:
    for name in arena.rounds(sqlite=10, dynamodb=4):
        arena.race(_count_up, name, faults={"lost": 0.2, "cut": 0.2})
        document = arena.ledger.document(name, "counter", "a")
        assert document is not None
        assert (document.body["count"], document.version) == (3 * arena.count, 3 * arena.count)
        assert arena.ledger.documents(name, "counter", limit=9) == ([document], None)


def _set_member(ledger: Ledger, number: int, name: str) -> None:
    projects = ProjectService(ledger=ledger, clock=PatientClock())
    projects.set_member(name, project_id(name), f"{number}@example.com", "READER")
    projects.update(name, project_id(name), {f"setting {number}": number})


def test_settings_and_members_of_a_project_are_all_kept(arena: Arena) -> None:
    for name in arena.rounds(sqlite=10, dynamodb=2):
        arena.race(_set_member, name)
        settings = ProjectService(ledger=arena.ledger, clock=PatientClock()).settings(name)
        assert set(settings["members"]) == {f"{number}@example.com" for number in range(arena.count)}
        assert {f"setting {number}" for number in range(arena.count)} <= set(settings)


def _create(ledger: Ledger, number: int, name: str, held: int) -> bool:
    document = Document(name, "project", f"new {number}", {}, at(held + number))
    try:
        put_within(ledger, document, most=held + 1)
    except ConflictError:
        return False
    return True


def test_there_are_never_more_documents_than_allowed(arena: Arena) -> None:
    for name in arena.rounds(sqlite=20, dynamodb=4):
        for number in range(2):
            arena.ledger.put_document(Document(name, "project", f"{number}", {}, at(number)))
        created = arena.race(_create, name, 2)
        found, _ = arena.ledger.documents(name, "project", limit=9)
        assert len(found) == 2 + created.count(True) <= 3


def _replace(ledger: Ledger, number: int, name: str, read: Document) -> str:
    """The first deletes the document and makes it again, the others write the version after what they have read."""
    if number:
        return "wrote" if ledger.put_document(replace(read, version=2, body={"by": number})) else ""
    assert ledger.delete_document(name, "webhook", "a")
    assert ledger.put_document(Document(name, "webhook", "a", {"by": "the second"}, at(9), due_at=at(9)))
    return ""


def test_a_document_that_was_made_again_is_not_overwritten_from_before(arena: Arena) -> None:
    for name in arena.rounds(sqlite=20, dynamodb=5):
        read = Document(name, "webhook", "a", {"by": "the first"}, at(0), due_at=at(0))
        arena.ledger.put_document(read)
        assert arena.race(_replace, name, read).count("wrote") <= 1
        document = arena.ledger.document(name, "webhook", "a")
        assert document is not None
        assert (document.version, document.body) == (1, {"by": "the second"})
        assert arena.ledger.documents(name, "webhook", limit=9) == ([document], None)
        assert document in arena.ledger.due_documents("webhook", now=at(9), limit=99)
        arena.ledger.delete_document(name, "webhook", "a")


def _put_one_key(ledger: Ledger, number: int, tenant: str) -> str:
    try:
        return str(ledger.put_key(ApiKey(f"{tenant} by {number}", tenant, Role.WRITE, at(1)), most=3, now=at(2)))
    except TooManyKeysError:
        return "full"


def test_a_tenant_gets_exactly_as_many_keys_as_it_may_have(arena: Arena) -> None:
    for name in arena.rounds(sqlite=20, dynamodb=4):
        assert arena.ledger.put_key(ApiKey(f"{name} before", name, Role.WRITE, at(0)))
        assert arena.ledger.put_key(ApiKey(f"{name} ended", name, Role.WRITE, at(0), expires_at=at(1)))
        told = arena.race(_put_one_key, name)
        assert told.count("True") == min(2, len(told))
        assert told.count("full") == len(told) - told.count("True")
        assert len(arena.ledger.keys(name, limit=99)[0]) == 2 + told.count("True")


def _make_known_or_revoke(ledger: Ledger, number: int, tenant: str, secret: str, key_id: str) -> str:
    keys = KeyService(ledger=ledger, clock=PatientClock())
    try:
        if number:
            keys.revoke(tenant, key_id)
            return "revoked"
        keys.register(tenant, secret, role=Role.ADMIN, label="at the start")
    except InvalidRequestError:
        return ""
    return "registered"


def test_a_revocation_is_never_undone_and_done_once(arena: Arena) -> None:
    for name in arena.rounds(sqlite=20, dynamodb=4):
        secret = f"{name} of {arena.seed}"
        key = ApiKey(key_hash(secret), name, Role.WRITE, at(0))
        assert arena.ledger.put_key(key)
        told = arena.race(_make_known_or_revoke, name, secret, key.id)
        assert told.count("revoked") == 1
        [held] = keys_of(arena.ledger, name)
        assert held.revoked
        assert (held.role, told[0]) in {(Role.ADMIN, "registered"), (Role.WRITE, "")}
        assert arena.ledger.key(key.hash) == held


RUNS = IdempotencyRecord("print", at(10))


def _begin_at(ledger: Ledger, number: int, name: str, second: int) -> bool:
    record = replace(RUNS, lease_until=at(second + 10 + number))
    return ledger.begin_request(name, "POST k", record, now=at(second + number), expires_at=at(99)) is None


def test_a_request_runs_once_and_a_left_one_is_taken_over_once(arena: Arena) -> None:
    for name in arena.rounds(sqlite=20, dynamodb=3):
        assert arena.race(_begin_at, name, 0).count(True) == 1
        assert arena.race(_begin_at, name, 20).count(True) == 1


def _outlive(ledger: Ledger, number: int, name: str) -> str:
    """The first was given up for dead and ends now; a repeat takes it over; the third comes as often as it can."""
    if number == 0:
        if name.endswith("even"):
            ledger.drop_request(name, "POST k", began=RUNS)
            return ""
        first = replace(RUNS, status=200, body="the first's")
        ledger.finish_request(name, "POST k", first, began=RUNS, expires_at=at(99))
        return ""
    mine = replace(RUNS, lease_until=at(30 + number))
    standing = ledger.begin_request(name, "POST k", mine, now=at(20 + number), expires_at=at(99))
    if standing is not None:
        return standing.body or ""
    ledger.finish_request(name, "POST k", replace(mine, status=200, body=f"{number}'s"), began=mine, expires_at=at(99))
    return f"{number}'s"


def test_who_was_taken_over_neither_answers_for_his_successor_nor_lets_a_third_run(arena: Arena) -> None:
    for name in arena.rounds(sqlite=30, dynamodb=6):
        tenant = f"{name} {'even' if arena.seed % 2 == 0 else 'odd'}"
        assert arena.ledger.begin_request(tenant, "POST k", RUNS, now=at(0), expires_at=at(99)) is None
        told = set(arena.race(_outlive, tenant)) - {""}
        # One answer in all, which the store repeats from now on.
        [answer] = told
        late = arena.ledger.begin_request(tenant, "POST k", RUNS, now=at(50), expires_at=at(99))
        assert late is not None
        assert late.body == answer


def _answer_or_delete(ledger: Ledger, number: int, name: str) -> None:
    memory = a_memory("a", scope=Scope(name, user_id="anna"))
    if number == 0:
        ledger.append([delete(memory)])
    elif number == 1:
        answer = replace(RUNS, status=200, body=f'{{"id": "{memory.id}", "memory": "SECRET"}}')
        ledger.finish_request(name, "POST k", answer, began=RUNS, expires_at=at(99))
    else:
        ledger.mark_indexed([memory])


def test_an_answer_and_the_deletion_of_what_it_shows_leave_no_answer(arena: Arena) -> None:
    for name in arena.rounds(sqlite=30, dynamodb=5):
        memory = a_memory("a", scope=Scope(name, user_id="anna"), text="SECRET")
        arena.ledger.append(add(memory))
        arena.ledger.begin_request(name, "POST k", RUNS, now=at(0), expires_at=at(99))
        arena.race(_answer_or_delete, name)
        assert not any(b"SECRET" in body for body in _bodies(arena))
        assert arena.ledger.begin_request(name, "POST k", RUNS, now=at(1), expires_at=at(99)) is None


def _bodies(arena: Arena) -> list[bytes]:
    """Everything that clients wrote and that is still stored."""
    if isinstance(arena.ledger, DynamoLedger):
        assert arena.turnstile is not None
        pages = arena.turnstile.dynamo.admin.get_paginator("scan").paginate(TableName=arena.ledger._client.table)
        found = [item["body"]["B"] for page in pages for item in page["Items"] if "body" in item]
    else:
        assert isinstance(arena.ledger, SqliteLedger)
        rows = arena.ledger._connections.read(lambda db: db.execute("SELECT body FROM texts").fetchall())
        found = [body for (body,) in rows]
    assert found
    return found
