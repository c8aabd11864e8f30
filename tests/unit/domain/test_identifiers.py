"""Identifiers: what a new one may contain, and how a stored one is found."""

from __future__ import annotations

from typing import Any

import pytest

from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.filters.ast import Compare, Field, Filter, Not, Operator
from forgetless.domain.filters.parse import parse_filter
from forgetless.domain.filters.parse_platform import parse_platform_filter
from forgetless.domain.filters.scope_ids import all_ids, only_ids, pinned_ids
from forgetless.domain.identifiers import all_spellings, in_old_form, named_identifier, new_identifier, spellings

NFC, NFD = "jos\u00e9", "jose\u0301"


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (" alice ", "alice"),
        (" Jane  Doe ", "Jane  Doe"),
        (42, "42"),
        (-7, "-7"),
        (42.0, "42"),
        (2**63 - 1, "9223372036854775807"),
        (NFD, NFC),
        ("u-42@example.com", "u-42@example.com"),
        ("\u0646\u0627\u0645\u0647\u200c\u0627\u06cc", "\u0646\u0627\u0645\u0647\u200c\u0627\u06cc"),  # Persian
        ("\u0915\u094d\u200d\u0937", "\u0915\u094d\u200d\u0937"),  # Devanagari, after a virama
        ("\u0dc1\u0dca\u200d\u0dbb\u0dd3", "\u0dc1\u0dca\u200d\u0dbb\u0dd3"),  # Sinhala
        ("\u2764\ufe0f", "\u2764\ufe0f"),  # a heart in colour
        ("\u1820\u180b\u182d", "\u1820\u180b\u182d"),  # Mongolian
    ],
)
def test_a_new_id_is_trimmed_and_in_normal_form(given: Any, stored: str) -> None:
    assert new_identifier("user_id", given) == stored


@pytest.mark.parametrize(
    "given",
    [
        "alice\u200b",
        "alice\u202e",
        "\ufeffalice",
        "ali\u00adce",
        "ali\u200dce",
        "ali\u200cce",
        "alice\u2060",
        "alice\u180e",
        "alice\U000e0041",
        "alice\ufe0f",
        "alice\u034f",
        "alice\u180b",
        "alice\u180f",
        "alice\u2800",
        "alice\u2065",
        "alice\ufff0",
        "alice\U000e0080",
        "alice\ufdd0",
        "alice\U0001ffff",
        "alice\U0001d159",
        "alice\U00016fe4",
        "\u3164",
        "\u0646\u0627\u200c\u0646",  # a letter that does not join to the left: the joiner shows nothing
        "\u0915\u094d\u200d",  # a joiner before nothing
        "\u200c\u0646",
        "a\x1bb",
        "a\x85b",
        "a\u2028b",
        "a\ufffdb",
        "\ud800",
        "*",
        "  ",
        "a\u00a0b",
        "x" * 256,
        4.5,
        2.0**53,
        2**63,
        float("nan"),
        True,
        None,
        ["a"],
    ],
)
def test_what_cannot_be_seen_or_kept_apart_is_refused(given: Any) -> None:
    with pytest.raises(InvalidRequestError, match="user_id"):
        new_identifier("user_id", given)


def test_an_error_names_the_invisible_character() -> None:
    with pytest.raises(InvalidRequestError, match=r"U\+200B"):
        new_identifier("agent_id", "bot\u200b")


def test_an_id_that_became_too_long_in_normal_form_is_refused() -> None:
    # U+0958 is in no normal form: it becomes two characters.
    assert len(("\u0958" * 85).encode()) == 255
    with pytest.raises(InvalidRequestError, match="255 bytes"):
        new_identifier("user_id", "\u0958" * 85)


def test_what_is_stored_is_named_by_its_exact_spelling() -> None:
    for spelled in (NFD, "alice\u200b", "\ufeffalice"):
        assert named_identifier("user_id", f" {spelled} ") == spelled
        assert in_old_form(spelled)
    for never in ("a\x00b", "a\tb", "*", "\ud800", ""):
        with pytest.raises(InvalidRequestError):
            named_identifier("user_id", never)
    assert not in_old_form(NFC)
    assert not in_old_form("with spaces")


def test_a_name_in_another_form_means_both_spellings() -> None:
    assert spellings(NFC) == (NFC,)
    assert spellings(NFD) == (NFD, NFC)
    assert all_spellings({"user_id": NFD, "run_id": "r"}) == [
        {"user_id": NFD, "run_id": "r"},
        {"user_id": NFC, "run_id": "r"},
    ]
    assert all_spellings({}) == [{}]


@pytest.mark.parametrize("parse", [parse_filter, parse_platform_filter])
def test_a_filter_names_all_spellings_of_an_id(parse: object) -> None:
    user = Field("user_id")
    cases: list[tuple[dict[str, object], Filter]] = [
        ({"user_id": NFD}, Compare(user, Operator.IN, (NFD, NFC))),
        ({"user_id": {"ne": NFD}}, Compare(user, Operator.NIN, (NFD, NFC))),
        ({"user_id": {"in": ["bob", NFD]}}, Compare(user, Operator.IN, ("bob", NFD, NFC))),
        ({"NOT": {"user_id": NFD}}, Not(Compare(user, Operator.IN, (NFD, NFC)))),
        ({"user_id": NFC}, Compare(user, Operator.EQ, NFC)),
        ({"metadata": {"user_id": NFD}}, Compare(Field("user_id", metadata=True), Operator.EQ, NFD)),
    ]
    for given, expected in cases:
        assert callable(parse)
        assert parse(given) == expected


def test_the_spellings_of_one_id_still_pin_it() -> None:
    assert pinned_ids(all_ids({"user_id": NFD, "run_id": "r"})) == {"user_id": NFD, "run_id": "r"}
    assert only_ids(all_ids({"user_id": NFD})) == {"user_id": NFD}
    assert pinned_ids(Compare(Field("user_id"), Operator.IN, (NFD, "bob"))) == {}
    # Two old spellings of the same id: neither stands for the other.
    assert pinned_ids(Compare(Field("user_id"), Operator.IN, ("\u1e69", "s\u0323\u0307", "s\u0307\u0323"))) == {}
