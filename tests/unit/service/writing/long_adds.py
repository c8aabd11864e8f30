"""Adds that are longer than one call of the LLM: an LLM that notes what it is shown, and the steps of such an add."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from forgetless.domain.jobs import Job
from forgetless.domain.limits import JOB_S
from forgetless.domain.llm_context import LEAST_CONTEXT
from forgetless.domain.memory import Memory
from forgetless.domain.scope import Scope
from forgetless.ports.llm import ChatMessage
from forgetless.service.jobs.ingest import JobHeldError
from forgetless.service.requests import AddOutcome, AddRequest, IncomingMessage
from forgetless.service.services import Services
from tests.unit.service.world import ALICE, World, facts, newest

__all__ = ["FILL", "FOUND", "SAID", "NewWorld", "Reader", "add", "ingest", "job_of", "small", "stored"]

NewWorld = Callable[..., World]

#: A message that is nearly as long as a call, so each has a call of its own; and the facts that the fake LLM finds.
FILL = " and so on" * 40
SAID = (f"My passport is X-4711.{FILL}", f"I live in Hue.{FILL}", f"I like tea.{FILL}")
FOUND = ["My passport is X-4711", "I live in Hue", "I like tea"]
_SENTENCES = re.compile(r"(My passport is X-4711|I live in \w+|I like \w+|Fact \d+)\.")


class Reader:
    """An LLM that finds each sentence it knows, with the message that says it; `asked` has what it was shown."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.failing: Callable[[dict[str, Any]], None] = lambda _data: None
        #: Facts that it supersedes by another, both by their texts.
        self.supersedes: dict[str, str] = {}

    def __call__(self, messages: Sequence[ChatMessage]) -> str:
        data = json.loads(messages[1].content.removeprefix("<data>").removesuffix("</data>"))
        self.failing(data)
        self.asked.append(data)
        known = {memory["text"]: memory["number"] for memory in data["existing_memories"]}
        entries: list[dict[str, object] | str] = []
        for message in data["new_messages"]:
            for text in _SENTENCES.findall(message["text"]):
                old = known.get(self.supersedes.get(text, ""))
                more = {"supersedes": [] if old is None else [old], "attributed_to": "user"}
                entries.append({"text": text, "sources": [message["number"]], **more})
        return facts(*entries)

    def heard(self) -> list[str]:
        """The first words of the new messages of each call."""
        return [" | ".join(message["text"][:14] for message in data["new_messages"]) for data in self.asked]


def small(world: World, tokens: int = LEAST_CONTEXT, **ports: Any) -> World:
    """The world with an LLM that reads little at once, as if its process had just started."""
    world.services = Services(replace(world.services._ports, llm=world.llm, **ports), llm_context_tokens=tokens)
    return world


def add(world: World, texts: Iterable[str] = SAID, scope: Scope = ALICE, **more: Any) -> AddOutcome:
    world.clock.advance(1)
    said = tuple(IncomingMessage("user", text) for text in texts)
    return world.services.add.add(AddRequest(scope, said, **{"queued": True, **more}))


def job_of(world: World, id_: str) -> Job:
    found = world.services.reads.job("default", id_)
    assert found is not None
    return found


def ingest(world: World, id_: str) -> Job:
    """Run the job as often as it asks for."""
    for _ in range(99):
        try:
            world.services.ingest.run("default", id_, seconds=JOB_S)
        except JobHeldError as held:
            if held.goes_on:
                continue
        break
    return job_of(world, id_)


def stored(world: World, scope: Scope = ALICE) -> list[Memory]:
    """All memories in the order of their places, superseded ones too."""
    found = newest(world.services, scope.ids(), superseded=True)
    return sorted(found, key=lambda memory: memory.position)
