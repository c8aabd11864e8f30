"""The scan finds a mark in every form in which a store may keep it."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.erasure.scanning import Needles, bytes_of_item, found_in, found_in_files

STEM = "zq0a1b2c"
WORD = f"{STEM}worté"
NEEDLES = Needles(STEM, [WORD], ["f00d" * 8])

FORMS: dict[str, Callable[[str], bytes]] = {
    "UTF-8": lambda word: word.encode(),
    "JSON": lambda word: json.dumps({"a": word}).encode(),
    "capitals": lambda word: word.upper().encode(),
    "UTF-16": lambda word: word.encode("utf-16"),
    "UTF-16, the other way": lambda word: word.encode("utf-16-be"),
    "hex": lambda word: word.encode().hex().encode(),
    "base64": lambda word: base64.b64encode(word.encode()),
    "base64, a byte later": lambda word: base64.b64encode(b"?" + word.encode()),
    "base64, two bytes later": lambda word: base64.b64encode(b"??" + word.encode() + b"?"),
    "zlib": lambda word: b"head" + zlib.compress(b"x" * 99 + word.encode()) + b"tail",
    "gzip": lambda word: gzip.compress(word.encode()),
    "MD5": lambda word: hashlib.md5(word.encode()).hexdigest().encode(),
    "SHA-256": lambda word: hashlib.sha256(word.encode()).digest(),
    "cut SHA-256": lambda word: hashlib.sha256(word.encode()).hexdigest()[:32].encode(),
    "another exact word": lambda _: b"key=" + b"f00d" * 8,
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_found(form: str) -> None:
    assert found_in(b"\x00before" + FORMS[form](WORD) + b"after", NEEDLES)


def test_nothing_else_is_found() -> None:
    others = (
        f"zq0a1b2d zq {hashlib.md5(b'other').hexdigest()}".encode() + zlib.compress(b"other") + b"\x78\x9cno stream"
    )
    assert found_in(others, NEEDLES) == set()


def test_files_their_names_and_items_are_looked_at(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "inside").write_bytes(b"a " + WORD.encode())
    (tmp_path / f"{STEM}.log").write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path / "sub" / "inside")
    assert set(found_in_files(tmp_path, NEEDLES)) == {"sub/inside", f"{STEM}.log"}
    assert found_in(bytes_of_item({"pk": {"S": f"L#{STEM}"}}), NEEDLES)
    assert found_in(bytes_of_item({"body": {"B": WORD.encode()}, "m": {"M": {"x": {"L": [{"N": "1"}]}}}}), NEEDLES)
    assert found_in(bytes_of_item({"m": {"M": {STEM: {"N": "1"}}}}), NEEDLES)
    assert not found_in(bytes_of_item({"pk": {"S": "L#other"}}), NEEDLES)
