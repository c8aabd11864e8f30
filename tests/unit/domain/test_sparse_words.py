"""Sparse vectors of words: the formula of a row, accents, names, ids, and what must hold for any text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forgetless.domain.said import LONG_TEXT_CHARS, SHORT_TEXT_CHARS, Said
from forgetless.domain.sparse_words import (
    ONLY_WORD_WEIGHT,
    RESERVED_ID,
    SparseVector,
    content_words,
    inner_product,
    query_vector,
    row_vector_and_mass,
    term_id,
)
from forgetless.domain.word_weights import UNKNOWN_WEIGHT, weight


def _row(text: str, *previous: str, following: str | None = None, names: tuple[str, ...] = ()) -> SparseVector:
    said, after = [Said(one) for one in previous], Said(following) if following else None
    return row_vector_and_mass(Said(text), said, after, names=names)[0]


def _mass(text: str) -> float:
    return row_vector_and_mass(Said(text), [], None, names=())[1]


def _score(question: str, memory: str) -> float:
    return inner_product(query_vector(question), _row(memory))


def _once(length: float) -> float:
    """The value of a word that occurs once in a text of so many words."""
    return 1.5 / (1 + 0.5 * (0.7 + 0.3 * length / 15))


def test_a_word_saturates_with_its_number_and_with_the_length_of_the_text() -> None:
    row = _row("zebra zebra violin")
    assert row[term_id("zebra")] == pytest.approx(3 / (2 + 0.5 * (0.7 + 0.3 * 3 / 15)))
    assert row[term_id("violin")] == pytest.approx(_once(3))
    assert row[RESERVED_ID] == 1.0
    assert len(row) == 3


def test_neighbours_count_less_the_further_they_are_and_the_largest_value_stays() -> None:
    row = _row("zebra", "quartz", "canoe", "pottery", "zebra violin", following="bicycle")
    assert row == pytest.approx(
        {
            RESERVED_ID: 1.0,
            term_id("zebra"): _once(1),
            term_id("violin"): 0.8 * _once(2),
            term_id("potteri"): 0.6 * _once(1),
            term_id("cano"): 0.4 * _once(1),
            term_id("bicycl"): 0.6 * _once(1),
        }
    )


def test_a_long_text_stands_without_the_messages_before_but_with_the_one_after() -> None:
    long = "zebra " * (SHORT_TEXT_CHARS // 6 + 1)
    assert set(_row(long, "before", following="violin")) == {RESERVED_ID, term_id("zebra"), term_id("violin")}


def test_names_are_left_out_of_every_text_and_the_speaker_is_added() -> None:
    own = Said("Zoë met Will at the zoo", speaker="Zoë")
    row = row_vector_and_mass(own, [Said("Zoë sings")], Said("zoë dances"), names=["Zoë", "Will"])[0]
    assert row[term_id("zoë")] == row[term_id("zoe")] == pytest.approx(0.3)
    assert term_id("will") not in row
    assert {term_id("zoo"), term_id("sing"), term_id("danc")} <= set(row)
    assert inner_product(query_vector("Who is Zoë?"), row) == pytest.approx(0.3 * ONLY_WORD_WEIGHT)


@pytest.mark.parametrize("question", ["Who is Will?", "Will?", "will", "Did they meet Will there?"])
def test_a_name_that_is_a_function_word_finds_its_rows(question: str) -> None:
    by_will = row_vector_and_mass(Said("I moved to Oslo", speaker="Will"), [], None, names=["Will"])[0]
    assert inner_product(query_vector(question), by_will) > 1
    assert _score(question, "Yesterday I met Will in Oslo.") > 5
    assert _score("Will it rain in Oslo?", "They will see.") == 0


@pytest.mark.parametrize(
    "name", ["Will", "May", "An", "My", "Anh", "Mark", "Mai", "Minh", "Theo", "Sol", "Zoë", "田中"]
)
def test_a_one_word_question_finds_who_spoke_and_who_is_meant(name: str) -> None:
    by_name = row_vector_and_mass(Said("The flat has two rooms", speaker=name), [], None, names=[name])[0]
    for question in (f"{name}?", f"Who is {name}?"):
        assert inner_product(query_vector(question), by_name) > 0.8
        assert _score(question, f"The neighbour upstairs is {name}.") > 2.5


def test_a_question_of_one_word_asks_for_nothing_else() -> None:
    assert query_vector("Who is Mai?") == query_vector("mai") == {term_id("mai"): ONLY_WORD_WEIGHT}
    assert query_vector("Mai and the market")[term_id("mai")] == weight("mai") < UNKNOWN_WEIGHT


@pytest.mark.parametrize(
    ("accented", "plain"),
    [("cà phê", "ca phe"), ("élève", "eleve"), ("Tür", "Tur"), ("teléfono", "telefono"), ("Straße", "Strasse")],
)
def test_accents_count_once_and_match_what_is_written_without(accented: str, plain: str) -> None:
    both, words = _score(accented, accented), content_words(accented)
    weights = [weight(word) for word in words] if len(words) > 1 else [ONLY_WORD_WEIGHT]
    assert both == pytest.approx(sum(weights) * _once(len(words)))
    assert _score(accented, plain) > 0.25 * both
    assert _score(plain, accented) > 0.25 * both
    assert _mass(accented) == pytest.approx(sum(map(weight, words)) / (sum(map(weight, words)) + 40))


def test_other_accents_make_another_word() -> None:
    assert _score("cà", "cà") == pytest.approx(2 * _score("cà", "cá"))


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("Ticket AB-1234 is open", "ab1234"),
        ("Ticket AB1234 is open", "AB-1234"),
        ("Write to anna.smith@example.org", "anna.smith@example.org"),
        ("The code is 80 and v1.2", "v1.2"),
        ("due on 2026-05-01", "2026-05-01"),
        ("She didn't paint", "painting"),
        ("東京タワー", "京"),
        ("ＡＢ１２", "ab12"),
        ("İstanbul", "istanbul"),
        ("ฉันชอบชาเขียว", "ชาเขียว"),
        ("कॉफ़ी पसंद है", "कॉफ़ी"),
    ],
)
def test_identifiers_numbers_and_other_scripts_match(said: str, asked: str) -> None:
    assert _score(asked, said) > 1


@pytest.mark.parametrize(
    "text", ["", " ", "🦜🦜", "?!", "\ud800", "\udfff zebra \ud83d", "👩‍👩‍👧", "\x00", "ﷺ" * 60_000]
)
def test_any_text_gives_a_row_that_milvus_takes(text: str) -> None:
    row = _row(text, text, following=text)
    assert row[RESERVED_ID] == 1.0
    assert all(0 < value < 2 for value in row.values())
    assert 0 <= _mass(text) < 1
    assert RESERVED_ID not in query_vector(text)


@pytest.mark.parametrize("unit", ["zebra ", "a-1", "東", "は", "é", "'t", "Will "])
def test_only_the_beginning_of_a_text_is_read(unit: str) -> None:
    text = unit * 60_000
    assert _row(text) == _row(text[:LONG_TEXT_CHARS])
    assert query_vector(text) == query_vector(text[:LONG_TEXT_CHARS])
    assert _mass(text) == _mass(text[:LONG_TEXT_CHARS])


def test_ids_never_change() -> None:
    # CRC-32 of "123456789" is 0xCBF43926 in every list of check values.
    assert term_id("123456789") == 0xCBF43926 + 1
    assert term_id("zebra") == 358047159


@pytest.mark.parametrize(("checksum", "expected"), [(0, 1), (2**32 - 3, 2**32 - 2), (2**32 - 2, 1), (2**32 - 1, 2)])
def test_words_that_hash_to_an_id_that_is_taken_move(
    checksum: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forgetless.domain.sparse_words.crc32", lambda _: checksum)
    assert term_id("zebra") == expected


def test_content_words_are_those_that_serve_no_grammar() -> None:
    assert content_words("Where did she buy the red bicycle?") == ["buy", "red", "bicycl"]
    assert content_words("What is it?") == []
    assert query_vector("What is it?") == {}


_WORDS = st.lists(st.sampled_from(["zebra", "violin", "café", "cafe", "東京", "AB-12", "river", "phở"]), max_size=12)


@settings(max_examples=30, deadline=None)
@given(asked=_WORDS.filter(bool), swaps=st.lists(st.integers(0, 11), min_size=1, max_size=12))
def test_no_text_of_the_same_length_fits_a_question_better_than_its_own_words(
    asked: list[str], swaps: list[int]
) -> None:
    others = list(asked)
    for place in swaps:
        others[place % len(asked)] = "quartz"
    question = query_vector(" ".join(dict.fromkeys(asked)))
    itself, other = inner_product(question, _row(" ".join(asked))), inner_product(question, _row(" ".join(others)))
    assert itself >= other - 1e-9


@settings(max_examples=30, deadline=None)
@given(text=_WORDS, before=_WORDS, asked=_WORDS)
def test_context_and_further_words_of_a_question_only_add(text: list[str], before: list[str], asked: list[str]) -> None:
    alone, within = _row(" ".join(text)), _row(" ".join(text), " ".join(before), following=" ".join(before))
    assert all(within[word] >= value for word, value in alone.items())
    words = list(dict.fromkeys(asked))  # a question of one word again and again is a case of its own
    few, many = query_vector(" ".join(words[:3])), query_vector(" ".join(words))
    assert inner_product(many, within) >= inner_product(few, within) - 1e-9 >= inner_product(few, alone) - 2e-9


@settings(max_examples=50, deadline=None)
@given(text=st.text(max_size=80), question=st.text(max_size=40))
def test_values_are_positive_and_ids_are_in_range(text: str, question: str) -> None:
    row, asked = _row(text, question), query_vector(question)
    assert all(0 <= word < 2**32 - 1 and value > 0 for word, value in (row | asked).items())
    assert RESERVED_ID not in asked
    assert len(asked) <= 2 * len(content_words(question)) + 2
    assert inner_product(asked, row) >= 0


def test_a_word_counts_once_however_often_it_is_asked() -> None:
    assert query_vector("zebra zebra Zebras") == {term_id("zebra"): ONLY_WORD_WEIGHT}
