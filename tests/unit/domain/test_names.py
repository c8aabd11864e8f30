"""Names in texts: which are taken out of a question, which stay, and what the digests find."""

from __future__ import annotations

import pytest

from forgetless.domain.names import (
    NO_NAMES,
    NameSet,
    as_written,
    name_digest,
    question_without_names,
    without_names,
)

KEY = b"k" * 32


def known(*names: str) -> NameSet:
    written = [as_written(name) for name in names]
    assert None not in written
    return NameSet(KEY, frozenset(name_digest(KEY, name) for name in written if name is not None))


@pytest.mark.parametrize(
    ("question", "names", "left"),
    [
        ("What did Caroline paint last summer?", ["Caroline", "Melanie"], "What did paint last summer?"),
        ("What is Caroline's favourite painting?", ["Caroline"], "What is favourite painting?"),
        ("What is Caroline’s favourite painting?", ["Caroline"], "What is favourite painting?"),
        ("What did J. R. Smith buy in Paris?", ["J. R. Smith"], "What did buy in Paris?"),
        ("Where did Jean-Luc buy bread and milk?", ["jean-luc"], "Where did buy bread and milk?"),
        ("What did O’Neil say about trains and boats?", ["O'Neil"], "What did say about trains and boats?"),
        ("What did Anna Lee eat for lunch in Rome?", ["anna_lee"], "What did eat for lunch in Rome?"),
        ("Mua hoa hôm qua với Nguyễn Thị Mai?", ["Nguyễn Thị Mai"], "Mua hoa hôm qua với ?"),
        ("Ngày mai Mai đi chợ mua gì?", ["Mai"], "Ngày mai đi chợ mua gì?"),
        ("田中さんはどこで寿司を食べた？", ["田中"], "さんはどこで寿司を食べた？"),
        ("昨天小明去哪里买了书？", ["小明"], "昨天去哪里买了书？"),
        ("Will the bakery open on Sunday?", ["Will"], "the bakery open on Sunday?"),
        # One other word is enough beside the only name that is known.
        ("What is Caroline's profession?", ["Caroline"], "What is profession?"),
        ("Mai sống ở đâu?", ["Mai"], "sống ở đâu?"),
        ("Did Mark call?", ["Mark"], "Did call?"),
    ],
)
def test_a_name_is_taken_out_of_a_question(question: str, names: list[str], left: str) -> None:
    assert question_without_names(question, known(*names)) == left


@pytest.mark.parametrize(
    ("question", "names"),
    [
        # What is asked for is the name.
        ("Caroline", ["Caroline"]),
        ("Mai", ["Mai"]),
        ("Mark?", ["Mark"]),
        ("Who is Caroline?", ["Caroline"]),
        ("Will Mark come?", ["Will", "Mark"]),
        ("Mai là ai?", ["Mai"]),
        ("¿Quién es Carmen?", ["Carmen"]),
        ("田中さんは誰ですか？", ["田中"]),
        ("Did Mark call?", ["Mark", "Caroline"]),
        ("What is Caroline's profession?", ["Caroline", "Melanie"]),
        # The word does not have the capital of the name.
        ("When will the bakery open on Sunday?", ["Will"]),
        ("Can you mark the parcel with red tape?", ["Mark"]),
        ("Ngày mai đi chợ mua gì?", ["Mai"]),
        # The name is a part of another word or name.
        ("Where did Jean-Luc buy bread and milk?", ["Jean"]),
        ("Where did Anna-Maria and Annabel buy bread?", ["Anna"]),
        # Nobody with this name has spoken.
        ("What did Paul buy in Paris?", ["Caroline"]),
    ],
)
def test_a_name_stays_in_a_question(question: str, names: list[str]) -> None:
    assert question_without_names(question, known(*names)) == question


def test_no_known_name_leaves_every_question_as_it_was_asked() -> None:
    assert question_without_names("What did  Caroline buy ?", NO_NAMES) == "What did  Caroline buy ?"


def test_digests_of_another_key_find_nothing() -> None:
    others = NameSet(b"o" * 32, known("Caroline").digests)

    assert "Caroline" in known("Caroline")
    assert "Caroline" not in others
    assert others.found_in("What did Caroline buy?") == []


def test_names_are_found_in_their_own_spelling_and_only_in_the_beginning_of_a_long_text() -> None:
    names = known("O'Neil", "Zoë Şahin", "田中")

    assert names.found_in("(Zoë Şahin), O’Neil's, 田中!") == ["Zoë Şahin", "O’Neil", "田中"]
    assert names.found_in("Zoë, Şahin") == []
    assert names.found_in("x " * 600 + "O'Neil") == []


@pytest.mark.parametrize(
    ("text", "names", "left"),
    [
        ("Hey Mel! Caroline's here.", {"Caroline", "Mel"}, "Hey ! here."),
        ("Melanie, how are you?", {"Melanie"}, "how are you?"),
        ("Melanie!", {"Melanie"}, "Melanie!"),
        ("Will said: I will\n come", {"Will"}, "said: I will come"),
        ("nothing  to take", {"Anna"}, "nothing  to take"),
        ("Anna Lee and Anna", {"Anna", "Anna Lee"}, "and"),
    ],
)
def test_a_text_is_embedded_without_the_names(text: str, names: set[str], left: str) -> None:
    assert without_names(text, names) == left


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("alice", "Alice"),
        ("anna_lee", "Anna Lee"),
        ("  Anna   von Trapp ", "Anna von Trapp"),
        ("o’neil", "O'Neil"),
        ("J. R. Smith", "J. R. Smith"),
        ("Nguyễn Thị Minh Khai", "Nguyễn Thị Minh Khai"),
        ("田中", "田中"),
        ("user", None),
        ("Assistant", None),
        ("ai", None),
        ("user_4711", None),
        ("4711", None),
        ("明", None),
        ("", None),
        ("One Two Three Four Five", None),
        ("A" * 65, None),
        ("a@example.com, me", None),
    ],
)
def test_what_is_a_name(given: str, written: str | None) -> None:
    assert as_written(given) == written
