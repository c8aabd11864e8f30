"""Reads LoCoMo's format: the original file of ten conversations, or one conversation with `turns` and `questions`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from local.client import ToolError
from local.evaluate.conversations import Conversation, Question, Turn, checked

__all__ = ["read_locomo"]

#: The names of LoCoMo's kinds of questions, by number.
_CATEGORIES = {1: "multi-hop", 2: "temporal", 3: "open-domain", 4: "single-hop", 5: "adversarial"}
#: "1:56 pm on 8 May, 2023", without a time zone; it counts as UTC.
_TIME = "%I:%M %p on %d %B, %Y"
_SESSION = re.compile(r"session_(\d+)")
_TURN_ID = re.compile(r"D\d+:\d+")


def read_locomo(found: Any, name: str) -> list[Conversation]:
    """The conversations of a file; raises ToolError, and KeyError and the like for another format.

    Questions without evidence are left out.
    """
    if isinstance(found, list):
        return [_original(sample, f"{name}-{place}") for place, sample in enumerate(found)]
    raw = found["turns"]
    first = next((str(turn["speaker"]) for turn in raw), "")
    turns = tuple(_turn(turn, first) for turn in raw)
    questions = tuple(_question(one, one["evidence"]) for one in found["questions"] if one.get("evidence"))
    return [checked(Conversation(name, turns, questions), name)]


def _turn(raw: Mapping[str, Any], first: str) -> Turn:
    speaker = str(raw["speaker"])
    # The interface knows two sides of a conversation, so the second speaker stands on the assistant's.
    role = "user" if speaker == first else "assistant"
    time = _time(str(raw.get("session_time") or ""))
    return Turn(str(raw["id"]), int(raw["session"]), time, role, speaker, str(raw["text"]))


def _question(raw: Mapping[str, Any], evidence: Any) -> Question:
    number = int(raw.get("category", 0))
    return Question(str(raw["question"]), _CATEGORIES.get(number, f"category {number}"), frozenset(map(str, evidence)))


def _original(sample: Mapping[str, Any], name: str) -> Conversation:
    """A sample of the file that LoCoMo's authors publish."""
    turns = tuple(_original_turns(sample["conversation"]))
    known = {turn.id for turn in turns}
    questions = []
    for raw in sample["qa"]:
        # Some entries hold several ids, and a few name turns that the conversation does not have.
        evidence = known.intersection(_TURN_ID.findall(" ".join(map(str, raw.get("evidence") or []))))
        if evidence:
            questions.append(_question(raw, evidence))
    return checked(Conversation(str(sample.get("sample_id", name)), turns, tuple(questions)), name)


def _original_turns(talk: Mapping[str, Any]) -> Iterator[Turn]:
    numbers = sorted(int(match[1]) for key in talk if (match := _SESSION.fullmatch(key)))
    first = str(talk["speaker_a"])
    for number in numbers:
        time = talk.get(f"session_{number}_date_time", "")
        for raw in talk[f"session_{number}"]:
            shared = f" [shares a picture: {raw['blip_caption']}]" if raw.get("blip_caption") else ""
            said = {"id": raw["dia_id"], "session": number, "session_time": time, "speaker": raw["speaker"]}
            yield _turn({**said, "text": f"{raw['text']}{shared}"}, first)


def _time(text: str) -> datetime | None:
    if not text:
        return None
    try:
        return datetime.strptime(text, _TIME).replace(tzinfo=UTC)
    except ValueError:
        raise ToolError(f"session_time {text!r} must read like '1:56 pm on 8 May, 2023'") from None
