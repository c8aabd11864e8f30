"""Extracts facts by fixed rules, which stand in for a model's judgement."""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["answer_for", "facts_of"]

_DATA = re.compile(r"<data>(.*?)</data>", re.DOTALL)
#: A sentence ends with a mark before a space, so "version 1.2" does not end one.
_SENTENCES = re.compile(r"(?:[^.!?\n]|[.!?](?!\s|$))+")
#: A sentence that tells something about its speaker, in English or Vietnamese.
_SELF = re.compile(r"(i|i'm|i've|my|we|our|tôi|mình|em|anh|chị)\b", re.IGNORECASE)
_STARTS = {"i'm": "is", "i've": "has"}
_VERBS = {"am": "is", "have": "has", "do": "does", "go": "goes"}
#: Verbs that take no ending in the third person: auxiliaries and irregular past forms.
_FIXED = frozenset({
    "will", "would", "can", "could", "should", "must", "may", "might", "had", "did", "was", "went", "met", "got",
    "said", "ate", "bought", "saw", "took", "made", "found", "left", "lost", "gave", "ran", "won", "drove", "wrote",
    "read", "began", "became",
})  # fmt: skip
_ADVERBS = frozenset({"really", "always", "never", "just", "also", "now", "currently", "usually", "often"})
#: Facts that have one value at a time: a new statement with the same key supersedes the old one.
_SINGLE = (
    (re.compile(r"(?P<who>the (?:user|assistant)) (?:now )?(?:lives in|moved to|relocated to)\b", re.I), "home"),
    (re.compile(r"(?P<who>the (?:user|assistant)) (?:now )?(?:works (?:at|for|as))\b", re.I), "work"),
    (re.compile(r"(?P<who>the (?:user|assistant)) (?:is called|is named)\b", re.I), "name"),
    (re.compile(r"(?P<who>the (?:user|assistant)'s [\w' -]{1,60}?) (?:is|was|are|were)\b", re.I), ""),
)


def answer_for(system: str, user: str) -> str:
    """Reply to a prompt of the service with facts, instructions or a summary, as the data block asks."""
    match = _DATA.search(user)
    data: dict[str, Any] = json.loads(match.group(1)) if match else {}
    if "new_messages" in data:
        return json.dumps({"facts": facts_of(data)}, ensure_ascii=False)
    if "application" in data:
        instructions = f"Keep what users say about: {data['application']}"
        return json.dumps({"custom_instructions": instructions, "test_message": "I live in Paris. I like tea."})
    if "export_schema" in data:
        return json.dumps(_filled(data["export_schema"], [memory["text"] for memory in data["memories"]]))
    if "memories" in data:
        return " ".join(memory["text"] for memory in data["memories"])
    if "messages" in data:
        steps = [f"{number}. {entry['text']}" for number, entry in enumerate(data["messages"], 1)]
        return "\n".join(steps) or "Nothing was done."
    return f"A stub read {len(system) + len(user)} characters."


def _filled(schema: dict[str, Any], texts: list[str]) -> dict[str, Any]:
    """Fill a schema: each list gets all texts, each other field gets the first."""
    return {
        name: texts if part.get("type") == "array" else next(iter(texts), None)
        for name, part in schema.get("properties", {}).items()
    }


def facts_of(data: dict[str, Any]) -> list[dict[str, Any]]:
    """Return facts in the form that the service's schema asks for."""
    speaker = "assistant" if data.get("memories_of") == "agent" else "user"
    existing = {entry["number"]: entry["text"] for entry in data.get("existing_memories", [])}
    facts = []
    for message in data["new_messages"]:
        if message["role"] != speaker:
            continue
        for text in _statements(message["text"], speaker):
            if text in existing.values():
                continue
            key = _key(text)
            old = [number for number, known in existing.items() if key is not None and _key(known) == key]
            fact = {"text": text, "attributed_to": speaker, "supersedes": old, "sources": [message["number"]]}
            if "categories" in data:
                fact["categories"] = _categories(text, data["categories"])
            facts.append(fact)
    return facts


def _categories(text: str, known: dict[str, str]) -> list[str]:
    """Return the categories whose name or description has a word of the text."""
    words = {word for word in re.findall(r"\w+", text.lower()) if len(word) > 3}
    return [name for name, about in known.items() if words & set(re.findall(r"\w+", f"{name} {about}".lower()))]


def _statements(text: str, speaker: str) -> list[str]:
    sentences = (sentence.strip() for sentence in _SENTENCES.findall(text))
    return [_third_person(sentence, speaker) for sentence in sentences if _SELF.match(sentence)]


def _third_person(sentence: str, speaker: str) -> str:
    """ "I live in Paris" as "The user lives in Paris"; other languages stay as they are."""
    words = sentence.split()
    first = words[0].lower()
    if first in _STARTS:
        return " ".join([f"The {speaker}", _STARTS[first], *words[1:]])
    if first in {"my", "our"}:
        return " ".join([f"The {speaker}'s", *words[1:]])
    if first in {"i", "we"} and len(words) > 1:
        verb = next((place for place, word in enumerate(words[1:], 1) if word.lower() not in _ADVERBS), 1)
        return " ".join([f"The {speaker}", *words[1:verb], _conjugated(words[verb]), *words[verb + 1 :]])
    return sentence


def _conjugated(verb: str) -> str:
    word = verb.lower()
    if word in _VERBS:
        return _VERBS[word]
    if word in _FIXED or word.endswith("ed") or "'" in word:
        return verb
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return verb[:-1] + "ies"
    return verb + ("es" if word.endswith(("s", "sh", "ch", "x", "o")) else "s")


def _key(text: str) -> tuple[str, str] | None:
    for pattern, what in _SINGLE:
        if match := pattern.match(text):
            return match.group("who").lower(), what
    return None
