"""SECURITY.md: each promise names tests, which exist and have tests in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_TABLE = re.compile(r"^\| Promise \| Test \|\n\|---\|---\|\n((?:\|.*\n)+)", re.MULTILINE)
_TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def promises(page: str) -> Iterator[tuple[str, str]]:
    """Each promise with what stands beside it."""
    for table in _TABLE.findall(page):
        for row in table.splitlines():
            promise, tests = row.strip("| ").rsplit(" | ", 1)
            yield promise, tests


PROMISES = list(promises((ROOT / "SECURITY.md").read_text(encoding="utf-8")))


def missing(tests: str) -> list[str]:
    """What of these tests does not exist; ["no test"] if none is named."""
    named = _TEST.findall(tests)
    found = []
    for path, name in named:
        file = ROOT / path
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
        if f"def {name or 'test_'}" not in text:
            found.append(f"{path} {name}".strip())
    return found if named else ["no test"]


@pytest.mark.parametrize(("promise", "tests"), PROMISES, ids=[one[0][:60] for one in PROMISES])
def test_a_promise_has_its_tests(promise: str, tests: str) -> None:
    assert missing(tests) == [], promise


def test_promises_are_found_and_gaps_are_noticed() -> None:
    assert len(PROMISES) > 40
    assert missing("") == ["no test"]
    assert missing("`tests/gone.py`, `tests/docs/test_security_page.py`") == ["tests/gone.py"]
    gone = "tests/docs/test_security_page.py::test_gone"
    assert missing(f"`{gone}`") == [gone.replace("::", " ")]
