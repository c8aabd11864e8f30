"""Memories, history, jobs and entities in the Platform's form; a run appears as both `run_id` and `session_id`."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from forgetless.api.history_answer import superseding_fields
from forgetless.domain.bulk_jobs import BulkJob
from forgetless.domain.erasure_receipts import Cleaning, receipt_of
from forgetless.domain.jobs import Job
from forgetless.domain.memory import Memory, Message
from forgetless.domain.memory_fields import Dialect, labels
from forgetless.domain.times import seconds_between
from forgetless.ports.request_ledger import Entity
from forgetless.service.requests import AddedMemory, ErasedScope, HistoryItem, ScoreDetails, ScoredMemory

__all__ = [
    "added_item",
    "bulk_event_item",
    "entity_item",
    "entity_number",
    "erased_item",
    "event_item",
    "history_item",
    "memory_item",
    "score_breakdown",
    "search_item",
]

#: Fields that are shown unchanged, as null if they have no value. They are in two places, to keep the Platform's order.
_TERMS = ("expiration_date", "immutable")
_LABELS = labels(Dialect.PLATFORM, "attributed_to", "role", "actor_id", apart=_TERMS)
#: Whole numbers up to here are exact in JavaScript.
_NUMBERS = 2**53


def memory_item(memory: Memory, fields: Collection[str] | None = None) -> dict[str, Any]:
    """One memory; with `fields`, only these and the id."""
    item = {
        "id": memory.id,
        "memory": memory.text,
        **_ids(memory),
        "hash": memory.hash,
        "version": memory.version,
        "metadata": dict(memory.metadata) or None,
        "categories": list(memory.categories) or None,
        "created_at": memory.created_at,
        "updated_at": memory.updated_at,
        "recorded_at": memory.accepted_at,
        **{name: getattr(memory, name) for name in _TERMS},
        "structured_attributes": _attributes(memory.created_at),
        **{name: getattr(memory, name) for name in _LABELS},
        "source_job": memory.source_job,
        "replaced_by": memory.superseded_by,
        "lifecycle_state": "active" if memory.live else "superseded",
        "synthesized": False,
    }
    return {name: value for name, value in item.items() if name == "id" or name in fields} if fields else item


def search_item(found: ScoredMemory, fields: Collection[str] | None = None) -> dict[str, Any]:
    """One hit, with its score between 0 and 1."""
    item = {**memory_item(found.memory), "score": found.score}
    if found.details is not None:
        item["score_breakdown"] = score_breakdown(found.details)
    return {name: value for name, value in item.items() if name == "id" or name in fields} if fields else item


def score_breakdown(details: ScoreDetails) -> dict[str, float | bool | None]:
    """The parts of a score: those that mem0 names, what each part of ours adds, and the calibrated probability."""
    return {
        "semantic": details.semantic_score,
        "bm25": details.bm25_score,
        "entity": details.entity_boost,
        **details.shares(),
        "probability": details.probability,
        "by_words_alone": details.by_words_alone,
    }


def added_item(added: AddedMemory) -> dict[str, Any]:
    """One result of an add, in both forms that clients read."""
    return {
        "id": added.id,
        "memory": added.memory,
        "data": {"memory": added.memory},
        "event": added.event,
        "version": added.version,
    }


def history_item(item: HistoryItem, said: Sequence[Message]) -> dict[str, Any]:
    """One event of a memory, with the messages that the memory was made from."""
    memory = item.memory
    return {
        "id": item.id,
        "memory_id": item.memory_id,
        "version": memory.version,
        "input": [{"role": message.role, "content": message.content} for message in said],
        "old_memory": item.old_memory,
        "new_memory": item.new_memory,
        **_ids(memory),
        "categories": list(memory.categories) or None,
        "event": item.event.value,
        "metadata": dict(memory.metadata) or None,
        "created_at": item.created_at,
        "updated_at": item.updated_at or item.created_at,
        **superseding_fields(item),
    }


def event_item(job: Job | BulkJob, texts: Mapping[str, str], cleanings: Iterable[Cleaning] = ()) -> dict[str, Any]:
    """One job; `texts` are the texts of its memories that still exist, by id, and `cleanings` for receipts."""
    if isinstance(job, BulkJob):
        return bulk_event_item(job, cleanings)
    return {
        "id": job.id,
        "event_type": "ADD",
        "status": job.state.value,
        "payload": {} if job.erased else job.scope.ids(),  # its rows may still be there for a moment
        "metadata": {**(job.request.get("metadata") or {}), **_progress(job)},
        "results": [_event_result(result, texts) for result in job.results],
        **_course(job),
    }


def _progress(job: Job) -> dict[str, Any]:
    """What the metadata of an add says about its course."""
    if job.erased:
        return {"erased": True}
    if job.llm_calls is None or job.finished:
        return {}
    done, of = job.llm_calls
    return {"llm_calls_done": done, "llm_calls": of}


def bulk_event_item(job: BulkJob, cleanings: Iterable[Cleaning] = ()) -> dict[str, Any]:
    """One bulk job, with how far it has come in its metadata; that of an erasure has a receipt."""
    receipt = receipt_of(job, cleanings)
    receipted = {} if receipt is None else {"receipt": receipt.record()}
    return {
        "id": job.id,
        "event_type": job.kind.upper(),
        "status": job.state.value,
        "payload": dict(job.ids),
        "metadata": {
            "done": job.done,
            "total": job.total,
            "set_aside": job.set_aside,
            **receipted,
            **({"done_is_lower_bound": True} if job.done_at_least else {}),
        },
        "results": [],
        **_course(job),
    }


def erased_item(erased: ErasedScope) -> dict[str, Any]:
    """What an erasure adds to its answer: how many memories the request itself removed, and its event."""
    return {"deleted": erased.deleted, "event_id": erased.event_id}


def entity_number(kind: str, id_: str) -> int:
    """The number of an entity, for routes that require one. It is derived from kind and id, so it never changes."""
    digest = hashlib.sha256(f"{kind}\x00{id_}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8]) % _NUMBERS


def entity_item(entity: Entity) -> dict[str, Any]:
    """One user, agent, app or run with its totals."""
    return {
        "id": entity_number(entity.kind, entity.id),
        "name": entity.id,
        "type": entity.kind,
        "created_at": entity.created_at,
        "updated_at": entity.updated_at,
        "owner": None,
        "metadata": None,
        "total_memories": entity.total_memories,
        **({"totals_pending": True} if entity.totals_pending else {}),
    }


def _event_result(result: Mapping[str, Any], texts: Mapping[str, str]) -> dict[str, Any]:
    text = texts.get(result["id"])
    return {"id": result["id"], "event": result.get("event", "ADD"), "memory": text, "data": {"memory": text}}


def _course(job: Job | BulkJob) -> dict[str, Any]:
    """When a job began and ended, and why it failed."""
    ended = job.started_at is not None and job.completed_at is not None
    return {
        "created_at": job.created_at,
        "updated_at": job.updated_at,
        "started_at": job.started_at,
        "completed_at": job.completed_at,
        "latency": seconds_between(job.started_at, job.completed_at) * 1000 if ended else None,  # type: ignore[arg-type]
        "graph_status": None,
        "error": job.error,
        **({"next_try_at": job.next_try_at} if isinstance(job, Job) and job.error and job.next_try_at else {}),
    }


def _ids(memory: Memory) -> dict[str, str | None]:
    scope = memory.scope
    run = scope.run_id or None
    return {
        "user_id": scope.user_id or None,
        "agent_id": scope.agent_id or None,
        "app_id": scope.app_id or None,
        "run_id": run,
        "session_id": run,
    }


def _attributes(created_at: str) -> dict[str, Any]:
    """The attributes that the Platform derives from the time."""
    moment = datetime.fromisoformat(created_at)
    week_day = moment.isoweekday()
    return {
        "year": moment.year,
        "month": moment.month,
        "day": moment.day,
        "hour": moment.hour,
        "minute": moment.minute,
        "day_of_week": moment.strftime("%A").lower(),
        "is_weekend": week_day > 5,
        "quarter": (moment.month + 2) // 3,
        "week_of_year": moment.isocalendar().week,
        "day_of_year": moment.timetuple().tm_yday,
    }
