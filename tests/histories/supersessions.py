"""Finds the memories that each add has superseded, from the scripted LLM's log: answers do not show them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tests.histories.history import EventSeen, Kind
from tests.histories.providers import Named, spoken
from tests.histories.recorder import Draft
from tests.histories.shared_knowledge import word_of

__all__ = ["superseded"]


def superseded(
    drafts: Sequence[Draft], ledger: Mapping[str, list[EventSeen]], named: Sequence[Named]
) -> dict[str, dict[str, list[list[str]]]]:
    """By the event of an add: the pairs of old and new memory that the LLM named, where it did not change its mind.

    An add that was repeated asks the LLM again, which may know other memories then: nobody can say which reply counted.
    """
    by_message: dict[str, set[tuple[str, ...]]] = {}
    for one in named:
        by_message.setdefault(one.said, set()).add(one.superseded)
    holders = _holders(drafts, ledger)
    found: dict[str, dict[str, list[list[str]]]] = {}
    for draft in drafts:
        event = draft.answer.get("event")
        if draft.kind is Kind.ADD and event and draft.request.get("replacing"):
            found[event] = {"supersedes": list(_pairs(draft, by_message, holders))}
    return found


def _pairs(
    draft: Draft, by_message: Mapping[str, set[tuple[str, ...]]], holders: Mapping[str, str]
) -> Iterator[list[str]]:
    for text in draft.request["texts"]:
        new = holders.get(word_of(text))
        replies = by_message.get(spoken(text, supersedes=draft.request["replacing"]), set())
        if new is None or len(replies) != 1:
            continue
        for one in next(iter(replies)):
            if old := holders.get(word_of(one)):
                yield [old, new]


def _holders(drafts: Sequence[Draft], ledger: Mapping[str, list[EventSeen]]) -> dict[str, str]:
    """Which memory each word was written into; a word is one memory's alone."""
    holders = {word_of(event["text"]): id_ for id_, events in ledger.items() for event in events if event.get("text")}
    for draft in drafts:
        if draft.kind is Kind.UPDATE and "text" in draft.request:
            holders[word_of(draft.request["text"])] = draft.request["id"]
        for memory in draft.answer.get("memories", ()):
            if memory.get("text"):
                holders[word_of(memory["text"])] = memory["id"]
    return holders
