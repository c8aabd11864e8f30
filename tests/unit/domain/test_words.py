"""The words of BM25: stems, stop words, folded forms, identifiers, scripts without spaces."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgetless.domain.spelling import MAX_WORD_CHARS
from forgetless.domain.words import index_words, query_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("What is it?", []),
        ("Anna liked running shoes", ["anna", "like", "run", "shoe"]),
        ("tea tea TEA", ["tea", "tea", "tea"]),
        ("Anna's isn't we'll", ["anna", "isn"]),
        ("phở đậm đà", ["phở", "pho", "đậm", "dam", "đà", "da"]),
        ("thế giới", ["thế", "the", "giới", "gioi"]),
        ("Straße Ørsted", ["straße", "strass", "ørsted", "orst"]),
        ("AB-1234", ["ab", "1234", "ab1234"]),
        ("order_17 and v1.2", ["order", "17", "v1", "2", "order17", "v12"]),
        ("well-known", ["well", "known"]),
        ("東京", ["東", "京", "東京"]),
        ("東京tower", ["東", "京", "東京", "tower"]),
        ("ＡＢ１２", ["ab12"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("ไทย", ["ไ", "ท", "ย", "ไท", "ทย"]),
        ("🦜 -- !", []),
    ],
)
def test_index_words(text: str, words: list[str]) -> None:
    assert index_words(text) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("who likes tea, and what tea?", ["like", "tea"]),
        ("東京都", ["東京", "京都"]),
        ("東", ["東"]),
    ],
)
def test_query_words_come_once(text: str, words: list[str]) -> None:
    assert query_words(text) == words


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("cà phê sữa đá", "ca phe sua da"),
        ("Ticket AB-1234 is open", "ab1234"),
        ("Ticket AB1234 is open", "AB-1234"),
        ("on 2026-05-01", "2026-05-01"),
        ("she was baking cakes", "bake cake"),
        ("Encyclopædia", "encyclopaedia"),
        ("東京タワー", "京"),
        ("İstanbul", "istanbul"),
    ],
)
def test_a_question_finds_what_was_said_otherwise(said: str, asked: str) -> None:
    assert set(query_words(asked)) & set(index_words(said))


def test_a_blob_is_one_short_word() -> None:
    assert index_words("a" * 10_000) == ["a" * MAX_WORD_CHARS]


@given(st.text())
def test_any_text_gives_plain_words_and_finds_itself(text: str) -> None:
    words = index_words(text)
    assert all(word and word == "".join(word.split()) for word in words)
    assert set(query_words(text)) <= set(words)


def test_threads_do_not_share_a_stemmer() -> None:
    with ThreadPoolExecutor(8) as pool:
        assert set(map(tuple, pool.map(index_words, ["running shoes liked"] * 2000))) == {("run", "shoe", "like")}
