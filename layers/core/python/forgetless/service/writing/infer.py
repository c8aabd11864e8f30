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
    ProviderRequestError,
    ShownErasedError,
    VersionConflictError,
)
from forgetless.domain.jobs import Job, JobState
from forgetless.domain.limits import JOB_S, LEASE_MARGIN_S
from forgetless.domain.memory import Event, EventKind, Memory, Message, MessageRef, job_event_id, memory_id
from forgetless.domain.memory_fields import given_fields
from forgetless.domain.supersession import least_trusted_role
from forgetless.domain.times import later, wait_s
from forgetless.domain.usage import OF_TENANT, UsageKind, Use, day_of
from forgetless.ports.clock import Clock
from forgetless.ports.llm import Llm
from forgetless.ports.metrics import ADDS_FAILED, EXTRACTION_FAILURES, EXTRACTIONS, FACTS
from forgetless.ports.request_ledger import RequestLedger, Shown
from forgetless.ports.request_usage import RequestUsage, note_counted_tokens, note_stored, note_tokens, noting_usage
from forgetless.service.conflict_retry import ConflictRetry
from forgetless.service.known_names import KnownNames
from forgetless.service.projects.settings import ProjectService
from forgetless.service.requests import AddedMemory, AddOutcome
from forgetless.service.webhooks.outbox import WebhookOutbox
from forgetless.service.writing.extraction import ExtractionRequest, Fact, extract, summarise_procedure
from forgetless.service.writing.extraction_settings import ExtractionSettings
from forgetless.service.writing.indexer import Indexer
from forgetless.service.writing.related_memories import RelatedMemories
from forgetless.service.writing.supersession import Supersession, is_newer, may_supersede

__all__ = [
    "LEASE_MARGIN_S",
    "LONGEST_LEASE_S",
    "InferenceRun",
    "ScopeBusyError",
    "finished",
    "given_up",
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


def reason_of(error: Exception) -> str:
    """Why a job failed, for its field `error`. An unforeseen error gives only its name: its text may quote content."""
    if isinstance(error, ForgetlessError):
        return f"{error.code}: {error.message}"
    if isinstance(error, ScopeBusyError):
        return f"deadline_exceeded: {error}"
    if isinstance(error, TimeoutError):
        return "deadline_exceeded: the LLM did not answer in time"
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
    ) -> None:
        self._projects = ProjectService(ledger=ledger, clock=clock)
        self._ledger = ledger
        self._outbox = outbox
        self._indexer = indexer
        self._names = names
        self._related = related
        self._supersession = supersession
        self._llm = llm
        self._clock = clock

    def run(self, job: Job, *, owner: str, deadline: float, slot: str | None = None) -> AddOutcome:
        """Run the job as `owner` until `deadline` (monotonic seconds of the clock).

        If the scope is erased meanwhile, the job ends as erased and stores nothing. Raises ScopeBusyError when the
        lease of the scope was not free before the deadline, TimeoutError when the LLM was too slow, the errors of LLM
        and embedder, and LeaseLostError when another worker has the job or has done it. At the end it gives up the
        `slot` in which its caller waits.
        """
        lease = f"scope:{job.scope.writer_key()}"
        held = [] if slot is None else [slot]
        try:
            self._take_lease(lease, owner, deadline)
            held.append(lease)
            return self._claim(job, owner, deadline)
        finally:
            if held:
                self._ledger.release_lease(*held, owner=owner)

    def _claim(self, job: Job, owner: str, deadline: float) -> AddOutcome:
        try:
            claimed = self._ledger.claim_job(
                job.tenant, job.id, owner=owner, now=self._clock.now(), until=self._until(deadline)
            )
            if claimed is None:
                raise self._taken(job)
            return self._do(claimed, deadline)
        except ErasedError:
            return self._erased(job, owner)
        except LeaseLostError:
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

    def _taken(self, job: Job) -> LeaseLostError:
        standing = self._ledger.job(job.tenant, job.id)
        if standing is None or standing.finished:
            return LeaseLostError("another worker has finished this job meanwhile")
        wait = max(1, standing.held_s(self._clock.now()))
        return LeaseLostError("another worker is running this job", retry_after=wait)

    def _until(self, deadline: float) -> str:
        return later(self._clock.now(), max(0.0, deadline - self._clock.monotonic()) + LEASE_MARGIN_S)

    def _take_lease(self, lease: str, owner: str, deadline: float) -> None:
        looks = count()
        while not self._ledger.acquire_lease(lease, owner=owner, now=self._clock.now(), until=self._until(deadline)):
            # While another one has it, a waiting writer only reads: a write costs more, and disturbs the holder.
            while True:
                if (left := deadline - self._clock.monotonic()) <= 0:
                    raise ScopeBusyError(self._wait_for(lease))
                self._clock.sleep(min(_LEASE_WAITS.wait_s(next(looks)), left))
                until = self._ledger.lease_until(lease)
                if until is None or until <= self._clock.now():
                    break

    def _wait_for(self, lease: str) -> int:
        """The whole seconds until the lease ends, at most LONGEST_LEASE_S."""
        until = self._ledger.lease_until(lease)
        return 1 if until is None else wait_s(self._clock.now(), until, at_most=LONGEST_LEASE_S)

    def _do(self, job: Job, deadline: float) -> AddOutcome:
        while True:
            try:
                return self._metered(job, deadline)
            except ShownErasedError:
                # The LLM was shown something that is deleted now, so its facts may contain it: they are thrown away.
                _logger.info("something that the LLM was shown was deleted; it is asked again", extra=_id_of(job))
                if self._clock.monotonic() >= deadline:
                    raise TimeoutError from None

    def _metered(self, job: Job, deadline: float) -> AddOutcome:
        """One try. The LLM's tokens are counted with what it stores, or by the caller if it stores nothing."""
        used = RequestUsage()
        try:
            with noting_usage(used):
                outcome = self._once(job, deadline, used)
        except Exception:
            note_tokens(used.llm_tokens)
            raise
        note_counted_tokens(used.llm_tokens)
        note_stored(len(outcome.results))
        return outcome

    def _once(self, job: Job, deadline: float, used: RequestUsage) -> AddOutcome:
        messages = self._ledger.job_messages(job.tenant, job.id)
        existing = self._related.nearest(job.scope, messages) if messages else []
        facts, heard = self._facts(job, messages, existing, deadline) if messages else ([], ())
        known = {memory.text for memory in existing}
        fresh = [fact for place, fact in enumerate(facts) if fact.text not in known and _first(facts, place)]
        fresh = self._supersession.restrict(job.scope, fresh, existing, messages)
        memories = [_as_memory(job, fact, place, messages) for place, fact in enumerate(fresh)]
        talk = {message.ref: message for message in messages}
        # A fact that the embedder refuses is stored, too, and sweep tries it again.
        rows = self._indexer.rows(memories, talk, refused={})
        shown = Shown(tuple(memory.id for memory in existing), tuple(heard))
        stored, outdated, done = self._append(job, list(zip(memories, fresh, strict=True)), shown, _tokens(job, used))
        self._names.note(messages)
        self._indexer.forget_erased(stored, talk, at=done.updated_at)
        EXTRACTIONS.count()
        FACTS.count(len(stored))
        kept = {memory.id for memory in stored}
        written = [row for row in rows if row.memory.id in kept]
        indexed = self._indexer.write(written, outdated=outdated) and len(written) == len(stored)
        results = tuple(AddedMemory(memory.id, memory.text, EventKind.ADD.value, memory.version) for memory in stored)
        return AddOutcome(done, results, indexed=indexed, extraction="llm")

    def _facts(
        self, job: Job, messages: Sequence[Message], existing: Sequence[Memory], deadline: float
    ) -> tuple[list[Fact], list[MessageRef]]:
        """The facts, and the messages that the LLM was shown."""
        remaining = deadline - self._clock.monotonic()
        prompt = job.request.get("prompt")
        heard = [message.ref for message in messages]
        if job.request.get("memory_type") == "procedural_memory" and job.scope.agent_id:
            text = summarise_procedure(self._llm, messages, prompt, deadline_s=remaining)
            return [Fact(text, None, (), tuple(heard))], heard
        said_at = messages[0].created_at
        settings = ExtractionSettings.of(job.request, self._projects.settings(job.tenant))
        recent = self._ledger.recent_messages(job.scope, since="", before=said_at, limit=6)
        request = ExtractionRequest(
            messages=messages,
            existing=existing,
            recent=recent,
            now=said_at,
            instructions=settings.text(user=bool(job.scope.user_id), agent=bool(job.scope.agent_id)),
            agent=bool(job.scope.agent_id) and not job.scope.user_id,
            categories=settings.categories,
        )
        try:
            facts = extract(self._llm, request, deadline_s=remaining, clock=self._clock)
        except ProviderRequestError as error:
            if not error.blames_input or not recent:
                raise
            # What was said before may be what it refuses. It must not make every later add of the user fail, too.
            _logger.warning("the LLM refused the messages with those before them, asking without those")
            remaining = deadline - self._clock.monotonic()
            return extract(self._llm, replace(request, recent=()), deadline_s=remaining, clock=self._clock), heard
        return facts, [*heard, *(message.ref for message in recent)]

    def _append(
        self, job: Job, kept: list[tuple[Memory, Fact]], shown: Shown, used: Sequence[Use]
    ) -> tuple[list[Memory], list[Memory], Job]:
        """Append the memories, and try again after each conflict.

        Returns the stored memories, the memories that they superseded, and the finished job.
        """
        retry = ConflictRetry(self._clock)
        while True:
            outdated = self._superseded(job, kept)
            stored = [memory for memory, _ in kept]
            done = finished(job, self._clock.now(), [{"id": memory.id, "event": "ADD"} for memory in stored])
            events = [Event(EventKind.ADD, memory) for memory in stored]
            events += [Event(EventKind.UPDATE, memory) for memory in outdated]
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
                return stored, outdated, done

    def _superseded(self, job: Job, kept: Sequence[tuple[Memory, Fact]]) -> list[Memory]:
        successor = {old: memory.id for memory, fact in kept for old in fact.supersedes}
        current = self._ledger.read(job.tenant, list(successor)) if successor else {}
        at = self._clock.now()
        return [
            memory.next_version(at, event_id=job_event_id(job.id, memory.id), superseded_by=successor[memory.id])
            for memory in current.values()
            if may_supersede(job.scope, memory) and not is_newer(memory, job)
        ]


def _id_of(job: Job) -> Mapping[str, str]:
    """What the log says of a job."""
    return {"job_id": job.id}


def _tokens(job: Job, used: RequestUsage) -> list[Use]:
    """The LLM's tokens as a use of the key that asked for the job, on the day on which it was accepted."""
    if not used.llm_tokens:
        return []
    key_id = job.request.get("source_key") or OF_TENANT
    return [Use(job.tenant, key_id, day_of(job.created_at), {UsageKind.LLM_TOKENS: used.llm_tokens})]


def _first(facts: Sequence[Fact], place: int) -> bool:
    """Whether no earlier fact of the reply has the same text."""
    return all(earlier.text != facts[place].text for earlier in facts[:place])


def _as_memory(job: Job, fact: Fact, place: int, messages: Sequence[Message]) -> Memory:
    said_at = messages[0].created_at
    procedural = job.request.get("memory_type") == "procedural_memory" and bool(job.scope.agent_id)
    given = given_fields(job.request, [ref.position for ref in fact.sources if ref.job_id == job.id])
    if procedural:
        given["metadata"] = {**given["metadata"], "memory_type": "procedural_memory"}
    return Memory(
        id=memory_id(job.id, place),
        version=1,
        scope=job.scope,
        text=fact.text,
        created_at=said_at,
        updated_at=said_at,
        job_id=job.id,
        position=place,
        role=least_trusted_role(fact.sources, messages),
        attributed_to=fact.attributed_to,
        source_key=job.request.get("source_key"),
        categories=fact.categories,
        recorded_at=job.created_at if job.created_at != said_at else None,
        extracted=True,
        context=fact.sources,
        sources=fact.sources,
        event_id=job_event_id(job.id, place),
        erasures_before=job.erasures_before,
        **given,
    )
