"""A recorded history: the clients' requests and answers, the actions of the nemesis, and the final state.

As a file it is JSON lines: a header, operations, faults, the state at rest. All of a request and of an answer is plain
JSON, so that what was saved is what is checked. A key that an answer did not have is left out: nothing is read from it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, TypedDict

__all__ = ["EventSeen", "Fault", "History", "Kind", "Operation", "Outcome", "Rest", "State", "load", "save"]


class Kind(StrEnum):
    """The kind of an operation. (A supersession is not a request but an effect of an inferred add.)"""

    ADD = "add"
    UPDATE = "update"
    DELETE = "delete"
    SCOPE_DELETE = "scope_delete"
    FILTER_DELETE = "filter_delete"
    GET = "get"
    LIST = "list"
    SEARCH = "search"
    HISTORY = "history"
    EXPORT = "export"


class Outcome(StrEnum):
    """Whether an operation took effect."""

    OK = "ok"
    #: It had no effect and never will.
    FAILED = "failed"
    #: It may have happened, or may happen later, even after the end that the client saw.
    UNKNOWN = "unknown"


class State(TypedDict, total=False):
    """A memory as an answer shows it; keys that the answer does not have are missing, not None.

    Shown but empty: `metadata` {}, `expiration` None, `superseded_by` None.
    """

    id: str
    version: int
    text: str
    metadata: dict[str, Any]
    expiration: str | None
    superseded_by: str | None
    #: `user_id`, `agent_id`, `run_id`, `app_id`: those that it has.
    scope: dict[str, str]
    #: The part of a hit's score that comes from words (`bm25_raw` of a search that explains).
    words: float


class EventSeen(State, total=False):
    """One event of a memory's history or export, with the memory after it."""

    #: ADD, UPDATE or DELETE.
    event: str
    #: Of an export or a ledger: the job and the position in it.
    job: str
    position: int


@dataclass(frozen=True, slots=True)
class Operation:
    """One request of a client, with all its retries under one Idempotency-Key.

    `request` by kind (S: `scope`, a mapping of identifiers; for all that change something also `key`, the
    Idempotency-Key):

    - ADD: S, `texts` (by position; of an inferred add the facts that the LLM gives), `metadata`, `expiration`,
      `infer`, `queued`
    - UPDATE: `id`, any of `text`, `metadata` (merged by key), `expiration` (None clears it); `if_version` (If-Match)
    - DELETE, GET, HISTORY: `id`
    - SCOPE_DELETE: S. FILTER_DELETE: S, `metadata` (key to value, all of them hold)
    - LIST: S, `limit`, `show_expired`. SEARCH: S, `query`, `limit`, `show_expired`. EXPORT: nothing

    `answer` by kind; always `status`, when there was one, and after a failure `error`:

    - ADD: `event` (its id), `memories` (States: at least `id` and `text`), `indexed` (True, False; missing: not told),
      `erased` (True: an erase took the job), `supersedes` (pairs [old id, new id] that the LLM named, where known)
    - UPDATE: `memory` (State after it), `indexed` where it is told
    - GET: `memory` (State, or None: unknown or deleted)
    - LIST, SEARCH: `memories` (States, in order)
    - HISTORY: `events` (EventSeen, by version; empty: unknown)
    - EXPORT: `events` (EventSeen of all memories)

    A status of 404 or 412 after a failure is read: the memory was not there, the version was another.
    A queued add and a filter delete end when their event has ended; FAILED when the event says so.
    """

    #: Order of the invocations, from 0.
    index: int
    client: int
    kind: Kind
    #: Monotonic seconds, one clock for all clients; only their order counts.
    started: float
    #: None: never answered.
    ended: float | None
    outcome: Outcome
    request: Mapping[str, Any] = field(default_factory=dict)
    answer: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fault:
    """One action of the nemesis; it is for the reader of a report, the checker does not use it."""

    at: float
    action: str
    target: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rest:
    """The final state in each reader: no client, no nemesis, no job, and nothing pending in the index.

    A part that is None was not read.
    """

    #: All events by memory id, as the ledger's port gives them.
    ledger: Mapping[str, list[EventSeen]] | None = None
    #: The same from `GET /export`, and from `GET /memories/{id}/history` for every id that the ledger knows.
    export: Mapping[str, list[EventSeen]] | None = None
    history: Mapping[str, list[EventSeen]] | None = None
    #: `GET /memories/{id}` for every such id: the memory or None.
    get: Mapping[str, State | None] | None = None
    #: For each scope used: {"scope", "memories"}, complete and with expired ones.
    lists: list[dict[str, Any]] | None = None
    #: {"kind": "user", "id", "total"} of every entity that is listed.
    totals: list[dict[str, Any]] | None = None
    #: {"scope", "query", "memories"}: one for each word of its own that a text had, `show_expired` and a large limit.
    searches: list[dict[str, Any]] | None = None
    #: Rows that the index holds: {"id", "version"}.
    index: list[dict[str, Any]] | None = None
    #: Memories that the ledger calls not yet indexed.
    pending: int | None = None


@dataclass(frozen=True, slots=True)
class History:
    """A run. `settings` holds at least `today` (YYYY-MM-DD): an earlier `expiration` has passed."""

    seed: int
    settings: Mapping[str, Any]
    operations: tuple[Operation, ...]
    faults: tuple[Fault, ...] = ()
    rest: Rest | None = None
    #: Memories (complete States) that were there before the first operation.
    start: tuple[State, ...] = ()


def save(history: History, path: Path) -> None:
    """Write the file, line by line."""
    with path.open("w", encoding="utf-8") as file:
        for line in _lines(history):
            file.write(json.dumps(line, ensure_ascii=True, separators=(",", ":")) + "\n")


def load(path: Path) -> History:
    """Read what `save` wrote; also a file that ends early, as a run that was killed leaves it."""
    head: dict[str, Any] = {}
    operations: list[Operation] = []
    faults: list[Fault] = []
    rest: Rest | None = None
    with path.open(encoding="utf-8") as file:
        for text in file:
            if not text.endswith("\n"):
                break
            line = json.loads(text)
            what = line.pop("line")
            if what == "header":
                head = line
            elif what == "operation":
                kind, outcome = Kind(line.pop("kind")), Outcome(line.pop("outcome"))
                operations.append(Operation(kind=kind, outcome=outcome, **line))
            elif what == "fault":
                faults.append(Fault(**line))
            elif what == "rest":
                rest = Rest(**line)
    operations.sort(key=lambda one: one.index)
    start = tuple(head.get("start", ()))
    return History(head["seed"], head["settings"], tuple(operations), tuple(faults), rest, start)


def _lines(history: History) -> Iterator[dict[str, Any]]:
    yield {"line": "header", "seed": history.seed, "settings": dict(history.settings), "start": history.start}
    for operation in history.operations:
        yield {"line": "operation", **asdict(operation)}
    for fault in history.faults:
        yield {"line": "fault", **asdict(fault)}
    if history.rest is not None:
        yield {"line": "rest", **asdict(history.rest)}
