"""What the LLM is asked about one portion of an add's messages: the facts in it, or how an agent worked."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from forgetless.domain.errors import LlmContextError, LlmReplyError, ProviderRequestError
from forgetless.domain.jobs import Job
from forgetless.domain.limits import ADD_BYTES
from forgetless.domain.llm_context import LlmContext
from forgetless.domain.memory import Memory, Message, job_event_id, memory_id
from forgetless.domain.memory_fields import given_fields
from forgetless.domain.metadata import metadata_bytes
from forgetless.domain.supersession import least_trusted_role
from forgetless.domain.token_estimate import estimated_tokens, fitting_prefix
from forgetless.ports.clock import Clock
from forgetless.ports.llm import Llm
from forgetless.ports.request_ledger import RequestLedger, Shown
from forgetless.service.writing import prompts
from forgetless.service.writing.extraction import ExtractionRequest, Fact, extract, folded, summarise_procedure
from forgetless.service.writing.extraction_settings import ExtractionSettings
from forgetless.service.writing.finished_calls import FinishedCalls
from forgetless.service.writing.message_portions import Place, Portion, tokens_in_prompt
from forgetless.service.writing.related_memories import RelatedMemories

__all__ = ["Ask", "FactsAsk", "Given", "ProcedureAsk", "TooLongError", "as_memory", "is_procedural"]

_logger = logging.getLogger(__name__)

T = TypeVar("T")

#: How many messages before a portion are shown, and of how many facts of earlier portions the text.
_RECENT = 6
_EARLIER_FACTS = 50
#: A reply about fewer tokens of messages was not cut off because they say so much.
_WORTH_DIVIDING = 2_000
#: The most facts of an add: all are stored in one transaction.
_MOST_FACTS = 1_000
#: The most characters of a procedural memory: as many as a message may have.
_MOST_PROCEDURE_CHARS = 200_000


class TooLongError(Exception):
    """The LLM refused a prompt as longer than its context, or could not end its reply to it.

    The prompt has about so many tokens of `instructions`, new `messages` and what is `known` already.
    """

    def __init__(self, error: LlmContextError | LlmReplyError, *, instructions: int, messages: int, known: int) -> None:
        super().__init__(error.message)
        self.error = error
        self.instructions = instructions
        self.messages = messages
        self.known = known


@dataclass(frozen=True, slots=True)
class Given:
    """What one call gave: facts, the stored memories that they may supersede, and what the LLM was shown."""

    facts: list[Fact]
    existing: list[Memory]
    shown: Shown


class Ask(Protocol):
    """Asks about portions of one add."""

    @property
    def rules(self) -> int:
        """About how many tokens the instructions have."""

    def __call__(self, portion: Portion, done: FinishedCalls, context: LlmContext, *, deadline: float) -> Given:
        """Ask about a portion, after the calls that are `done`. Raises TooLongError, and what the LLM raises."""

    def whole(self, facts: list[Fact]) -> list[Fact]:
        """What is stored of the facts of all portions."""


def is_procedural(job: Job) -> bool:
    """Whether the add asks for a procedural memory, which only an agent has."""
    return job.request.get("memory_type") == "procedural_memory" and bool(job.scope.agent_id)


class FactsAsk:
    """Asks for facts."""

    def __init__(
        self,
        job: Job,
        messages: Sequence[Message],
        settings: ExtractionSettings,
        *,
        ledger: RequestLedger,
        related: RelatedMemories,
        llm: Llm,
        clock: Clock,
    ) -> None:
        self._job = job
        self._messages = messages
        self._related = related
        self._llm = llm
        self._clock = clock
        self._said_before = ledger.recent_messages(job.scope, since="", before=messages[0].created_at, limit=_RECENT)
        scope = job.scope
        self._template = ExtractionRequest(
            messages=(),
            existing=(),
            recent=(),
            now=messages[0].created_at,
            instructions=settings.text(user=bool(scope.user_id), agent=bool(scope.agent_id)),
            agent=bool(scope.agent_id) and not scope.user_id,
            categories=settings.categories,
        )

    @property
    def rules(self) -> int:
        request = self._template
        rules = prompts.extraction_rules(
            request.instructions, agent=request.agent, categorised=bool(request.categories)
        )
        return estimated_tokens(rules + json.dumps(dict(request.categories), ensure_ascii=False))

    def __call__(self, portion: Portion, done: FinishedCalls, context: LlmContext, *, deadline: float) -> Given:
        before = list(_fitting(reversed(self._before(portion.start)), context.rest // 2, _shown_text))[::-1]
        nearest = self._related.nearest(self._job.scope, portion.messages, self._clock.now())
        stored = list(_fitting(nearest, context.rest // 4, lambda memory: memory.text))
        earlier = self._earlier(done, context.rest // 4)
        request = replace(self._template, messages=portion.messages, existing=[*stored, *earlier], recent=before)
        facts, recent = self._extract(request, deadline)
        known = {folded(fact.text) for fact in done.facts}
        facts = [fact for fact in facts if folded(fact.text) not in known]
        if len(done.facts) + len(facts) > _MOST_FACTS:
            raise LlmReplyError(f"the messages give more than {_MOST_FACTS} facts: send them in several adds")
        self._check_room([*done.facts, *facts])
        others = [message.ref for message in recent if message.ref.job_id != self._job.id]
        heard = dict.fromkeys(message.ref for message in portion.messages)
        return Given(facts, stored, Shown(tuple(memory.id for memory in stored), (*heard, *others)))

    def whole(self, facts: list[Fact]) -> list[Fact]:
        return facts

    def _check_room(self, facts: Sequence[Fact]) -> None:
        """Raise LlmReplyError if these facts together store too much of the metadata; to drop some would lose them."""
        size = 0
        for place, fact in enumerate(facts):
            size += metadata_bytes(as_memory(self._job, fact, place, self._messages).metadata)
            if size > ADD_BYTES:
                raise LlmReplyError(
                    f"the messages give {len(facts)} facts or more, each of which stores the metadata, and together "
                    f"they have more than {ADD_BYTES} bytes of it: send fewer messages or less metadata"
                )

    def _extract(self, request: ExtractionRequest, deadline: float) -> tuple[list[Fact], Sequence[Message]]:
        """The facts, and the earlier messages that the LLM was shown."""
        try:
            return self._ask(request, deadline), request.recent
        except ProviderRequestError as error:
            if not error.blames_input or not request.recent:
                raise
            # What was said before may be what it refuses. It must not make every later add of the user fail, too.
            _logger.warning("the LLM refused the messages with those before them, asking without those")
            return self._ask(replace(request, recent=()), deadline), ()

    def _ask(self, request: ExtractionRequest, deadline: float) -> list[Fact]:
        left = deadline - self._clock.monotonic()
        try:
            return extract(self._llm, request, deadline_s=left, clock=self._clock)
        except (LlmContextError, LlmReplyError) as error:
            known = [*map(_shown_text, request.recent), *(memory.text for memory in request.existing)]
            raise _too_long(error, self.rules, request.messages, known) from error

    def _before(self, start: Place) -> list[Message]:
        """The messages before a portion; of a message that it continues, the end of what came before."""
        said = [message for message in self._messages if message.ref.position < start.position]
        if start.offset:
            begun = next(message for message in self._messages if message.ref.position == start.position)
            said.append(replace(begun, content=begun.content[: start.offset][-prompts.SHOWN_CHARS :]))
        return [*self._said_before, *said][-_RECENT:]

    def _earlier(self, done: FinishedCalls, tokens: int) -> list[Memory]:
        """The last facts of earlier portions as the memories that they will be."""
        places = list(enumerate(done.facts))[-_EARLIER_FACTS:]
        memories = [as_memory(self._job, fact, place, self._messages) for place, fact in places]
        return list(_fitting(reversed(memories), tokens, lambda memory: memory.text))[::-1]


class ProcedureAsk:
    """Asks how an agent worked; a record that needs several calls is continued by each."""

    def __init__(self, job: Job, *, llm: Llm, clock: Clock) -> None:
        self._prompt = job.request.get("prompt")
        self._llm = llm
        self._clock = clock

    @property
    def rules(self) -> int:
        return estimated_tokens(prompts.procedure_rules(self._prompt))

    def __call__(self, portion: Portion, done: FinishedCalls, context: LlmContext, *, deadline: float) -> Given:
        recorded = "\n\n".join(fact.text for fact in done.facts)
        recorded = recorded[len(recorded) - fitting_prefix(recorded[::-1], context.rest) :]
        left = deadline - self._clock.monotonic()
        try:
            text = summarise_procedure(self._llm, portion.messages, self._prompt, recorded=recorded, deadline_s=left)
        except (LlmContextError, LlmReplyError) as error:
            raise _too_long(error, self.rules, portion.messages, [recorded]) from error
        refs = tuple(dict.fromkeys(message.ref for message in portion.messages))
        return Given([Fact(text, None, (), refs)], [], Shown(messages=refs))

    def whole(self, facts: list[Fact]) -> list[Fact]:
        text = "\n\n".join(fact.text for fact in facts)
        if len(text) > _MOST_PROCEDURE_CHARS:
            raise LlmReplyError(
                f"the record of the procedure has more than {_MOST_PROCEDURE_CHARS} characters: send fewer messages"
            )
        sources = dict.fromkeys(ref for fact in facts for ref in fact.sources)
        return [Fact(text, None, (), tuple(sources))]


def as_memory(job: Job, fact: Fact, place: int, messages: Sequence[Message]) -> Memory:
    """The memory that a fact becomes; `place` is its place among the facts of the job."""
    said_at = messages[0].created_at
    given = given_fields(job.request, [ref.position for ref in fact.sources if ref.job_id == job.id])
    if is_procedural(job):
        given["metadata"] = {**given["metadata"], "memory_type": "procedural_memory"}
    return Memory(
        id=memory_id(job.id, place),
        version=1,
        scope=job.scope,
        text=fact.text,
        created_at=said_at,
        updated_at=min(said_at, job.created_at),
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


def _fitting(items: Iterable[T], tokens: int, text: Callable[[T], str]) -> Iterator[T]:
    """The first items, as many as have so many tokens as the LLM is shown them."""
    for item in items:
        tokens -= estimated_tokens(text(item)[: prompts.SHOWN_CHARS])
        if tokens < 0:
            return
        yield item


def _shown_text(message: Message) -> str:
    return message.content


def _too_long(
    error: LlmContextError | LlmReplyError, rules: int, messages: Iterable[Message], known: Iterable[str]
) -> Exception:
    """What to raise for the error: TooLongError if asking for less may help."""
    new = sum(map(tokens_in_prompt, messages))
    if isinstance(error, LlmReplyError) and not (error.cut_off and new > _WORTH_DIVIDING):
        return error
    shown = sum(estimated_tokens(text[: prompts.SHOWN_CHARS]) for text in known)
    return TooLongError(error, instructions=rules, messages=new, known=shown)
