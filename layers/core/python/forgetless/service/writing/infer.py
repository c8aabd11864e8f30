"""Inference: turns one accepted job into memories under the lease of its scope; it takes effect at most once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

from forgetless.domain.backoff import Backoff
from forgetless.domain.errors import (
    DuplicateTextError,
    ErasedError,
    ForgetlessError,
    LeaseLostError,
    ShownErasedError,
    VersionConflictError,
)
from forgetless.domain.jobs import Job, JobState
from forgetless.domain.limits import JOB_S, LEASE_MARGIN_S
from forgetless.domain.memory import Event, EventKind, Memory, Message, job_event_id
from forgetless.domain.times import later, wait_s
from forgetless.domain.usage import Use
from forgetless.ports.call_times import slowest_part
from forgetless.ports.clock import Clock
from forgetless.ports.llm import Llm
from forgetless.ports.metrics import ADDS_FAILED, EXTRACTION_FAILURES, EXTRACTIONS, FACTS
from forgetless.ports.request_ledger import RequestLedger, Shown
from forgetless.ports.request_usage import RequestUsage, note_counted_tokens, note_stored, note_tokens, noting_usage
from forgetless.service.conflict_retry import ConflictRetry
from forgetless.service.known_names import KnownNames
from forgetless.service.llm_trials import calling_for
from forgetless.service.requests import AddedMemory, AddOutcome
from forgetless.service.webhooks.outbox import WebhookOutbox
from forgetless.service.writing.extraction import Fact
from forgetless.service.writing.extraction_calls import ExtractionCalls, KnownContext, UnfinishedError, tokens_used
from forgetless.service.writing.indexer import Change, Indexer
from forgetless.service.writing.portion_asks import as_memory
from forgetless.service.writing.related_memories import RelatedMemories
from forgetless.service.writing.supersession import Supersession, is_newer, may_supersede

__all__ = [
    "LEASE_MARGIN_S",
    "LONGEST_LEASE_S",
    "InferenceRun",
    "ScopeBusyError",
    "UnfinishedError",
    "finished",
    "given_up",
    "out_of_time",
    "reason_of",
    "waiting",
]

_logger = logging.getLogger(__name__)

#: The longest lease that anybody takes (a worker of the queue). Nobody is asked to wait longer than this.
LONGEST_LEASE_S = JOB_S + LEASE_MARGIN_S
#: The waits between two looks whether the lease of the scope is free.
_LEASE_WAITS = Backoff(first_s=0.05, longest_s=0.5, least=0.5)


class ScopeBusyError(TimeoutError):
    """Another add held the lease of the same scope until the deadline; the lease ends in `retry_after` seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("another add of the same user, agent, app or run did not finish in time")
        self.retry_after = retry_after


def finished(job: Job, at: str, results: Sequence[Mapping[str, Any]]) -> Job:
    """The job as SUCCEEDED, without its request: that repeats what the memories hold, and they may be deleted."""
    return replace(
        job,
        state=JobState.SUCCEEDED,
        request={},
        results=tuple(results),
        started_at=job.started_at or job.created_at,
        completed_at=at,
        updated_at=at,
        error=None,
    )


def given_up(job: Job, at: str, *, owner: str | None, reason: str) -> Job:
    """The job as FAILED; `owner`, who gives it up, stays recorded, because only a waiting job has no owner.

    Its request and messages are kept, so that it can be started again.
    """
    return replace(
        job,
        state=JobState.FAILED,
        error=reason,
        completed_at=at,
        updated_at=at,
        lease_owner=owner,
        lease_until=None,
    )


def waiting(job: Job, at: str) -> Job:
    """The job as PENDING, without an owner; `updated_at` shows when it was put back."""
    return replace(job, state=JobState.PENDING, updated_at=at, lease_owner=None, lease_until=None)


def out_of_time() -> str:
    """What kept the job of this request or worker from being done in time."""
    slowest = slowest_part("the LLM")
    return f"{slowest} did not answer in time" if slowest == "the LLM" else f"{slowest} took most of the time there was"


def reason_of(error: Exception, *, logged: bool = False) -> str:
    """Why a job failed, for its field `error`, or for the log.

    An unforeseen error gives only its name: its text may quote content.
    """
    if isinstance(error, ForgetlessError):
        return f"{error.code}: {error.logged if logged else error.message}"
    if isinstance(error, ScopeBusyError):
        return f"deadline_exceeded: {error}"
    if isinstance(error, TimeoutError):
        return f"deadline_exceeded: {out_of_time()}"
    return f"internal_error: {type(error).__name__}"


class InferenceRun:
    """Runs jobs whose messages an LLM turns into facts."""

    def __init__(
        self,
        *,
        ledger: RequestLedger,
        indexer: Indexer,
        names: KnownNames,
        related: RelatedMemories,
        supersession: Supersession,
        llm: Llm,
        clock: Clock,
        outbox: WebhookOutbox,
        known: KnownContext,
    ) -> None:
        self._calls = ExtractionCalls(ledger=ledger, related=related, llm=llm, clock=clock, known=known)
        self._ledger = ledger
        self._outbox = outbox
        self._indexer = indexer
        self._names = names
        self._supersession = supersession
        self._clock = clock

    def planned(self, job: Job, messages: Sequence[Message]) -> Job:
        """A new job; if its messages are too long for one call of the LLM, it says how many calls it needs."""
        return self._calls.planned(job, messages)

    def run(
        self,
        job: Job,
        *,
        owner: str,
        deadline: float,
        slot: str | None = None,
        goes_on: Callable[[], bool] | None = None,
    ) -> AddOutcome:
        """Run the job as `owner` until `deadline` (monotonic seconds of the clock).

        Raises UnfinishedError when somebody must go on with it: after the deadline, when `goes_on`, asked before each
        further call of the LLM, says no or, as in a request, is None.

        If the scope is erased meanwhile, the job ends as erased and stores nothing. Raises ScopeBusyError when the
        lease of the scope was not free before the deadline, TimeoutError when the LLM was too slow, the errors of LLM
        and embedder, and LeaseLostError when another worker has the job or has done it. At the end it gives up the
        `slot` in which its caller waits.
        """
        lease = f"scope:{job.scope.writer_key()}"
        held = [] if slot is None else [slot]
        try:
            self._take_lease(lease, job, owner, deadline)
            held.append(lease)
            return self._claim(job, owner, deadline, goes_on=goes_on)
        finally:
            if held:
                self._ledger.release_lease(*held, owner=owner)

    def _claim(self, job: Job, owner: str, deadline: float, *, goes_on: Callable[[], bool] | None) -> AddOutcome:
        try:
            claimed = self._ledger.claim_job(
                job.tenant, job.id, owner=owner, now=self._clock.now(), until=self._until(deadline)
            )
            if claimed is None:
                raise self._taken(job)
            with calling_for(claimed):
                return self._do(claimed, deadline, goes_on=goes_on)
        except ErasedError:
            return self._erased(job, owner)
        except (LeaseLostError, UnfinishedError):
            raise
        except Exception as error:
            EXTRACTION_FAILURES.count(tenant=job.tenant, code=reason_of(error).partition(":")[0])
            raise

    def fail(self, job: Job, *, owner: str, reason: str) -> None:
        """Record that the job failed without effect. Its caller has seen the reason."""
        ADDS_FAILED.count(tenant=job.tenant)
        self._replace(job, owner, lambda held: given_up(held, self._clock.now(), owner=owner, reason=reason))

    def release(self, job: Job, *, owner: str) -> None:
        """Put the job back to PENDING, so that the queue or sweep runs it again."""
        self._replace(job, owner, lambda held: waiting(held, self._clock.now()))

    def _erased(self, job: Job, owner: str) -> AddOutcome:
        """End the job as erased. Whoever removes what the erasure covers does the same."""
        ended = self._ledger.job(job.tenant, job.id) or job
        self._replace(job, owner, lambda held: replace(held.as_erased(), updated_at=self._clock.now()))
        return AddOutcome(ended.as_erased(), (), indexed=True, extraction="llm")

    def _replace(self, job: Job, owner: str, change: Callable[[Job], Job]) -> None:
        # The job may have been claimed by `owner`, or may have failed before that. If another worker has changed it
        # since, that worker has taken it over and decides its state.
        held = self._ledger.job(job.tenant, job.id)
        if held is not None and held.lease_owner in {owner, None} and not held.finished:
            self._ledger.update_job(change(held), held=held)

    def _raise_if_taken(self, job: Job, owner: str) -> None:
        standing = self._ledger.job(job.tenant, job.id)
        if (
            standing is None
            or standing.finished
            or (standing.held_s(self._clock.now()) and standing.lease_owner != owner)
        ):
            raise self._taken(job)

    def _taken(self, job: Job) -> LeaseLostError:
        standing = self._ledger.job(job.tenant, job.id)
        if standing is None or standing.finished:
            return LeaseLostError("another worker has finished this job meanwhile")
        wait = max(1, standing.held_s(self._clock.now()))
        return LeaseLostError("another worker is running this job", retry_after=wait)

    def _until(self, deadline: float) -> str:
        return later(self._clock.now(), max(0.0, deadline - self._clock.monotonic()) + LEASE_MARGIN_S)

    def _take_lease(self, lease: str, job: Job, owner: str, deadline: float) -> None:
        looks = count()
        while not self._ledger.acquire_lease(lease, owner=owner, now=self._clock.now(), until=self._until(deadline)):
            # While another one has it, a waiting writer only reads: a write costs more, and disturbs the holder.
            while True:
                if (left := deadline - self._clock.monotonic()) <= 0:
                    raise ScopeBusyError(self._wait_for(lease))
                self._clock.sleep(min(_LEASE_WAITS.wait_s(look := next(looks)), left))
                if look == 0:  # a message that was delivered twice need not wait for its own job
                    self._raise_if_taken(job, owner)
                until = self._ledger.lease_until(lease)
                if until is None or until <= self._clock.now():
                    break

    def _wait_for(self, lease: str) -> int:
        """The whole seconds until the lease ends, at most LONGEST_LEASE_S."""
        until = self._ledger.lease_until(lease)
        return 1 if until is None else wait_s(self._clock.now(), until, at_most=LONGEST_LEASE_S)

    def _do(self, job: Job, deadline: float, *, goes_on: Callable[[], bool] | None) -> AddOutcome:
        while True:
            used = RequestUsage()
            try:
                return self._metered(job, deadline, used, goes_on=goes_on)
            except ShownErasedError:
                # The LLM was shown something that is deleted now, so its facts may contain it: they are thrown away.
                _logger.info("something that the LLM was shown was deleted; it is asked again", extra=_id_of(job))
                if self._clock.monotonic() >= deadline:
                    raise TimeoutError from None
                job = self._calls.without_erased(job, RequestUsage())

    def _metered(
        self, job: Job, deadline: float, used: RequestUsage, *, goes_on: Callable[[], bool] | None
    ) -> AddOutcome:
        """One try. The LLM's tokens are counted with what it stores, or by the caller if it stores nothing."""
        try:
            with noting_usage(used):
                outcome = self._once(job, deadline, used, goes_on=goes_on)
        except Exception:
            note_tokens(used.llm_tokens)
            note_counted_tokens(used.counted_tokens)
            raise
        note_counted_tokens(used.llm_tokens + used.counted_tokens)
        note_stored(len(outcome.results))
        return outcome

    def _once(self, job: Job, deadline: float, used: RequestUsage, *, goes_on: Callable[[], bool] | None) -> AddOutcome:
        messages = self._ledger.job_messages(job.tenant, job.id)
        found = self._calls.run(job, messages, deadline=deadline, goes_on=goes_on, used=used)
        job = found.job
        memories = [as_memory(job, fact, place, messages) for place, fact in enumerate(found.facts)]
        # A fact may also supersede one of an earlier call.
        facts = self._supersession.restrict(job.scope, found.facts, [*found.existing, *memories], messages)
        talk = {message.ref: message for message in messages}
        # Rows of facts leave out the names of their place, those of this add too, whose messages are stored already.
        self._names.note(messages)
        # A fact that the embedder refuses is found by its words, and sweep tries it again.
        rows = self._indexer.rows(memories, talk)
        new = list(zip(memories, facts, strict=True))
        seen = {memory.id: memory.hash for memory in [*found.existing, *memories]}
        stored, changes, done = self._append(job, new, seen, found.shown, tokens_used(job, used))
        self._indexer.forget_erased(stored, talk, at=done.updated_at)
        EXTRACTIONS.count()
        FACTS.count(len(stored))
        kept = {memory.id for memory in stored} - {change.after.id for change in changes}
        written = [row for row in rows if row.memory.id in kept]
        # A fact that another one of the same add supersedes never had a row; what was made for it can be moved.
        made = {(row.memory.id, row.memory.version): row.content for row in rows}
        indexed = self._indexer.write(written, changes=changes, known=made) and len(written) == len(kept)
        results = tuple(AddedMemory(memory.id, memory.text, EventKind.ADD.value, memory.version) for memory in stored)
        return AddOutcome(done, results, indexed=indexed, extraction="llm")

    def _append(
        self,
        job: Job,
        kept: list[tuple[Memory, Fact]],
        seen: Mapping[str, str],
        shown: Shown,
        used: Sequence[Use],
    ) -> tuple[list[Memory], list[Change], Job]:
        """Append the memories, and try again after each conflict.

        Returns the stored memories, the changes of the memories that they superseded, and the finished job.
        """
        retry = ConflictRetry(self._clock)
        while True:
            changes = self._superseded(job, kept, seen)
            stored = [memory for memory, _ in kept]
            done = finished(job, self._clock.now(), [{"id": memory.id, "event": "ADD"} for memory in stored])
            events = [Event(EventKind.ADD, memory) for memory in stored]
            events += [Event(EventKind.UPDATE, change.after) for change in changes]
            self._outbox.record(events)
            try:
                self._ledger.append(events, completing=done, shown=shown, used=used)
            except DuplicateTextError as error:
                kept = [(memory, fact) for memory, fact in kept if memory.id not in error.memory_ids]
            except VersionConflictError:
                _logger.info("a superseded memory was changed meanwhile", extra=_id_of(job))
                if not retry.again():
                    raise
            else:
                return stored, changes, done

    def _superseded(self, job: Job, kept: Sequence[tuple[Memory, Fact]], seen: Mapping[str, str]) -> list[Change]:
        """The memories that the facts supersede, unless their text is another than the LLM has `seen`, by its hash."""
        successor = {old: memory.id for memory, fact in kept for old in fact.supersedes}
        own = {memory.id: memory for memory, _ in kept if memory.id in successor}
        others = [id_ for id_ in successor if id_ not in own]
        current = {**own, **(self._ledger.read(job.tenant, others) if others else {})}
        at = self._clock.now()
        return [
            Change(
                memory,
                memory.next_version(at, event_id=job_event_id(job.id, memory.id), superseded_by=successor[memory.id]),
            )
            for memory in current.values()
            if may_supersede(job.scope, memory) and not is_newer(memory, job) and seen.get(memory.id) == memory.hash
        ]


def _id_of(job: Job) -> Mapping[str, str]:
    """What the log says of a job."""
    return {"job_id": job.id}
