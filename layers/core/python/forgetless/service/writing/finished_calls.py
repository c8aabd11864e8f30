"""What the finished LLM calls of a long add have given, as its job keeps it until it ends.

It is a part of the job's request, so it is erased with it: when the job succeeds, or when its scope is erased.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from forgetless.domain.jobs import LLM_CALLS, Job
from forgetless.domain.llm_context import LEAST_CONTEXT, LlmContext
from forgetless.domain.memory import MessageRef
from forgetless.ports.request_ledger import Shown
from forgetless.service.writing.extraction import Fact
from forgetless.service.writing.message_portions import BEGIN, Place

__all__ = ["FinishedCall", "FinishedCalls"]


@dataclass(frozen=True, slots=True)
class FinishedCall:
    """One call: its facts, where the next one begins (None at the end), and what it was shown beside new messages.

    `texts` has the hashes of the texts of memories that its facts supersede.
    """

    facts: tuple[Fact, ...]
    following: Place | None
    shown: Shown
    texts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FinishedCalls:
    """The calls so far, in order; `context` is how much the next one may have, if it is less than was expected.

    `refused` says that the LLM refuses more, so that the next job of the tenant need not try.
    """

    calls: tuple[FinishedCall, ...] = ()
    context: int | None = None
    refused: bool = False

    @property
    def following(self) -> Place | None:
        """Where the next call begins; None when there is none left."""
        return self.calls[-1].following if self.calls else BEGIN

    @property
    def facts(self) -> list[Fact]:
        """The facts of all calls. Their order decides the ids of their memories."""
        return list(chain.from_iterable(call.facts for call in self.calls))

    def and_then(self, call: FinishedCall) -> FinishedCalls:
        """These calls and one more."""
        return replace(self, calls=(*self.calls, call))

    def within(self, context: LlmContext, *, refused: bool) -> FinishedCalls:
        """These calls, after which the next one may have less."""
        return replace(self, context=context.tokens, refused=refused)

    def up_to(self, number: int) -> FinishedCalls:
        """The first calls."""
        return replace(self, calls=self.calls[:number])

    def kept_by(self, job: Job, *, left: int) -> Job:
        """The job that keeps them; `left` is the number of calls that are likely to follow."""
        calls = [_dump(call, job.id) for call in self.calls]
        context = {"context": self.context, "refused": self.refused}
        record = {"done": len(calls), "left": left, **context, "calls": calls}
        return replace(job, request={**job.request, LLM_CALLS: record})

    @classmethod
    def of(cls, job: Job) -> FinishedCalls:
        """What the job keeps; nothing if it has another form, as in an import of somebody's own making."""
        try:
            record = job.request[LLM_CALLS]
            calls = tuple(_load(call, job.id) for call in record["calls"])
            # An import may name any number.
            context = None if record["context"] is None else max(int(record["context"]), LEAST_CONTEXT)
            return cls(calls, context, bool(record["refused"]))
        except (AttributeError, KeyError, TypeError, ValueError):
            return cls()


def _dump(call: FinishedCall, job_id: str) -> dict[str, Any]:
    return {
        "facts": [
            [fact.text, fact.attributed_to, fact.supersedes, [ref.position for ref in fact.sources], fact.categories]
            for fact in call.facts
        ],
        "next": None if call.following is None else [call.following.position, call.following.offset],
        "memories": call.shown.memories,
        "texts": dict(call.texts),
        # Those of the add itself are most of them, and their job is known.
        "messages": [
            ref.position if ref.job_id == job_id else [ref.job_id, ref.position] for ref in call.shown.messages
        ],
    }


def _load(record: Mapping[str, Any], job_id: str) -> FinishedCall:
    following = record["next"]
    facts = [
        Fact(
            text=str(text),
            attributed_to=said_by,
            supersedes=tuple(supersedes),
            sources=tuple(MessageRef(job_id, int(position)) for position in sources),
            categories=tuple(categories),
        )
        for text, said_by, supersedes, sources, categories in record["facts"]
    ]
    refs = [MessageRef(job_id, ref) if isinstance(ref, int) else MessageRef(*ref) for ref in record["messages"]]
    shown = Shown(tuple(record["memories"]), tuple(refs))
    texts = {str(id_): str(hash_) for id_, hash_ in record.get("texts", {}).items()}
    return FinishedCall(tuple(facts), None if following is None else Place(*following), shown, texts)
