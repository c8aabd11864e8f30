"""The store of jobs."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, islice

from forgetless.adapters.ledger_codec import dump, dump_job, from_blob, load_job, to_blob
from forgetless.adapters.ledger_dynamodb import erasures, item_keys, list_entries, message_items, usage
from forgetless.adapters.ledger_dynamodb.attribute_values import Item
from forgetless.adapters.ledger_dynamodb.expiry import EXPIRES_AT
from forgetless.adapters.ledger_dynamodb.item_keys import Key
from forgetless.adapters.ledger_dynamodb.leases import first_slot, take_slot
from forgetless.adapters.ledger_dynamodb.table import Between, key_of, part_keys, portions
from forgetless.adapters.ledger_dynamodb.turn_queues import Look, in_order
from forgetless.adapters.ledger_dynamodb.unit_of_work import Store, Unit, body_bytes
from forgetless.domain.cursors import time_place, to_cursor
from forgetless.domain.documents import in_turn
from forgetless.domain.jobs import Job, JobState
from forgetless.domain.limits import JOBS_AT_ONCE
from forgetless.domain.memory import Message
from forgetless.domain.portions import first_portion, until_heavy, weighed_portions
from forgetless.domain.slots import Slots
from forgetless.domain.usage import Use
from forgetless.ports.ledger import Compaction, Tell
from forgetless.ports.request_ledger import AcceptedJob

__all__ = ["JobStore", "complete", "forget_request", "is_open", "needed"]

#: The prefix of the partitions of lists of jobs.
_LIST = "K"

#: Separates job and request in a body. JSON escapes it, so it cannot occur in either.
_BETWEEN = b"\n"
#: So many jobs and the state of erasures are one batch.
_SOME = 99
#: About how many items `put_jobs` writes in one transaction; DynamoDB allows 100. A job or a message is two.
_ITEMS = 80
#: How many open jobs of a tenant a look in turn reads, the oldest first.
_OLDEST = 200
#: So many messages with so many characters fit into one transaction with their job, whatever their alphabet.
_FEW = 30
_FEW_CHARS = 500_000


class JobStore(Store):
    """See `forgetless.ports.request_ledger.JobStore`."""

    def put_job(self, job: Job, messages: Sequence[Message], *, used: Sequence[Use] = ()) -> Job:
        return self._units.run(lambda unit: _insert(unit, job, messages, used))

    def accept_job(
        self, job: Job, messages: Sequence[Message], slots: Slots, *, used: Sequence[Use] = ()
    ) -> AcceptedJob:
        if len(messages) > _FEW or sum(len(message.content) for message in messages) > _FEW_CHARS:
            # A staged commit must not contain the slot: leases are given up without looking at stages.
            standing = self.put_job(job, messages, used=used)
            wanted = standing.state is not JobState.SUCCEEDED
            return AcceptedJob(standing, self._units.run(lambda unit: take_slot(unit, slots)) if wanted else None)

        def accept(unit: Unit) -> AcceptedJob:
            standing = _insert(unit, job, messages, used, slots=slots)
            wanted = standing.state is not JobState.SUCCEEDED
            return AcceptedJob(standing, take_slot(unit, slots) if wanted else None)

        return self._units.run(accept)

    def put_jobs(self, jobs: Sequence[tuple[Job, Sequence[Message]]]) -> None:
        for few in _fitting(jobs):
            self._units.run(lambda unit, few=few: _insert_all(unit, few))  # type: ignore[misc]

    def job(self, tenant: str, job_id: str) -> Job | None:
        return next(iter(self._jobs([item_keys.job(tenant, job_id)]).values()), None)

    def jobs(self, tenant: str, *, limit: int, cursor: str | None = None) -> tuple[list[Job], str | None]:
        below = None
        if cursor is not None:
            created_at, id_ = time_place(cursor)
            below = _sort_key(created_at, id_)
        listed = list(islice(self._entries(tenant, below, limit + 1), limit + 1))
        held = self._held(tenant, listed[:limit])
        shown, cut = first_portion(held, lambda one: body_bytes(one[1]) if one[1] else 0, most=JOBS_AT_ONCE)
        kept = [item for _, item in shown if item is not None and not self._table.expiry.is_over(item)]
        found = [_load(item, body) for item, body in self._table.bodies(kept)]
        # The cursor comes from the list: TTL may have removed the jobs of a whole page, but not yet their entries.
        return found, _cursor(shown[-1][0]) if shown and (cut or len(listed) > limit) else None

    def count_jobs(self, tenant: str, *, limit: int) -> int | None:
        return sum(1 for _ in islice(self._entries(tenant, None, limit // 4 + 1), limit + 1))

    def claim_job(self, tenant: str, job_id: str, *, owner: str, now: str, until: str) -> Job | None:
        return self._units.run(lambda unit: _claim(unit, tenant, job_id, owner=owner, now=now, until=until))

    def update_job(self, job: Job, *, held: Job, used: Sequence[Use] = ()) -> bool:
        return self._units.run(lambda unit: _update(unit, job, held, used))

    def stuck_jobs(self, *, now: str, pending_before: str, limit: int, after: Job | None = None) -> list[Job]:
        look = Look(after="" if after is None else _turn(after))
        entries = in_order(self._table, item_keys.OPEN_QUEUES, look, page=limit)
        stuck = chain.from_iterable(
            self._stuck_among([key_of(entry) for entry in some], now, pending_before)
            for some in portions(entries, min(_SOME, max(limit, 1)))
        )
        return self._with_requests(item for item, _ in islice(stuck, limit))

    def stuck_in_turn(self, *, now: str, pending_before: str, limit: int, each: int) -> list[Job]:
        found = self._turns.in_turn(item_keys.OPEN_QUEUES, each=_OLDEST)
        # So that none is always left out if more tenants wait than one look reads, or their jobs have many bytes.
        random.shuffle(found)
        lists = (self._of_speakers(keys, now, pending_before, each) for keys in found)
        return self._with_requests(self._in_order(in_turn(list(islice(filter(None, lists), limit)), limit)))

    def _of_speakers(self, keys: list[Key], now: str, pending_before: str, most: int) -> list[Key]:
        """The keys of up to `most` stuck jobs among these, the oldest of each speaker."""
        oldest: dict[str, Key] = {}
        for portion in portions(keys, max(most, 1)):
            for item, job in self._stuck_among(portion, now, pending_before):
                oldest.setdefault(job.scope.writer_key(), key_of(item))
            if len(oldest) >= most:
                break
        return list(oldest.values())[:most]

    def expire_jobs(self, *, succeeded_before: str | None, failed_before: str | None, limit: int) -> int:
        del succeeded_before  # TTL removes them
        if failed_before is None:
            return 0
        limits = Between(list_entries.LOWEST, failed_before)
        queues = (self._table.queue(queue, limits, page=limit) for queue in item_keys.FAILED_QUEUES)
        due = list(islice(chain.from_iterable(queues), limit))
        return sum(self._units.run(partial(_expire_failed, key=key, before=failed_before)) for key in due)

    def expire_records(self, *, before: str, limit: int) -> int:
        del before, limit
        return 0  # TTL removes idempotency records and leases

    def compact(self, tell: Tell) -> Compaction:
        """Give jobs that ended under an earlier version the time at which they expire; reads the whole table.

        Whose they were goes if no message is left: an earlier version kept it when the last one expired.
        """
        changed = 0
        for number, key in enumerate(self._table.scan("JOB"), 1):
            changed += self._units.run(partial(_give_an_end, key=key))
            tell(number, None)
        return Compaction(changed)

    def _entries(self, tenant: str, below: str | None, page: int) -> Iterator[Item]:
        """The entries of the tenant's jobs that have not expired, the newest first."""
        entries = list_entries.merged(self._table, item_keys.partitions(_LIST, tenant, "jobs"), below, page)
        return (entry for entry in entries if not self._table.expiry.is_over(entry))

    def _held(self, tenant: str, entries: Sequence[Item]) -> Iterator[tuple[Item, Item | None]]:
        """Each of these entries of a list with its job's item, if there is one."""
        for some in portions(entries, _SOME):
            keys = [item_keys.job(tenant, from_blob(entry["job"])) for entry in some]
            held = self._table.read(keys)
            yield from ((entry, held.get(key)) for entry, key in zip(some, keys, strict=True))

    def _jobs(self, wanted: Sequence[Key]) -> dict[Key, Job]:
        kept = [item for item in self._table.read(wanted).values() if not self._table.expiry.is_over(item)]
        return {Key(item["pk"], item["sk"]): _load(item, body) for item, body in self._table.bodies(kept)}

    def _in_order(self, keys: Iterable[Key]) -> Iterator[Item]:
        """The items of those of these jobs that exist. Of a long one, they do not contain the body."""
        for some in portions(keys, _SOME):
            held = self._table.read(some)
            yield from (held[key] for key in some if key in held and not self._table.expiry.is_over(held[key]))

    def _stuck_among(self, keys: Sequence[Key], now: str, pending_before: str) -> Iterator[tuple[Item, Job]]:
        """The items of those of these jobs that are stuck, and the jobs without what they ask for."""
        for item in self._in_order(keys):
            job = self._without_request(item)
            if job is not None and _is_stuck(job, now, pending_before):
                yield item, job

    def _with_requests(self, items: Iterable[Item]) -> list[Job]:
        """The jobs of the first of these items that have JOBS_AT_ONCE bytes."""
        some = list(until_heavy(items, body_bytes, most=JOBS_AT_ONCE))
        return [_load(item, body) for item, body in self._table.bodies(some)]

    def _without_request(self, item: Item) -> Job | None:
        """The job without what it asks for; None if it is gone."""
        body = self._before_request(item)
        return load_job(from_blob(item["tenant"]), body, b"") if body else None

    def _before_request(self, item: Item) -> bytes:
        """The body up to what the job asks for; of a long one, only the first part is read. Empty if it is gone."""
        first = next(iter(part_keys(item)), None)
        part = item if first is None else self._table.one(first)
        body = b"" if part is None else bytes(part["body"])
        if _BETWEEN not in body:
            body = next((whole for _, whole in self._table.bodies([item])), b"")
        return body.partition(_BETWEEN)[0]


def complete(unit: Unit, job: Job) -> bool:
    """Write the end of a job that is new or still held by this worker; False when the job has already ended."""
    held = _read(unit, job.tenant, job.id)
    if held is not None and not held.ends_with(job):
        return False
    _put(unit, job)
    return True


def needed(job: Job) -> list[Key]:
    """The keys that `complete` reads. The entry of a job that was claimed is there, and gets the time of its end."""
    claimed = [item_keys.listed(_LIST, job.tenant, "jobs", "", _sort_key(job.created_at, job.id))]
    return [item_keys.job(job.tenant, job.id), *(claimed if job.lease_owner is not None else ())]


def is_open(unit: Unit, tenant: str, job_id: str) -> bool:
    """Whether the job, whose item is loaded, has not ended."""
    held = _read(unit, tenant, job_id)
    return held is not None and not held.finished


def forget_request(unit: Unit, tenant: str, job_id: str) -> None:
    """Erase the request of a finished job, which contains metadata, and its scope, when its last message is removed."""
    held = _read(unit, tenant, job_id)
    if held is not None and held.finished:
        _put(unit, held.nobodys())


def _read(unit: Unit, tenant: str, job_id: str) -> Job | None:
    item = unit.get(item_keys.job(tenant, job_id))
    return None if item is None or unit.expiry.is_over(item) else _load(item, unit.body(item))


def _put(unit: Unit, job: Job) -> None:
    key = item_keys.job(job.tenant, job.id)
    entry = item_keys.listed(_LIST, job.tenant, "jobs", "", _sort_key(job.created_at, job.id))
    held = unit.get(key)
    ends = unit.expiry.of_job(job)
    item: Item = {"tenant": to_blob(job.tenant), "created": job.created_at, **ends}
    if not job.finished:
        item |= {"gsi1pk": item_keys.queue_of(item_keys.OPEN_QUEUES, job.id), "gsi1sk": _turn(job)}
    elif job.state is JobState.FAILED:
        place = _sort_key(job.updated_at, job.id)
        item |= {"gsi1pk": item_keys.queue_of(item_keys.FAILED_QUEUES, job.id), "gsi1sk": place}
    unit.drop_body(held)
    unit.put(key, unit.with_body(key, item, dump_job(job) + _BETWEEN + dump(job.request)))
    listed = {"job": to_blob(job.id), **ends}
    if held is None:
        unit.put_new(entry, listed)
        return
    if held["created"] != job.created_at:
        unit.delete(item_keys.listed(_LIST, job.tenant, "jobs", "", _sort_key(held["created"], job.id)))
    elif ends.items() <= held.items():
        return  # the entry expires with the job already, or neither expires
    unit.put(entry, listed)


def _load(item: Item, body: bytes) -> Job:
    job, _, request = body.partition(_BETWEEN)
    return load_job(from_blob(item["tenant"]), job, request)


def _turn(job: Job) -> str:
    return item_keys.turn(job.tenant, job.created_at, item_keys.part(job.id))


def _sort_key(created_at: str, job_id: str) -> str:
    return f"{created_at}#{item_keys.part(job_id)}"


def _cursor(entry: Item) -> str:
    created_at, _, _ = str(entry["sk"]).partition("#")
    return to_cursor(created_at, from_blob(entry["job"]))


def _give_an_end(unit: Unit, key: Key) -> bool:
    item = unit.get(key)
    if item is None:
        return False
    job = _load(item, unit.body(item))
    if job.finished and (job.scope.ids() or job.request) and not unit.query(key.pk, item_keys.MESSAGES):
        _put(unit, job.nobodys())
        return True
    if EXPIRES_AT in item:
        return False
    if not job.finished or (job.state is JobState.FAILED and "gsi1pk" in item):
        return False
    _put(unit, job)
    return EXPIRES_AT in (unit.get(key) or {}) or job.state is JobState.FAILED


def _expire_failed(unit: Unit, key: Key, before: str) -> bool:
    """Remove a job with its messages, unless it was started again since the index named it."""
    item = unit.get(key)
    if item is None:
        return False
    job = _load(item, unit.body(item))
    if job.state is not JobState.FAILED or job.updated_at >= before:
        return False
    messages = unit.query(key.pk, item_keys.MESSAGES)
    message_items.remove(unit, [Key(message["pk"], message["sk"]) for message in messages])
    unit.delete(item_keys.listed(_LIST, job.tenant, "jobs", "", _sort_key(job.created_at, job.id)))
    unit.delete(key)
    return True


def _insert(
    unit: Unit, job: Job, messages: Sequence[Message], used: Sequence[Use] = (), *, slots: Slots | None = None
) -> Job:
    beside = [] if slots is None else [first_slot(unit, slots)]
    judged = [item_keys.job(job.tenant, job.id), item_keys.erasures(job.tenant)]
    unit.load([*judged, *beside, *message_items.needed(unit, messages)])
    held = _read(unit, job.tenant, job.id)
    if held is not None:
        return held
    erasures.refuse(unit, erasures.judge(unit, job.tenant), (), messages, job)
    _put(unit, job)
    message_items.insert(unit, messages)
    usage.count(unit, used)
    return job


def _insert_all(unit: Unit, jobs: Sequence[tuple[Job, Sequence[Message]]]) -> None:
    unit.load(item_keys.job(job.tenant, job.id) for job, _ in jobs)
    for job, messages in jobs:
        _insert(unit, job, messages)


def _fitting(jobs: Sequence[tuple[Job, Sequence[Message]]]) -> Iterator[list[tuple[Job, Sequence[Message]]]]:
    """The jobs in groups, each for one transaction if possible."""
    return weighed_portions(jobs, lambda one: 2 + 2 * len(one[1]), most=_ITEMS, count=len(jobs))


def _claim(unit: Unit, tenant: str, job_id: str, *, owner: str, now: str, until: str) -> Job | None:
    unit.load([item_keys.job(tenant, job_id), item_keys.erasures(tenant)])
    job = _read(unit, tenant, job_id)
    if job is None or job.finished or erasures.judge(unit, tenant).hides(job):
        return None
    if not job.claimable(now):
        # It is exactly our claim: an earlier try wrote it, and the answer was lost.
        return job if (job.lease_owner, job.lease_until, job.updated_at) == (owner, until, now) else None
    claimed = job.claimed(owner=owner, now=now, until=until)
    _put(unit, claimed)
    return claimed


def _update(unit: Unit, job: Job, held: Job, used: Sequence[Use]) -> bool:
    standing = _read(unit, job.tenant, job.id)
    if standing is None or not standing.stands_as(held):
        return False
    _put(unit, job)
    if used:
        usage.count(unit, used)
    return True


def _is_stuck(job: Job, now: str, pending_before: str) -> bool:
    if job.state is JobState.PENDING:
        return max(job.updated_at, job.next_try_at or "") < pending_before
    return job.state is JobState.RUNNING and (job.lease_until or "") <= now
