"""Version 4 to 5: nothing that was deleted keeps ids in clear, and the table gets the key of its digests.

- Versions of deleted memories, jobs that ended as erased or have neither messages nor memories, counters without
  memories, ended deletes by filter and ended deliveries lose their ids.
- Lists of scopes hold digests from now on.
- Records of requests, leases and ends of pages are named by digests from now on. Those of before are removed: a repeat
  of a request of the day before the migration is a new request, except for an add, whose job is still known.

It reads the table once and may be interrupted and run again.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from forgetless.adapters.ledger_codec import dump, dump_job, dump_memory, from_blob, load, load_job, load_memory
from forgetless.adapters.ledger_dynamodb import item_keys, scope_entries
from forgetless.adapters.ledger_dynamodb.attribute_values import Item, from_wire, to_wire
from forgetless.adapters.ledger_dynamodb.client import Client
from forgetless.adapters.ledger_dynamodb.migration_scan import body_of
from forgetless.domain.bulk_jobs import BULK_JOB, BulkJob, BulkKind
from forgetless.domain.documents import Document
from forgetless.domain.errors import LedgerError
from forgetless.domain.scope import Scope
from forgetless.domain.webhook_deliveries import DELIVERY

__all__ = ["forget_ids"]

#: The kind of feedback, which earlier versions left when its memory was deleted. Its id is that of the memory.
_FEEDBACK = "feedback"
#: What is removed: requests, ends of pages and leases; and the notes of answers beside memories.
_REMOVED = ("I#", "Q#", "W#")


def forget_ids(client: Client) -> None:
    """Rewrite or remove every item that holds ids of something deleted."""
    key = _digest_key(client)
    counters: defaultdict[tuple[str, str], list[Item]] = defaultdict(list)
    for item in _items(client):
        if "stage" in item:
            raise LedgerError("a change of a dead process is unfinished: run migrate again in ten seconds")
        pk, sk = str(item["pk"]), str(item["sk"])
        if pk.startswith(_REMOVED) or (pk.startswith("M#") and sk.startswith(item_keys.ANSWERS)):
            _delete(client, item)
        elif pk.startswith("N#"):
            counters[pk.rpartition("#")[0], sk].append(item)
        elif pk.startswith("Z#") and "scope" in item:
            for place, entry in scope_entries.entries(key, Scope(*map(from_blob, item["scope"]))).items():
                _put(client, {**place._asdict(), **entry, "rev": "migration"})
            _delete(client, item)
        elif change := _change_of(pk, sk):
            change(client, item)
    for items in counters.values():
        if sum(item.get("total", 0) for item in items) == 0:
            for item in items:
                _delete(client, item)


def _change_of(pk: str, sk: str) -> Callable[[Client, Item], None] | None:
    if pk.startswith("M#") and sk == item_keys.HEAD:
        return _forget_memory
    if pk.startswith("J#") and sk == "JOB":
        return _forget_job
    if pk.startswith("D#") and sk.startswith("I#"):
        return _forget_in_document
    return None


def _forget_memory(client: Client, head: Item) -> None:
    if head["state"] != item_keys.DELETED:
        return
    versions = [item for item in _partition(client, head["pk"]) if "version" in item]
    for item in versions:
        memory = load_memory(from_blob(item["tenant"]), body_of(client, item))
        _rewrite(client, item, dump_memory(memory.blanked(deleted=memory.deleted).nobodys()))


def _forget_job(client: Client, item: Item) -> None:
    tenant = from_blob(item["tenant"])
    body, _, request = body_of(client, item).partition(b"\n")
    job = load_job(tenant, body, request)
    if not job.finished:
        return
    said = any(str(other["sk"]).startswith(item_keys.MESSAGES) for other in _partition(client, item["pk"]))
    made = [item_keys.head(tenant, result["id"]) for result in job.results if "id" in result]
    if job.erased or not (said or any(_is_there(client, head) for head in made)):
        forgotten = job.nobodys()
        _rewrite(client, item, dump_job(forgotten) + b"\n" + dump(forgotten.request))


def _is_there(client: Client, key: item_keys.Key) -> bool:
    answer = client.call("get_item", TableName=client.table, Key=to_wire(key._asdict()), ConsistentRead=True)
    return "Item" in answer and from_wire(answer["Item"])["state"] != item_keys.DELETED


def _forget_in_document(client: Client, item: Item) -> None:
    tenant, kind, id_ = (from_blob(item[name]) for name in ("tenant", "kind", "id"))
    if kind == _FEEDBACK and not _is_there(client, item_keys.head(tenant, id_)):
        _delete(client, item)
        _delete(client, item_keys.document_entry(tenant, kind, id_, item["created"])._asdict())
    if kind not in {BULK_JOB, DELIVERY}:
        return
    body = load(body_of(client, item))
    if kind == BULK_JOB:
        job = BulkJob.of(Document(tenant, kind, id_, body, item["created"], item["version"], item["due"]))
        if job.finished and job.kind is BulkKind.DELETE:
            _rewrite(client, item, dump({**body, "request": job.request_after_its_end}))
    elif body["state"] != "pending" and body.get("summary"):
        event, _, count = body["summary"]
        _rewrite(client, item, dump({**body, "summary": [event, {}, count]}))


def _digest_key(client: Client) -> bytes:
    """The key that the table has, or that it gets now."""
    answer = client.call(
        "update_item",
        TableName=client.table,
        Key=to_wire(item_keys.SCHEMA._asdict()),
        UpdateExpression="SET digest_key = if_not_exists(digest_key, :new)",
        ExpressionAttributeValues=to_wire({":new": secrets.token_bytes(32)}),
        ReturnValues="ALL_NEW",
    )
    return bytes(from_wire(answer["Attributes"])["digest_key"])


def _items(client: Client) -> Iterator[Item]:
    yield from _pages(client, "scan", {})


def _partition(client: Client, pk: str) -> list[Item]:
    condition = {"KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": to_wire({":pk": pk})}
    return list(_pages(client, "query", condition))


def _pages(client: Client, operation: str, parameters: dict[str, Any]) -> Iterator[Item]:
    start: dict[str, Any] = {}
    while True:
        answer = client.call(operation, TableName=client.table, ConsistentRead=True, **parameters, **start)
        yield from map(from_wire, answer["Items"])
        if "LastEvaluatedKey" not in answer:
            return
        start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}


def _rewrite(client: Client, item: Item, body: bytes) -> None:
    """Give the item this body, which is shorter than 100 KB, and remove the parts of the one before."""
    kept = {name: value for name, value in item.items() if name not in {"body", "body_id", "parts"}}
    _put(client, {**kept, "body": body})
    for number in range(item.get("parts", 0)):
        part = item_keys.part_of_body(item["pk"], item["body_id"], number)
        client.call("delete_item", TableName=client.table, Key=to_wire(part._asdict()))


def _put(client: Client, item: Item) -> None:
    client.call("put_item", TableName=client.table, Item=to_wire(item))


def _delete(client: Client, item: Item) -> None:
    key = {"pk": item["pk"], "sk": item["sk"]}
    client.call("delete_item", TableName=client.table, Key=to_wire(key))
