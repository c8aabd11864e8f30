"""ExtractionCalls: asks the LLM for the facts of an add, in several calls if its messages are too long for one.

Each finished call of several is kept with the job (`finished_calls.py`), so that whoever goes on with the job repeats
none. A later call is shown the facts of earlier ones as if they were memories, so it can supersede them.
"""

from __future__ import annotations

import logging
from collections import ChainMap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from forgetless.domain.errors import ErasedError, LeaseLostError, LlmContextError, LlmReplyError
from forgetless.domain.jobs import LLM_CALLS, Job
from forgetless.domain.llm_context import LlmContext
from forgetless.domain.memory import Memory, Message
from forgetless.domain.token_estimate import estimated_tokens
from forgetless.domain.usage import UsageKind, Use, day_of
from forgetless.ports.call_times import slowest_part
from forgetless.ports.clock import Clock
from forgetless.ports.llm import Llm
from forgetless.ports.request_ledger import NOTHING_SHOWN, RequestLedger, Shown
from forgetless.ports.request_usage import RequestUsage
from forgetless.service.projects.settings import ProjectService
from forgetless.service.writing import prompts
from forgetless.service.writing.extraction import Fact
from forgetless.service.writing.extraction_settings import ExtractionSettings
from forgetless.service.writing.finished_calls import FinishedCall, FinishedCalls
from forgetless.service.writing.message_portions import BEGIN, Portion, count_portions, portion_at, tokens_in_prompt
from forgetless.service.writing.portion_asks import Ask, FactsAsk, Given, ProcedureAsk, TooLongError, is_procedural
from forgetless.service.writing.related_memories import RelatedMemories

__all__ = ["Extracted", "ExtractionCalls", "KnownContext", "UnfinishedError", "tokens_used"]

_logger = logging.getLogger(__name__)

#: A call is begun only if there is time for one that takes so much longer than the slowest one before it.
_SPARE = 1.5
#: An LLM that takes longer than a whole run for less than this does not only read slowly.
_LEAST_OF_SLOW = 8_192
#: How long a context is remembered that is smaller than the setting, and of how many tenants.
_KNOWN_S, _MOST_TENANTS = 3600.0, 1000


class UnfinishedError(TimeoutError):
    """More calls of the LLM must follow; those that are finished are kept with the job."""


class KnownContext:
    """How much the LLM reads at once, as far as this process knows: the setting, or less if it refused that.

    A refusal counts for the tenant whose text was refused, and for an hour: rare letters have more tokens than is
    estimated, and the adds of others must not be divided because of them.
    """

    def __init__(self, tokens: int, clock: Clock) -> None:
        self._setting = LlmContext(tokens)
        self._clock = clock
        #: The context of a tenant and when it ends, in monotonic seconds; the latest last.
        self._less: dict[str, tuple[LlmContext, float]] = {}

    def of(self, tenant: str) -> LlmContext:
        """The context for the texts of this tenant."""
        context, end = self._less.get(tenant, (self._setting, 0.0))
        return context if self._clock.monotonic() < end else self._setting

    def found(self, tenant: str, context: LlmContext) -> None:
        """Remember a context with which a call has succeeded."""
        if context.tokens < self.of(tenant).tokens:
            _logger.warning(
                "the LLM reads less at once than FORGETLESS_LLM_CONTEXT_TOKENS says; the setting spares the tries",
                extra={"tokens": context.tokens},
            )
            self._less.pop(tenant, None)
            self._less[tenant] = context, self._clock.monotonic() + _KNOWN_S
            while len(self._less) > _MOST_TENANTS:
                self._less.pop(next(iter(self._less)), None)


@dataclass(frozen=True, slots=True)
class Extracted:
    """What the calls of a job gave: its facts in order, the stored memories that they may supersede, what was shown.

    `job` is the job as it now stands in the ledger.
    """

    job: Job
    facts: list[Fact] = field(default_factory=list)
    existing: list[Memory] = field(default_factory=list)
    shown: Shown = NOTHING_SHOWN


@dataclass(slots=True)
class _Course:
    """How far a job has come, and what this process knows beside that."""

    job: Job
    done: FinishedCalls
    context: LlmContext
    existing: dict[str, Memory] = field(default_factory=dict)
    #: How many calls this run has finished, and the seconds of the slowest one.
    calls: int = 0
    slowest_s: float = 0.0


class ExtractionCalls:
    """The calls of the LLM for one job after another."""

    def __init__(
        self, *, ledger: RequestLedger, related: RelatedMemories, llm: Llm, clock: Clock, known: KnownContext
    ) -> None:
        self._ledger = ledger
        self._projects = ProjectService(ledger=ledger, clock=clock)
        self._related = related
        self._llm = llm
        self._clock = clock
        self._known = known

    def planned(self, job: Job, messages: Sequence[Message]) -> Job:
        """A new job; if it probably needs several calls, it says how many. Nothing is read for that."""
        rules = prompts.extraction_rules(job.request.get("prompt"), agent=True, categorised=True)
        room = self._known.of(job.tenant).messages(estimated_tokens(rules))
        number = count_portions(messages, BEGIN, room)
        return FinishedCalls().kept_by(job, left=number) if number > 1 else job

    def run(
        self,
        job: Job,
        messages: Sequence[Message],
        *,
        deadline: float,
        goes_on: Callable[[], bool] | None,
        used: RequestUsage,
    ) -> Extracted:
        """Make the calls that are not finished yet.

        Raises UnfinishedError when others must make the next one: there is no time left, `goes_on` says no after a
        call, or it is None, as in a request, and one call is not enough; LlmContextError when the LLM refuses even the
        smallest portions, LeaseLostError, ErasedError, TimeoutError, and the other errors of LLM, embedder and stores.
        """
        if not messages:
            return Extracted(job)
        course, ask = self._course(job), self._ask(job, messages)
        while (start := course.done.following) is not None:
            room = course.context.messages(ask.rules)
            portion = portion_at(messages, start, room)
            several = bool(course.done.calls) or portion.following is not None
            if several and goes_on is None:
                self._keep(course, used, left=count_portions(messages, start, room))
                raise UnfinishedError("the messages are longer than one call of the LLM takes")
            if course.calls and goes_on is not None and not goes_on():
                raise UnfinishedError("other adds wait for a turn")
            began = self._clock.monotonic()
            if deadline - began < _SPARE * course.slowest_s:
                raise UnfinishedError("there is no time left for the next call of the LLM")
            try:
                given = ask(portion, course.done, course.context, deadline=deadline)
            except TooLongError as error:
                _halve(course, error)
                continue
            except TimeoutError:
                slow = goes_on is not None and not course.slowest_s and slowest_part("the LLM") == "the LLM"
                if slow and _halve_slow(course, portion, ask.rules):
                    self._keep(course, used, left=count_portions(messages, start, course.context.messages(ask.rules)))
                raise
            course.calls += 1
            course.slowest_s = max(course.slowest_s, self._clock.monotonic() - began)
            texts = {one.id: one.hash for one in given.existing if _is_superseded(one, given.facts)}
            _add(course, given, FinishedCall(tuple(given.facts), portion.following, given.shown, texts))
            if course.done.refused:
                self._known.found(job.tenant, course.context)
            if several:
                self._keep(course, used, left=count_portions(messages, portion.following, room))
        return self._extracted(course, ask)

    def without_erased(self, job: Job, used: RequestUsage) -> Job:
        """The job as it stands, without the calls that were shown something deleted, and without those after them."""
        standing = self._ledger.job(job.tenant, job.id)
        if standing is not None and standing.erased:
            raise ErasedError
        if standing is None or standing.finished or standing.lease_owner != job.lease_owner:
            raise _taken_over()
        if LLM_CALLS not in standing.request:
            return standing
        course = self._course(standing)
        calls = course.done.calls
        ids = list(dict.fromkeys(chain.from_iterable(call.shown.memories for call in calls)))
        refs = list(dict.fromkeys(chain.from_iterable(call.shown.messages for call in calls)))
        memories = {id_ for id_, deleted in self._ledger.known_ids(job.tenant, ids).items() if not deleted}
        messages = self._ledger.read_messages(job.tenant, refs, most_chars=0).keys()
        intact = [memories >= {*call.shown.memories} and messages >= {*call.shown.messages} for call in calls]
        # If all are, something was shown to the calls that nobody keeps.
        course.done = course.done.up_to(intact.index(False) if False in intact else 0)
        self._keep(course, used, left=len(calls) - len(course.done.calls))
        return course.job

    def _course(self, job: Job) -> _Course:
        done = FinishedCalls.of(job)
        known = self._known.of(job.tenant)
        return _Course(job, done, known if done.context is None else LlmContext(min(done.context, known.tokens)))

    def _ask(self, job: Job, messages: Sequence[Message]) -> Ask:
        if is_procedural(job):
            return ProcedureAsk(job, llm=self._llm, clock=self._clock)
        return FactsAsk(
            job,
            messages,
            ExtractionSettings.of(job.request, self._projects.settings(job.tenant)),
            ledger=self._ledger,
            related=self._related,
            llm=self._llm,
            clock=self._clock,
        )

    def _keep(self, course: _Course, used: RequestUsage, *, left: int) -> None:
        """Keep the finished calls with the job, and count their tokens in the same transaction."""
        # An attempt that has finished a call is none that the job is to blame for.
        kept = replace(course.done.kept_by(course.job, left=left), updated_at=self._clock.now(), attempts=1)
        if not self._ledger.update_job(kept, held=course.job, used=tokens_used(course.job, used)):
            standing = self._ledger.job(kept.tenant, kept.id)
            if standing is not None and standing.erased:
                raise ErasedError
            if standing is None or not standing.stands_as(kept):
                raise _taken_over()
        used.counted_tokens += used.llm_tokens
        used.llm_tokens = 0
        course.job = kept

    def _extracted(self, course: _Course, ask: Ask) -> Extracted:
        facts = ask.whole(course.done.facts)
        # Memories that an earlier process was shown, unless they say something else by now.
        named = dict.fromkeys(id_ for fact in facts for id_ in fact.supersedes if id_ not in course.existing)
        texts = ChainMap(*(dict(call.texts) for call in course.done.calls))
        read = self._ledger.read(course.job.tenant, list(named)) if named else {}
        unchanged = {id_: memory for id_, memory in read.items() if texts.get(id_) == memory.hash}
        existing = {**course.existing, **unchanged}
        shown = Shown(
            tuple(dict.fromkeys(chain.from_iterable(call.shown.memories for call in course.done.calls))),
            tuple(dict.fromkeys(chain.from_iterable(call.shown.messages for call in course.done.calls))),
        )
        return Extracted(course.job, facts, list(existing.values()), shown)


def _is_superseded(memory: Memory, facts: Sequence[Fact]) -> bool:
    return any(memory.id in fact.supersedes for fact in facts)


def _taken_over() -> LeaseLostError:
    return LeaseLostError("another worker has taken this job over")


def tokens_used(job: Job, used: RequestUsage) -> list[Use]:
    """The LLM's tokens as a use of the key that asked for the job, on the day on which it was accepted or retried."""
    if not used.llm_tokens:
        return []
    key_id, at = job.payer
    return [Use(job.tenant, key_id, day_of(at), {UsageKind.LLM_TOKENS: used.llm_tokens})]


def _add(course: _Course, given: Given, call: FinishedCall) -> None:
    course.done = course.done.and_then(call)
    course.existing |= {memory.id: memory for memory in given.existing}


def _halve(course: _Course, error: TooLongError) -> None:
    """Have the next call ask about less. Raises the error of the LLM if that cannot help."""
    reason = error.error
    refused = not isinstance(reason, LlmReplyError)
    if isinstance(reason, LlmReplyError):
        smaller = LlmContext.with_room_for(error.messages // 2, error.instructions)
    else:
        halved = course.context.halved(error.instructions + error.messages + error.known)
        if halved is None:
            told = f"{reason.message} (it refuses even the smallest portions, of {course.context.tokens} tokens)"
            raise LlmContextError(told, status=reason.status) from error
        smaller = halved
    _logger.info("the LLM could not take so much at once, asking for less", extra={"tokens": smaller.tokens})
    course.context = smaller
    course.done = course.done.within(smaller, refused=refused)


def _halve_slow(course: _Course, portion: Portion, rules: int) -> bool:
    """Have the next run ask about less, if all the time of a run was not enough for the portion; whether it will."""
    messages = sum(map(tokens_in_prompt, portion.messages))
    smaller = LlmContext.with_room_for(messages // 2, rules)
    if smaller.tokens < _LEAST_OF_SLOW:
        return False
    course.done = course.done.within(smaller, refused=False)
    course.context = smaller
    return True
