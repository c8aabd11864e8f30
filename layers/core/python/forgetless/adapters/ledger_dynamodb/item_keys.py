"""The keys of each kind of item in the one table; docs/dynamodb.md shows the whole design.

The parts of a key are joined by `#`. A client's word is used unchanged if it is short and plain. Otherwise a digest
replaces it, so that no word can address another partition, be too long for a key or be invalid as text.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from typing import NamedTuple

from forgetless.adapters.ledger_codec import to_blob
from forgetless.domain.memory import MessageRef
from forgetless.domain.scope import Scope

__all__ = [
    "ANSWERS",
    "ASIDE_QUEUES",
    "CARRIERS",
    "CHUNKS",
    "DELETED",
    "ENDING_KEYS",
    "ENTRIES",
    "EXPIRING",
    "EXPIRY_QUEUES",
    "FAILED_QUEUES",
    "HEAD",
    "HOUR",
    "INDEX",
    "IN_TURN",
    "LIVE",
    "MESSAGES",
    "OLDER",
    "OPEN_ERASURES",
    "OPEN_QUEUES",
    "PENDING",
    "PENDING_QUEUES",
    "REVOKED",
    "SCHEMA",
    "STAGES",
    "SUPERSEDED",
    "TENANT_TOTAL_SHARDS",
    "TOTAL_SHARDS",
    "USAGE_SHARDS",
    "Key",
    "answer",
    "api_key",
    "api_key_entry",
    "api_keys",
    "carrier",
    "document",
    "document_entry",
    "due_queue",
    "erasure_marker",
    "erasures",
    "event",
    "expiring",
    "head",
    "job",
    "key_gate",
    "lease",
    "listed",
    "message",
    "names",
    "ordered",
    "page_end",
    "part",
    "part_of_body",
    "partitions",
    "queue_of",
    "queued",
    "request",
    "said",
    "scope_kinds",
    "spoken",
    "spoken_in",
    "stage",
    "stage_chunk",
    "superseded",
    "tenant_total",
    "text",
    "total",
    "totals",
    "turn",
    "turn_of",
    "usage",
    "usage_partition",
]

#: The only secondary index: the work for sweep. It has only keys; the items themselves are read from the table.
INDEX = "gsi1"

#: Sort keys, or their prefixes, in the partitions of memories, jobs, stages and documents.
HEAD, ANSWERS, OLDER, MESSAGES, CARRIERS, CHUNKS, ENTRIES = "HEAD", "A#", "O#", "S#", "R#", "C#", "L#"

#: The prefix of the queues of pending memories. In tables of version 1 it was `P#`.
PENDING = "Q#"
#: Partitions of the secondary index. Each queue has several, because one accepts about 1,000 writes per second.
PENDING_QUEUES = tuple(f"{PENDING}{shard}" for shard in range(8))
BEHIND_QUEUES = tuple(f"B#{shard}" for shard in range(8))
ASIDE_QUEUES = tuple(f"Y#{shard}" for shard in range(4))
OPEN_QUEUES = tuple(f"O#{shard}" for shard in range(4))
EXPIRY_QUEUES = tuple(f"E#{shard}" for shard in range(8))
FAILED_QUEUES = tuple(f"F#{shard}" for shard in range(2))
STAGES = "X"
OPEN_ERASURES = "U"
#: The partition with the tenants that may have memories with an expiration date.
EXPIRING = "Y"
#: The partition of the secondary index with the API keys that end, or of which more is kept than that they are revoked.
ENDING_KEYS = "V"

#: The prefix of the sort keys of revoked API keys. It sorts after every time.
REVOKED = "~"

#: The first character of sort keys in the queues that are read in turn (see turn_queues), and how much of a timestamp
#: names its hour.
IN_TURN, HOUR = "!", len("2026-11-29T16")

#: The values of the attribute `state` of a memory's head.
LIVE, SUPERSEDED, DELETED = 0, 1, 2

#: An entity's total is the sum of this many counters, so that concurrent adds seldom change the same one.
TOTAL_SHARDS = 8
#: The same for the total of the tenant, which every add changes.
TENANT_TOTAL_SHARDS = 32
#: The figures of usage are the sum of this many counters.
USAGE_SHARDS = TOTAL_SHARDS

#: Lists that many users share are spread over several partitions, which are merged when they are read.
_SHARDS = {"tenant": 4, "app": 4, "agent": 4, "jobs": 4, "user": 1, "run": 1}

_PLAIN = re.compile(r"[A-Za-z0-9_.:@-]{1,64}")


class Key(NamedTuple):
    """Partition and sort key of an item."""

    pk: str
    sk: str


SCHEMA = Key("SCHEMA", "SCHEMA")


def part(word: str) -> str:
    """A client's word as part of a key."""
    if _PLAIN.fullmatch(word):
        return word
    return "~" + hashlib.sha256(to_blob(word)).hexdigest()[:32]


def ordered(created_at: str, position: int, id_: str) -> str:
    """A sort key in the order of lists."""
    return f"{created_at}#{position:010d}#{part(id_)}"


def head(tenant: str, memory_id: str) -> Key:
    """A memory's head, which is its current version."""
    return Key(f"M#{part(tenant)}#{part(memory_id)}", HEAD)


def event(tenant: str, memory_id: str, version: int) -> Key:
    """An earlier version of a memory; its current version is its head."""
    return Key(head(tenant, memory_id).pk, f"V#{version:08d}")


def answer(tenant: str, memory_id: str, place: str) -> Key:
    """The note that a stored answer shows a memory."""
    return Key(head(tenant, memory_id).pk, ANSWERS + part(place))


def superseded(tenant: str, memory_id: str, older_id: str) -> Key:
    """The note that a memory superseded an older one, in the partition of the newer memory."""
    return Key(head(tenant, memory_id).pk, OLDER + part(older_id))


def part_of_body(pk: str, body_id: str, number: int) -> Key:
    """One of the numbered items with the parts of a long body, in the same partition as their item."""
    return Key(pk, f"~{body_id}#{number:04d}")


def scope_kinds(scope: Scope) -> dict[str, str]:
    """The ids of the scope by their kind (`user`, `agent` …)."""
    return {name.removesuffix("_id"): value for name, value in scope.ids().items()}


def partitions(table: str, tenant: str, kind: str, word: str = "") -> list[str]:
    """All partitions of a list. `table` is L (memories), Z (scopes) or K (jobs)."""
    beginning = _beginning(table, tenant, kind, word)
    return [f"{beginning}#{shard}" for shard in range(_SHARDS[kind])]


def listed(table: str, tenant: str, kind: str, word: str, sort_key: str) -> Key:
    """An entry of a list."""
    shard = zlib.crc32(sort_key.encode()) % _SHARDS[kind]
    return Key(f"{_beginning(table, tenant, kind, word)}#{shard}", sort_key)


def _beginning(table: str, tenant: str, kind: str, word: str) -> str:
    return f"{table}#{part(tenant)}#{kind}#{part(word) if word else ''}"


def totals(tenant: str, shard: int) -> str:
    """The partition with one counter of every entity of a tenant."""
    return f"N#{part(tenant)}#{shard}"


def tenant_total(tenant: str, shard: int) -> Key:
    """One of the counters of the tenant."""
    return Key(f"T#{part(tenant)}#{shard}", "TOTAL")


def total(tenant: str, shard: int, kind: str, word: str) -> Key:
    """One of the counters of an entity."""
    return Key(totals(tenant, shard), f"{kind}#{part(word)}")


def expiring(tenant: str) -> Key:
    """The note that a tenant may have memories with an expiration date."""
    return Key(EXPIRING, part(tenant))


def text(scope: Scope, hash_: str) -> Key:
    """The item that names the memory with an extracted text in its exact scope."""
    return Key(f"H#{scope.key()}", hash_)


def job(tenant: str, job_id: str) -> Key:
    """A job."""
    return Key(f"J#{part(tenant)}#{part(job_id)}", "JOB")


def message(tenant: str, ref: MessageRef) -> Key:
    """A raw message, in its job's partition."""
    return Key(job(tenant, ref.job_id).pk, f"{MESSAGES}{ref.position:08d}")


def carrier(tenant: str, ref: MessageRef, memory_id: str) -> Key:
    """The note that a memory has a message as context."""
    return Key(job(tenant, ref.job_id).pk, f"{CARRIERS}{ref.position:08d}#{part(memory_id)}")


def spoken(scope: Scope) -> str:
    """The partition with the messages of an exact scope, ordered by time."""
    return spoken_in(scope.key())


def spoken_in(scope_key: str) -> str:
    """The same partition, by the digest of the exact scope."""
    return f"C#{scope_key}"


def said(scope: Scope, ref: MessageRef, created_at: str) -> Key:
    """The entry of a message in the partition `spoken`."""
    return Key(spoken(scope), f"{created_at}#{part(ref.job_id)}#{ref.position:08d}")


def request(tenant: str, name: str) -> Key:
    """An idempotency record."""
    return Key(f"I#{part(tenant)}#{part(name)}", "REQUEST")


def page_end(tenant: str, name: str) -> Key:
    """Where a page of a list ended."""
    return Key(f"Q#{part(tenant)}#{part(name)}", "PAGE")


def names(tenant: str, owner: str) -> Key:
    """The names of speakers of one owner."""
    return Key(f"E#{part(tenant)}#{owner}", "NAMES")


def lease(name: str) -> Key:
    """A lease."""
    return Key(f"W#{part(name)}", "LEASE")


def api_key(hash_: str) -> Key:
    """An API key, by its hash."""
    return Key(f"A#{part(hash_)}", "KEY")


def api_keys(tenant: str) -> str:
    """The partition with the list of a tenant's API keys."""
    return f"B#{part(tenant)}"


def api_key_entry(tenant: str, created_at: str, hash_: str, *, revoked: bool) -> Key:
    """The entry of an API key in that list."""
    return Key(api_keys(tenant), f"{REVOKED if revoked else ''}{created_at}#{part(hash_)}")


def key_gate(tenant: str) -> Key:
    """The item that everybody changes who stores an API key of which a tenant may have so many."""
    return Key(f"V#{part(tenant)}#", "GATE")


def document(tenant: str, kind: str, id_: str) -> Key:
    """A document. The list of its kind is in the same partition."""
    return Key(f"D#{part(tenant)}#{part(kind)}", f"I#{part(id_)}")


def document_entry(tenant: str, kind: str, id_: str, created_at: str) -> Key:
    """A document's entry in the list of its kind."""
    return Key(document(tenant, kind, id_).pk, f"{ENTRIES}{created_at}#{part(id_)}")


def due_queue(kind: str) -> str:
    """The partition of the secondary index for documents of a kind with a due time."""
    return f"D#{part(kind)}"


def erasures(tenant: str) -> Key:
    """The state of a tenant's erasures: the last number, and how many markers hide data."""
    return Key(f"U#{part(tenant)}", "STATE")


def erasure_marker(tenant: str, number: int) -> Key:
    """The marker of one erasure, beside the state."""
    return Key(erasures(tenant).pk, f"M#{number:012d}")


def usage_partition(tenant: str, shard: int) -> str:
    """The partition with one counter of the tenant and of each of its keys for each month."""
    return f"G#{part(tenant)}#{shard}"


def usage(tenant: str, shard: int, period: str, owner: str) -> Key:
    """One of the counters of a key (without an owner: of the tenant) for a month or a minute."""
    kind = "" if len(period) == len("2026-11") else "M#"
    return Key(usage_partition(tenant, shard), f"{kind}{period}#{part(owner) if owner else ''}")


def stage(stage_id: str) -> Key:
    """The own item of a staged commit, which decides whether all its changes count."""
    return Key(f"X#{stage_id}", "STAGE")


def stage_chunk(stage_id: str, number: int) -> Key:
    """The item that names the items in a chunk of a staged commit."""
    return Key(stage(stage_id).pk, f"{CHUNKS}{number:06d}")


def queued(tenant: str, since: str, order: str = "") -> str:
    """The sort key of a memory in the queues of pending, behind and set-aside memories: by tenant, then by time."""
    return f"{part(tenant)}#{since}#{order}"


def turn(tenant: str, time: str, order: str) -> str:
    """The sort key in a queue that is read in turn: by hour, then by tenant, then by time."""
    return turn_of(part(tenant), time, order)


def turn_of(tenant_part: str, time: str, order: str) -> str:
    """`turn` for a tenant that is a part of a key already."""
    return f"{IN_TURN}{time[:HOUR]}#{tenant_part}#{time}#{order}"


def queue_of(queues: tuple[str, ...], word: str) -> str:
    """The partition of the secondary index for `word`."""
    return queues[zlib.crc32(to_blob(word)) % len(queues)]
