"""Our own conversations are complete and small, and those that constants may be chosen on stand apart."""

from __future__ import annotations

from functools import cache

from local.evaluate.conversations import Conversation
from local.evaluate.files import OWN, read_conversations

TUNE, REPORT, BLIND = "tune-", "report-", "blind-"
STARTS = (TUNE, REPORT, BLIND)
MOST_BYTES = 500_000


@cache
def own(start: str) -> dict[str, list[Conversation]]:
    """The conversations of the files whose names start so, by group."""
    groups: dict[str, list[Conversation]] = {}
    for path in sorted(OWN.glob(f"{start}*.jsonl")):
        for conversation in read_conversations(path):
            groups.setdefault(conversation.group, []).append(conversation)
    return groups


def test_every_file_is_for_choosing_or_for_reporting_and_no_group_is_for_both() -> None:
    assert all(path.name.startswith(STARTS) for path in OWN.iterdir())
    groups = [group for start in STARTS for group in own(start)]
    assert len(set(groups)) == len(groups)


def test_names_are_unique_because_runs_are_compared_by_them() -> None:
    names = [one.name for start in STARTS for some in own(start).values() for one in some]
    assert len(set(names)) == len(names)


def test_there_are_eight_long_chats_over_months_with_questions_of_each_kind() -> None:
    chats = own(TUNE)["chats-tune"] + own(REPORT)["chats-report"]
    assert len(chats) >= 8
    blind = own(BLIND)["blind-chats"]
    assert len(blind) >= 6
    for chat in chats + blind:
        days = [turn.time for turn in chat.turns if turn.time is not None]
        kinds = {question.category for question in chat.questions}
        assert len(chat.turns) >= 100, chat.name
        assert len(chat.questions) >= 12, chat.name
        assert (max(days) - min(days)).days > 90, chat.name
        assert kinds == {"single fact", "multi-hop", "temporal", "changed fact", "assistant"}, chat.name


def test_the_small_sets_have_their_size() -> None:
    for group in ("vietnamese", "spanish", "no-names"):
        conversations = own(REPORT)[group]
        assert len(conversations) >= 3
        assert all(len(one.turns) >= 30 and len(one.questions) >= 12 for one in conversations), group
    facts = own(TUNE)["facts-tune"] + own(REPORT)["facts"]
    assert sum(len(one.answers) for one in facts) >= 120
    assert sum(len(one.questions) for one in facts) >= 40


def test_the_small_blind_sets_have_their_size() -> None:
    facts, nameless = own(BLIND)["blind-facts"], own(BLIND)["blind-no-names"]
    assert len(facts) >= 2
    assert all(len(one.answers) >= 60 and len(one.questions) >= 20 for one in facts)
    assert len(nameless) >= 2
    assert all(len(one.turns) >= 40 and len(one.questions) >= 14 for one in nameless)


def test_nobody_in_the_sets_without_names_has_one() -> None:
    nameless = own(REPORT)["no-names"] + own(BLIND)["blind-no-names"]
    assert not any(turn.speaker for one in nameless for turn in one.turns)


def test_all_of_it_stays_small() -> None:
    assert sum(path.stat().st_size for path in OWN.iterdir()) < MOST_BYTES
