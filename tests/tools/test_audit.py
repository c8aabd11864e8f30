"""An audit that looked nothing up fails, whatever pip-audit says of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from local.audit import CANNOT, FAULT, Answer, audit, verdict

KNOWN = Answer({"jinja2": ["PYSEC-2014-8"]})
CLEAN = Answer({"idna": [], "boto3": []})


@pytest.mark.parametrize(
    ("canary", "answers", "code", "told"),
    [
        (KNOWN, {"a": CLEAN, "b": CLEAN}, 0, "4 packages of 2 lock files"),
        (KNOWN, {"a": CLEAN, "b": Answer({"idna": ["GHSA-1"]})}, FAULT, "b: idna: GHSA-1"),
        (KNOWN, {"a": Answer({"idna": []}, {"x": "not found"})}, FAULT, "a: x: not looked up: not found"),
        (KNOWN, {"a": CLEAN, "b": Answer()}, FAULT, "b: nothing was audited"),
        (KNOWN, {"a": Answer(failed="ConnectionError")}, FAULT, "a: pip-audit failed: ConnectionError"),
        # The database is not reached, knows no package, or knows the package and no vulnerability at all.
        (Answer(failed="ConnectionError"), {}, CANNOT, "nothing was audited: .*ConnectionError"),
        (Answer(skipped={"jinja2": "not found"}), {}, CANNOT, "nothing was audited: .*not found"),
        (Answer({"jinja2": []}), {"a": CLEAN}, CANNOT, "nothing was audited"),
    ],
)
def test_only_what_was_looked_up_counts(canary: Answer, answers: dict[str, Answer], code: int, told: str) -> None:
    found, lines = verdict(canary, answers)
    assert found == code
    assert any(re.search(told, line) for line in lines), lines


def program(folder: Path, body: str) -> Path:
    file = folder / "pip-audit"
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)
    return file


def test_what_pip_audit_says_is_read(tmp_path: Path) -> None:
    said = {
        "dependencies": [
            {"name": "a", "version": "1", "vulns": [{"id": "X-1", "fix_versions": []}]},
            {"name": "b", "version": "2", "vulns": []},
            {"name": "c", "skip_reason": "unknown"},
        ]
    }
    answer = audit(program(tmp_path, f"echo '{json.dumps(said)}'; exit 1"), {"a": "1", "b": "2", "c": "3"})
    assert answer == Answer({"a": ["X-1"], "b": []}, {"c": "unknown"})


@pytest.mark.parametrize("body", ["echo cannot connect >&2; exit 1", "echo '[]'", "echo '{}'", "exit 0"])
def test_an_audit_that_failed_is_no_answer(tmp_path: Path, body: str) -> None:
    answer = audit(program(tmp_path, body), {"a": "1"})
    assert answer.failed
    assert not answer.known


def test_a_program_that_is_not_there_is_no_answer(tmp_path: Path) -> None:
    assert audit(tmp_path / "none", {"a": "1"}).failed
