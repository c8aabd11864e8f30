"""What earlier versions kept of something deleted loses its ids when the ledger is brought to the schema of today."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from forgetless.adapters.ledger_codec import dump, dump_job, dump_memory, scope_columns, to_blob
from forgetless.adapters.ledger_dynamodb import DynamoLedger, item_keys
from forgetless.adapters.ledger_dynamodb.attribute_values import Item, from_wire, to_wire
from forgetless.adapters.ledger_dynamodb.client import Client
from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.adapters.ledger_sqlite.schema import _MIGRATIONS
from forgetless.domain.bulk_jobs import BulkJob, BulkKind
from forgetless.domain.documents import Document
from forgetless.domain.jobs import JobState
from forgetless.domain.memory import EventKind, Memory
from forgetless.domain.scope import Scope
from forgetless.domain.webhook_deliveries import Delivery, Summary
from forgetless.ports.request_ledger import IdempotencyRecord
from tests.contract.ledger.making import a_job, a_memory, a_message, add, at, delete, put_as_earlier_versions
from tests.erasure.scanning import Needles, bytes_of_item, found_in, found_in_files

STEM = "zqmarked"
WHOSE = Scope("acme", user_id=f"{STEM}user", run_id=f"{STEM}run é")
NEEDLES = Needles(STEM, WHOSE.ids().values(), [WHOSE.key()])
LIVING = Scope("acme", user_id="anna")

GONE = a_memory("a", scope=WHOSE, text="", deleted=False, actor_id=f"{STEM}name")
TOMBSTONE = replace(delete(GONE).memory, actor_id=f"{STEM}name", role="user")
ERASED = replace(a_job("b", scope=WHOSE, state=JobState.SUCCEEDED), erased=True)
FORGOTTEN = a_job("a", scope=WHOSE, state=JobState.SUCCEEDED, results=({"id": GONE.id, "event": "ADD"},))
KEPT = a_job("c", scope=LIVING, state=JobState.SUCCEEDED)


def documents() -> list[Document]:
    """An ended delete by filter, an ended delivery, and feedback that was left."""
    request = {"ids": {"user_id": WHOSE.user_id}, "names": [], "users": [WHOSE.user_id], "owners": []}
    job = BulkJob("j", "acme", BulkKind.DELETE, JobState.SUCCEEDED, at(0), at(0), request)
    summary = Summary(EventKind.DELETE, WHOSE.ids(), 2)
    sent = Delivery("d", "acme", "wh", (), at(0), None, state="delivered", summary=summary)
    feedback = Document("acme", "feedback", GONE.id, {"feedback_reason": f"{STEM}reason"}, at(0))
    return [job.document(), sent.document(), feedback]


def expected(ledger: Any) -> None:
    """What the ledger says after the upgrade."""
    assert [event.memory.scope for event in ledger.history("acme", GONE.id)] == [Scope("acme")] * 2
    assert ledger.read("acme", [GONE.id])[GONE.id].role == "user"
    assert ledger.job("acme", ERASED.id) == ERASED.nobodys()
    assert ledger.job("acme", FORGOTTEN.id) == FORGOTTEN.nobodys()
    assert ledger.job("acme", KEPT.id) == KEPT
    job = BulkJob.of(ledger.document("acme", "bulk-job", "j"))
    assert (job.state, job.request) == (JobState.SUCCEEDED, {"owners": []})
    assert Delivery.of(ledger.document("acme", "webhook_delivery", "d")).summary == Summary(EventKind.DELETE, {}, 2)
    assert ledger.document("acme", "feedback", GONE.id) is None
    assert ledger.faults(seconds=20, thorough=True).found == ()


def as_schema_14(path: Path) -> None:
    """A file of schema 14 with all that."""
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as db, db:
        for script in _MIGRATIONS[:14]:
            db.executescript(script)
        db.execute("PRAGMA user_version = 14")

        def text(body: bytes) -> int:
            return int(db.execute("INSERT INTO texts (body) VALUES (?)", (body,)).lastrowid or 0)

        last = text(dump_memory(TOMBSTONE))
        key = (to_blob("acme"), to_blob(GONE.id))
        db.execute(
            "INSERT INTO memories (tenant, id, version, state, created_at, position, updated_at, user_id, agent_id,"
            " app_id, run_id, scope_key, hash, extracted, context_size, text_id)"
            " VALUES (?, ?, 2, 2, ?, 0, ?, ?, ?, ?, ?, ?, '', 0, 0, ?)",
            (*key, GONE.created_at, TOMBSTONE.updated_at, *scope_columns(WHOSE), WHOSE.key(), last),
        )
        for version, kind, text_id in ((1, "ADD", text(dump_memory(GONE))), (2, "DELETE", last)):
            db.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", (*key, version, kind, to_blob("j"), text_id))
        for job, request in ((ERASED, b"{}"), (FORGOTTEN, b""), (KEPT, b"{}")):
            columns = "tenant, id, state, created_at, updated_at, text_id, body"
            row = (key[0], to_blob(job.id), str(job.state), at(0), at(0), text(request), dump_job(job))
            db.execute(f"INSERT INTO jobs ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        for one in documents():
            row = (key[0], one.kind, to_blob(one.id), one.created_at, one.version, text(dump(one.body).ljust(128 * 9)))
            db.execute(
                "INSERT INTO documents (tenant, kind, id, created_at, version, text_id) VALUES (?, ?, ?, ?, ?, ?)", row
            )
        name = to_blob(f"DELETE /{STEM}user key")
        record = (key[0], name, to_blob("print"), at(60), at(90), 200, text(b"{}"))
        db.execute("INSERT INTO requests VALUES (?, ?, ?, ?, ?, ?, ?)", record)
        db.execute("INSERT INTO answered VALUES (?, ?, ?)", (*key, name))
        db.execute("INSERT INTO leases VALUES (?, ?, ?)", (to_blob(WHOSE.writer_key()), to_blob("me"), at(9)))


def test_a_file_of_schema_14(tmp_path: Path) -> None:
    path = tmp_path / "state" / "ledger.db"
    as_schema_14(path)
    assert found_in_files(path.parent, NEEDLES)
    with closing(SqliteLedger(path)) as ledger:
        expected(ledger)
        assert ledger.lease_until(WHOSE.writer_key()) == at(9), "who holds it goes on holding it"
        again = IdempotencyRecord("print", at(60))
        name = f"DELETE /{STEM}user key"
        answered = ledger.begin_request("acme", name, again, now=at(1), expires_at=at(90))
        assert answered == IdempotencyRecord("print", at(60), 200, "{}"), "a repeat gets the answer of before"
        assert ledger.scrub_erased()
        subprocess.run(["cp", "-r", path.parent, tmp_path / "copy"], check=True)
    assert found_in_files(tmp_path / "copy", NEEDLES) == {}


def items_of(client: Client) -> list[Item]:
    return [from_wire(item) for item in client.call("scan", TableName=client.table)["Items"]]


def as_version_4(client: Client) -> None:
    """Give the table the form of version 4, with all that."""

    def put(key: item_keys.Key, item: Item) -> None:
        client.call("put_item", TableName=client.table, Item=to_wire({**item, **key._asdict(), "rev": "old"}))

    for item in items_of(client):
        if item["pk"].startswith("Z#"):
            client.call("delete_item", TableName=client.table, Key=to_wire({"pk": item["pk"], "sk": item["sk"]}))
    said = {"scope": [to_blob(id_) for id_ in ("acme", WHOSE.user_id, "", "", WHOSE.run_id)]}
    for kind, word in {"tenant": "", "user": WHOSE.user_id, "run": WHOSE.run_id}.items():
        put(item_keys.listed("Z", "acme", kind, word, WHOSE.key()), said)
    held: Memory
    for key, held, kind in (
        (item_keys.event("acme", GONE.id, 1), GONE, "ADD"),
        (item_keys.head("acme", GONE.id), TOMBSTONE, "DELETE"),
    ):
        item = next(one for one in items_of(client) if (one["pk"], one["sk"]) == key)
        put(key, {**item, "kind": kind, "body": dump_memory(held)})
    for job in (ERASED, FORGOTTEN):
        key = item_keys.job("acme", job.id)
        item = next(one for one in items_of(client) if (one["pk"], one["sk"]) == key)
        put(key, {**item, "body": dump_job(job) + b"\n{}"})
    for shard, number in ((1, 1), (2, -1)):
        counter = {"kind": "user", "id": to_blob(WHOSE.user_id), "total": number, "expiring": 0, "stale": False}
        put(item_keys.total("acme", shard, "user", WHOSE.user_id), counter)
    put(item_keys.request("acme", f"DELETE /{STEM} key"), {"named": [GONE.id], "body": b"", "expires": at(90)})
    put(item_keys.answer("acme", GONE.id, f"DELETE /{STEM} key"), {"name": to_blob(f"DELETE /{STEM} key")})
    put(item_keys.lease(WHOSE.writer_key()), {"owner": b"me", "until": at(9)})
    put(item_keys.page_end("acme", "entities"), {"after": f"{STEM}user", "expires": at(9)})
    schema = next(item for item in items_of(client) if item["pk"] == "SCHEMA")
    del schema["digest_key"]
    put(item_keys.SCHEMA, {**schema, "version": 4})


def test_a_table_of_version_4(dynamo: Callable[[], DynamoLedger]) -> None:
    waits = a_message("w", scope=WHOSE)
    with closing(dynamo()) as old:
        old.append(add(GONE))
        old.append([delete(GONE)])
        for job in (ERASED, FORGOTTEN, KEPT):
            old.append([], completing=job, messages=[a_message("c", scope=LIVING)] if job is KEPT else [])
        for document in documents():
            put_as_earlier_versions(old, document)
        old.put_job(a_job("w", scope=WHOSE), [waits])
        as_version_4(old._client)
    with closing(dynamo()) as ledger:
        assert ledger.migrate() == 1
    with closing(dynamo()) as ledger:
        expected(ledger)
        assert ledger.scope_messages("acme", {"user_id": WHOSE.user_id}, limit=9)[0] == [waits], "it is still found"
        left = [item for item in items_of(ledger._client) if found_in(bytes_of_item(item), NEEDLES)]
        assert {item["pk"].partition("#")[0] for item in left} == {"J", "C"}, "the message that waits, and its job"
        assert ledger.migrate() == 0
