"""Who said a message: its name, or a prefix that the conversation shows to be one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from forgetless.domain.memory import Memory, Message, MessageRef
from forgetless.domain.names import NameSet, name_digest
from forgetless.domain.said import Said
from forgetless.domain.scope import Scope
from forgetless.domain.speakers import KnownPrefixes, NameUse, message_of, name_uses, read_speakers

KEY = b"k" * 32
SCOPE = Scope("acme", user_id="anna")
TALK = ("Anna: hello", "Ben: hi", "Anna: how are you?", "Ben: fine")


def messages(*texts: str, name: str | None = None, role: str = "user") -> list[Message]:
    return [
        Message(MessageRef("job", place), SCOPE, role, text, "2026-01-01T00:00:00Z", name)
        for place, text in enumerate(texts)
    ]


def names(*known: str) -> NameSet:
    return NameSet(KEY, frozenset(name_digest(KEY, name) for name in known))


def speakers(*texts: str) -> list[str | None]:
    return [said.speaker for said in read_speakers(messages(*texts))]


def test_two_prefixes_that_are_used_twice_name_the_speakers() -> None:
    assert read_speakers(messages(*TALK)) == [
        Said("hello", "Anna", "user"),
        Said("hi", "Ben", "user"),
        Said("how are you?", "Anna", "user"),
        Said("fine", "Ben", "user"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Password: swordfish",  # a label, however often it is written
        "My Password: swordfish",
        "TODO: water the plants",
        "User: hello",  # a role
        "AI: hello",
        "Anna:hello",
        "anna: hello",
        "Anna von Trapp: hello",  # not each word has a capital
        "Anna Maria Lee Smith: hello",  # four words
        "12: hello",
        "Anna: ",
    ],
)
def test_other_prefixes_are_content(text: str) -> None:
    said = read_speakers(messages(text, text, *TALK))

    assert said[:2] == [Said(text, None, "user")] * 2
    assert [one.speaker for one in said[2:]] == ["Anna", "Ben", "Anna", "Ben"]


def test_a_prefix_that_is_used_once_is_content() -> None:
    assert speakers(*TALK, "Milk: two litres") == ["Anna", "Ben", "Anna", "Ben", None]


def test_a_single_prefix_is_content_however_often_it_is_used() -> None:
    assert speakers("Milk: one", "Milk: two", "Milk: three", "Bread: one") == [None] * 4


@pytest.mark.parametrize("name", ["Zoë", "Nguyễn Thị Mai", "Jean-Luc", "O'Neil", "J. R. Smith", "Şahin", "Łukasz"])
def test_names_of_many_kinds_are_read_from_prefixes(name: str) -> None:
    assert speakers(f"{name}: hello", "Ben: hi", f"{name}: and?", "Ben: no")[0] == name


def test_the_name_of_a_message_is_its_speaker_and_its_text_keeps_everything() -> None:
    said = read_speakers([*messages(*TALK, name="田中"), *messages(*TALK)])

    assert said[0] == Said("Anna: hello", "田中", "user")
    assert said[4] == Said("hello", "Anna", "user")


@pytest.mark.parametrize(("name", "role"), [("user", "user"), ("Assistant", "assistant"), ("get_weather", "tool")])
def test_the_name_of_a_role_or_a_function_is_nobody(name: str, role: str) -> None:
    (said,) = read_speakers(messages("It rains.", name=name, role=role))

    assert said == Said("It rains.", None, role)
    assert name_uses(messages("It rains.", name=name, role=role)) == {}


def test_what_was_said_before_in_the_scope_counts() -> None:
    known = KnownPrefixes(once=names("Anna"), often=names("Ben"))

    assert read_speakers(messages("Anna: hello"), known) == [Said("hello", "Anna", "user")]
    assert read_speakers(messages("Cleo: hello"), known) == [Said("Cleo: hello", None, "user")]
    assert read_speakers(messages("Ben: hello"), known) == [Said("Ben: hello", None, "user")]
    assert read_speakers(messages("Ben: hello"), KnownPrefixes(often=names("Anna", "Ben")))[0].speaker == "Ben"


def test_the_uses_of_names_are_what_the_ledger_needs_to_know() -> None:
    talk = [*messages(*TALK, "Milk: two"), *messages("hi", name="anna"), *messages("hi", name="Cleo", role="assistant")]

    assert name_uses(talk) == {
        "Anna": NameUse(given=True, prefix_of=(MessageRef("job", 0), MessageRef("job", 2))),
        "Ben": NameUse(prefix_of=(MessageRef("job", 1), MessageRef("job", 3))),
        "Milk": NameUse(prefix_of=(MessageRef("job", 4),)),
        "Cleo": NameUse(given=True),
    }


def test_a_memory_that_was_stored_verbatim_is_read_as_its_message_was() -> None:
    memory = Memory("id", 1, SCOPE, "hello", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "job", 3, role="user")

    assert message_of(memory).ref == MessageRef("id", 0), "many imported memories have the same job and position"
    assert read_speakers([message_of(replace(memory, actor_id="Anna"))]) == [Said("hello", "Anna", "user")]
    source = MessageRef("earlier", 1)
    assert message_of(replace(memory, sources=(source,))).ref == source


def test_a_very_long_first_word_is_read_in_no_time() -> None:
    assert speakers("A" * 1_000_000) == [None]
    assert speakers(" " * 1_000_000 + "Anna: hello") == [None]
