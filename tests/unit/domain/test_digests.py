"""Digests and seals with a key."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from forgetless.domain.digests import keyed_digest, seal, unseal, unveil, veil

KEYS = st.binary(min_size=32, max_size=32)
DIGESTS = st.binary(min_size=16, max_size=16).map(bytes.hex)


@given(KEYS, DIGESTS, DIGESTS)
def test_a_seal_leads_back_with_its_key_alone(key: bytes, one: str, other: str) -> None:
    sealed = seal(key, one)
    assert unseal(key, sealed) == one
    assert len(sealed) == 32
    assert (seal(key, other) == sealed) == (one == other)
    assert unseal(bytes(31) + b"x", sealed) != one or key == bytes(31) + b"x"


@given(KEYS, st.text(), st.text(max_size=200))
def test_a_veiled_text_is_legible_with_its_key_and_its_name_alone(key: bytes, name: str, text: str) -> None:
    veiled = veil(key, name, text)
    assert unveil(key, name, veiled) == text
    assert len(text.encode()) < 9 or veil(key, name + "x", text) != veiled


def test_digests_differ_by_key_and_by_word() -> None:
    digests = {keyed_digest(key, *words) for key in (b"a", b"b") for words in (("x", "y"), ("x", "z"), ("x",), ("xy",))}
    assert len(digests) == 8
    assert all(len(digest) == 32 for digest in digests)
