"""Add: the use case that accepts messages and stores them verbatim or passes them to extraction."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from forgetless.domain.erasures import ErasureState
from forgetless.domain.errors import DeadlineError, LeaseLostError, OutOfTimeError, QueueError
from forgetless.domain.jobs import LLM_CALLS, Job, JobState, job_id_for
from forgetless.domain.limits import ANSWER_BYTES, REQUEST_S
from forgetless.domain.memory import Event, EventKind, Memory, Message, MessageRef, job_event_id, memory_id
from forgetless.domain.memory_fields import GIVEN, given_fields
from forgetless.domain.slots import Slots
from forgetless.domain.times import later
from forgetless.domain.usage import OF_TENANT, UsageKind, Use, day_of
from forgetless.ports.call_times import slowest_part
from forgetless.ports.clock import Clock
from forgetless.ports.metrics import ADDS, THROTTLES
from forgetless.ports.queue import JobQueue
from forgetless.ports.request_ledger import RequestLedger
from forgetless.ports.request_usage import note_stored
from forgetless.ports.trace import stored_trace
from forgetless.service.known_names import KnownNames
from forgetless.service.llm_waits import LlmWaits
from forgetless.service.read_portions import memories_in_portions
from forgetless.service.requests import AddedMemory, AddOutcome, AddRequest
from forgetless.service.webhooks.outbox import WebhookOutbox
from forgetless.service.writing.indexer import Indexer
from forgetless.service.writing.infer import (
    InferenceRun,
    ScopeBusyError,
    UnfinishedError,
    finished,
    out_of_time,
    reason_of,
)

__all__ = ["AddService"]

_logger = logging.getLogger(__name__)

#: Seconds that a verbatim add gives the embedder before it stores its messages. A call that has begun may last 10 s
#: longer, and then the messages must still be stored within REQUEST_S.
EMBEDDING_S = 12.0
#: The pause between two reads of a job that a caller waits for.
_POLL_S = 0.1
#: At most this many facts of an add are looked for after its job has been removed. A first one is always at place 0,
#: unless another writer stored the same text at the same time.
_FACTS = 50
#: How long a caller that waits for a job then waits for the index.
_INDEX_S = 1.0
#: Context comes from the same conversation: at most so many messages, none of them older than an hour.
CONTEXT_AGE_S = 3600.0
CONTEXT_MESSAGES = 3


class AddService:
    """Accepts adds; `inference` is None if no LLM is configured."""

    def __init__(
        self,
        *,
        ledger: RequestLedger,
        indexer: Indexer,
        names: KnownNames,
        queue: JobQueue,
        clock: Clock,
        inference: InferenceRun | None,
        outbox: WebhookOutbox,
        waits: LlmWaits,
    ) -> None:
        self._ledger = ledger
        self._waits = waits
        self._indexer = indexer
        self._names = names
        self._queue = queue
        self._clock = clock
        self._inference = inference
        self._outbox = outbox

    def add(self, request: AddRequest) -> AddOutcome:
        """Store the messages of the request as memories, verbatim or by extraction. It counts as an add once.

        Raises the errors of the embedder (in a verbatim add, nothing is stored then), OutOfTimeError (nothing is stored
        either), the errors of the LLM (the job is FAILED and records the reason), DeadlineError (the job continues in
        the queue, because it took too long or others of the tenant wait already), LeaseLostError (another worker has
        the job), ErasedError (the scope was erased meanwhile, so nothing is stored) and LedgerError.
        """
        job, messages = self._accept(request)
        if not messages:
            return AddOutcome(finished(job, self._clock.now(), ()), (), indexed=True, extraction="verbatim")
        if self._inference is not None and self.asks_llm(request):
            job, messages = _numbered(job, messages, self._ledger.erasure_state(job.tenant))
            return self._infer(self._inference, self._inference.planned(job, messages), messages, request)
        extraction = "none" if request.infer else "verbatim"
        began = self._clock.monotonic()
        with self._ledger.erasures_beside(job.tenant) as beside:
            if request.idempotency_key is not None:
                # The process may have died after storing everything: answer what is stored, and do not index it again.
                standing = self._ledger.job(job.tenant, job.id) or self._done_long_ago(job, len(messages))
                if standing is not None and standing.state is JobState.SUCCEEDED:
                    return self._repeated(standing, extraction)
            before = self._said_before(messages[0])
        state = self._ledger.erasure_state(job.tenant) if beside.state is None else beside.state
        job, messages = _numbered(job, messages, state)
        return self._verbatim(job, before, messages, extraction=extraction, began=began)

    def asks_llm(self, request: AddRequest) -> bool:
        """Whether the LLM must read the messages of this add."""
        return request.infer and self._inference is not None

    def _accept(self, request: AddRequest) -> tuple[Job, list[Message]]:
        now = self._clock.now()
        asked = {
            **{field.name: getattr(request, field.name) for field in GIVEN},
            "memory_type": request.memory_type,
            "prompt": request.prompt,
            "agent_prompt": request.agent_prompt,
            "includes": request.includes,
            "excludes": request.excludes,
            "categories": None if request.categories is None else dict(request.categories),
            "categorised": request.categorised,
            "attachments": {
                str(place): list(said.attachments) for place, said in enumerate(request.messages) if said.attachments
            },
            "source_key": request.source_key,
        }
        job = Job(
            id=job_id_for(request.scope.tenant, request.idempotency_key),
            scope=request.scope,
            state=JobState.PENDING,
            created_at=now,
            updated_at=now,
            request={**{name: value for name, value in asked.items() if value}, **stored_trace()},
        )
        spoken_at = request.timestamp or now
        messages = [
            Message(MessageRef(job.id, place), request.scope, said.role, said.content, spoken_at, said.name)
            for place, said in enumerate(request.messages)
        ]
        return job, messages

    def _infer(self, inference: InferenceRun, job: Job, messages: list[Message], request: AddRequest) -> AddOutcome:
        """Accept the job, and do it unless it is to be queued.

        It is queued if the caller asks for that, if it needs several calls of the LLM, and if too many requests of the
        tenant wait already.
        """
        if (
            request.idempotency_key is not None
            and (done := self._done_long_ago(job, _FACTS))
            and self._ledger.job(job.tenant, job.id) is None
        ):
            return self._repeated(done, "llm")
        owner = f"inline-{uuid.uuid4()}"
        # Without anybody who receives its messages, a queue is no reason not to wait.
        waits = job.llm_calls is None and not (request.queued and self._queue.background)
        slots = self._waits.slots(job.tenant, owner) if waits else None
        standing, slot = self._put(job, messages, slots)
        if standing.state is JobState.FAILED:
            standing = self._revived(job, standing, messages)
        if standing.state is JobState.SUCCEEDED:
            if slot is not None:
                self._ledger.release_lease(slot, owner=owner)
            return self._repeated(standing, "llm")
        if standing.created_at == job.created_at:  # otherwise it repeats an add that is under way
            ADDS.count(tenant=job.tenant, kind="inferred")
        if waits and (slots is None or slot is not None):
            return self._wait_for(inference, standing, owner, slot, request)
        self.enqueue(standing)
        if request.queued:
            return AddOutcome(standing, (), indexed=False, extraction="llm")
        if slots is None:
            raise _late(UnfinishedError(), standing.id)
        THROTTLES.count(tenant=job.tenant, limit="llm_waits")
        message = f"{slots.most} requests of this tenant wait for the LLM already; this add continues in the background"
        raise DeadlineError(message, event_id=standing.id)

    def _put(self, job: Job, messages: Sequence[Message], slots: Slots | None) -> tuple[Job, str | None]:
        """The job as it stands in the ledger, and the slot that was taken for it, if one was asked for and free."""
        if slots is None:
            return self._ledger.put_job(job, messages, used=[one_add(job)]), None
        accepted = self._ledger.accept_job(job, messages, slots, used=[one_add(job)])
        return accepted.job, accepted.slot

    def _wait_for(
        self, inference: InferenceRun, standing: Job, owner: str, slot: str | None, request: AddRequest
    ) -> AddOutcome:
        """Do the job while its caller waits."""
        deadline = self._clock.monotonic() + REQUEST_S
        try:
            return inference.run(standing, owner=owner, deadline=deadline, slot=slot)
        except LeaseLostError:
            done = self._ledger.job(standing.tenant, standing.id)
            if done is not None and done.state is JobState.SUCCEEDED:
                return self._repeated(done, "llm")
            raise  # another worker has the job and will record how it ends
        except TimeoutError as error:
            inference.release(standing, owner=owner)
            self.enqueue(standing)
            if isinstance(error, UnfinishedError) and request.queued:
                return AddOutcome(standing, (), indexed=False, extraction="llm")
            raise _late(error, standing.id) from None
        except Exception as error:
            inference.fail(standing, owner=owner, reason=reason_of(error))
            raise

    def _done_long_ago(self, job: Job, places: int) -> Job | None:
        """How the job ended, if it was done so long ago that its record has been removed; the memories tell."""
        ids = [memory_id(job.id, place) for place in range(places)]
        found = self._ledger.known_ids(job.tenant, ids)
        results = [{"id": id_, "event": "ADD"} for id_ in ids if id_ in found]
        return finished(job, self._clock.now(), results) if results else None

    def _revived(self, job: Job, failed: Job, messages: Sequence[Message]) -> Job:
        """Start a failed job again, because the caller saw its error and repeats the add with the same key.

        If its messages have expired, nothing is left to work on, nor for an erasure to know the job by: the repeat is
        an add of its own.
        """
        if not self._ledger.job_messages(failed.tenant, failed.id):
            anew = replace(job, id=job_id_for(job.tenant, failed.id))
            said = [replace(one, ref=replace(one.ref, job_id=anew.id)) for one in messages]
            standing = self._ledger.put_job(anew, said, used=[one_add(anew)])
            return self._revived(anew, standing, said) if standing.state is JobState.FAILED else standing
        # Its messages are those of the first request, and so is what an erasure knows it by.
        again = replace(job, erasures_before=failed.erasures_before)
        if LLM_CALLS in failed.request:  # finished calls are not repeated
            again = replace(again, request={**job.request, LLM_CALLS: failed.request[LLM_CALLS]})
        if self._ledger.update_job(again, held=failed):
            return again
        return self._ledger.job(job.tenant, job.id) or again  # another repeat was first

    def awaited(self, outcome: AddOutcome, *, seconds: float) -> AddOutcome:
        """The outcome of a queued add as soon as it is in ledger and index, or its present state after `seconds`.

        It is the present state at once if too many requests of the tenant wait already.
        """
        if outcome.job.finished:
            return self._awaited(outcome, seconds)
        with self._waits.slot(outcome.job.tenant) as may_wait:
            return self._awaited(outcome, seconds) if may_wait else outcome

    def _awaited(self, outcome: AddOutcome, seconds: float) -> AddOutcome:
        now, job = self._clock.monotonic, outcome.job
        end = now() + seconds
        while not job.finished and now() < end:
            self._clock.sleep(min(_POLL_S, end - now()))
            job = self._ledger.job(job.tenant, job.id) or job
        if job.state is not JobState.SUCCEEDED:
            return replace(outcome, job=job)
        # The worker writes to the index right after the end of the job.
        end = min(end, now() + _INDEX_S)
        while not (done := self._repeated(job, "llm")).indexed and now() < end:
            self._clock.sleep(min(_POLL_S, end - now()))
        return done

    def enqueue(self, job: Job) -> None:
        """Send the job to the queue. If that fails, or where is none, the job waits in the ledger."""
        if not self._queue.background:
            return
        try:
            self._queue.send(job, attempt=job.updated_at)
        except QueueError as error:  # sweep finds it
            told = {"job_id": job.id, "reason": error.message}
            _logger.warning("an add was not sent to its queue", extra=told)

    def _said_before(self, first: Message) -> list[Message]:
        """The messages of the same conversation before the first one of an add."""
        since = later(first.created_at, -CONTEXT_AGE_S)
        return self._ledger.recent_messages(first.scope, since=since, before=first.created_at, limit=CONTEXT_MESSAGES)

    def _verbatim(
        self, job: Job, before: Sequence[Message], messages: Sequence[Message], *, extraction: str, began: float
    ) -> AddOutcome:
        """Store the messages in one transaction.

        If the embedder is slow, they are stored before all of them are embedded, and sweep indexes the others: the
        answer comes in time, and nothing is lost or stored twice, whether or not the client repeats the add.
        """
        said = [message for message in messages if message.role != "system"]
        spoken = [*before, *said]
        memories = [
            # The next message counts only within the add: no add changes rows of an earlier one.
            _as_memory(job, message, spoken[max(0, place - CONTEXT_MESSAGES) : place] + spoken[place + 1 : place + 2])
            for place, message in enumerate(said, len(before))
        ]
        talk = {message.ref: message for message in spoken}
        # What the embedder refuses is found by its words. Sweep tries it again, and sets it aside in the end.
        in_time = partial(self._in_time, began)
        rows = self._indexer.rows(memories, talk, in_time=in_time)
        if self._clock.monotonic() >= began + REQUEST_S:
            slow = slowest_part("the ledger or the embedder")
            raise OutOfTimeError(f"{slow} was too slow; nothing was stored: send the add again")
        done = finished(job, self._clock.now(), [{"id": memory.id, "event": "ADD"} for memory in memories])
        events = [Event(EventKind.ADD, memory) for memory in memories]
        self._outbox.record(events)
        self._ledger.append(events, completing=done, messages=messages, used=[one_add(job)])
        note_stored(len(memories))
        self._names.note(said)
        ADDS.count(tenant=job.tenant, kind="verbatim")
        self._indexer.forget_erased(memories, talk, at=done.updated_at)
        indexed = self._indexer.write(rows) and len(rows) == len(memories)
        return AddOutcome(done, added(memories), indexed=indexed, extraction=extraction)

    def _in_time(self, began: float) -> bool:
        return self._clock.monotonic() < began + EMBEDDING_S

    def _repeated(self, job: Job, extraction: str) -> AddOutcome:
        """The answer for a job that is already done: the same memory ids, with their present texts."""
        shown: list[AddedMemory] = []
        live: list[str] = []
        chars = 0
        for ids, found in memories_in_portions(self._ledger, job.tenant, [result["id"] for result in job.results]):
            memories = [found[id_] for id_ in ids if id_ in found]
            shown += added(memories)
            live += [memory.id for memory in memories if memory.live]
            chars += sum(len(memory.text) for memory in memories)
            if chars > ANSWER_BYTES:  # an answer with these is refused, whatever follows
                break
        indexed = not self._ledger.pending(job.tenant, live)
        return AddOutcome(job, tuple(shown), indexed=indexed, extraction=extraction)


def _numbered(job: Job, messages: Sequence[Message], state: ErasureState) -> tuple[Job, list[Message]]:
    """The job and its messages with the number of the last erasure: every later one covers what they become."""
    return (
        replace(job, erasures_before=state.last),
        [replace(message, erasures_before=state.last) for message in messages],
    )


def one_add(job: Job) -> Use:
    """The job as one add of the key that pays for it, on the day when it was accepted."""
    key_id, at = job.payer
    return Use(job.tenant, key_id or OF_TENANT, day_of(at), {UsageKind.ADDS: 1})


def _late(error: TimeoutError, job_id: str) -> DeadlineError:
    if isinstance(error, UnfinishedError):
        message = "the messages are too long for one call of the LLM; this add continues in the background"
        return DeadlineError(message, event_id=job_id)
    if isinstance(error, ScopeBusyError):
        message = f"{error}; this add continues in the background"
        return DeadlineError(message, event_id=job_id, retry_after=error.retry_after)
    return DeadlineError(f"{out_of_time()}; the add continues in the background", event_id=job_id)


def added(memories: Sequence[Memory]) -> tuple[AddedMemory, ...]:
    """The results of an add that stored these memories."""
    return tuple(
        AddedMemory(memory.id, memory.text, EventKind.ADD.value, memory.version, memory.role, memory.actor_id)
        for memory in memories
    )


def _as_memory(job: Job, message: Message, context: Sequence[Message]) -> Memory:
    return Memory(
        id=memory_id(job.id, message.ref.position),
        version=1,
        scope=job.scope,
        text=message.content,
        created_at=message.created_at,
        updated_at=min(message.created_at, job.created_at),
        job_id=job.id,
        position=message.ref.position,
        role=message.role,
        actor_id=message.name,
        source_key=job.request.get("source_key"),
        recorded_at=job.created_at if job.created_at != message.created_at else None,
        context=tuple(other.ref for other in context),
        sources=(message.ref,),
        event_id=job_event_id(job.id, message.ref.position),
        erasures_before=job.erasures_before,
        **given_fields(job.request, [message.ref.position]),
    )
