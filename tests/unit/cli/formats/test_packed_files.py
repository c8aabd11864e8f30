"""Files that are packed: what is unpacked at once, how often, and by which methods."""

from __future__ import annotations

import gzip
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from forgetless.cli.formats import expansion
from forgetless.cli.import_file import SourceFile
from forgetless.domain.errors import InvalidRequestError
from tests.unit.cli.formats.test_source_files import LISTED, jsonl, read, zipped


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "memories"


def test_a_file_that_grows_without_end_is_refused_before_it_is_read(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expansion, "_FREE_BYTES", 300_000)
    bomb = jsonl(*LISTED).encode() + b'{"id": "x", "memory": "' + b"a" * 2_000_000 + b'", "user_id": "ana"}\n'
    for content in (
        gzip.compress(bomb),
        zipped(memories_json=b"[" + b" " * 2_000_000 + b"]"),
        zipped(memories_jsonl_gz=gzip.compress(bomb)),
    ):
        with pytest.raises(InvalidRequestError, match="200 times as large"):
            read(file, content, user="ana")
    assert len(read(file, gzip.compress(jsonl(*LISTED).encode()))[0]) == 2
    monkeypatch.setattr(expansion, "_FREE_BYTES", 3_000_000)
    assert len(read(file, gzip.compress(bomb))[0]) == 3, "what is small may be packed as well as it can be"


@pytest.mark.parametrize(
    ("method", "name"), [(zipfile.ZIP_BZIP2, r"method 12 \(bzip2\)"), (zipfile.ZIP_LZMA, r"method 14 \(LZMA\)")]
)
def test_a_zip_that_is_unpacked_without_a_bound_is_refused(file: Path, method: int, name: str) -> None:
    with pytest.raises(InvalidRequestError, match=rf"memories\.json is compressed with {name}.*again with deflate"):
        read(file, zipped(method, memories_json=b" " * 1_000_000))


@pytest.mark.parametrize("pack", [gzip.compress, lambda content: zipped(memories_json=content)], ids=["gzip", "zip"])
def test_no_more_is_unpacked_at_once_than_is_read(
    file: Path, monkeypatch: pytest.MonkeyPatch, pack: Callable[[bytes], bytes]
) -> None:
    monkeypatch.setattr(expansion, "_FREE_BYTES", 2_000_000)
    file.write_bytes(pack(b"[" + b" " * 40_000_000 + b"]"))
    tracemalloc.start()
    try:
        with file.open("rb") as opened, pytest.raises(InvalidRequestError, match="200 times as large"):
            list(SourceFile(opened, file).lines())
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_a_file_that_contains_itself_is_not_unpacked_for_ever(file: Path) -> None:
    packed = jsonl(*LISTED).encode()
    for _ in range(2):
        packed = gzip.compress(packed)
    assert read(file, packed) == (LISTED, [])
    with pytest.raises(InvalidRequestError, match="compressed more than 2 times"):
        read(file, gzip.compress(packed))
