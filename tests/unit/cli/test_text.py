"""What commands print of stored text: no control character reaches the terminal."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.cli.__main__ import FAILED, OK, main
from forgetless.cli.text import printable, printable_json, printable_lines
from forgetless.domain.keys import ApiKey, Role
from forgetless.domain.memory import Event, EventKind, Memory
from forgetless.domain.scope import Scope

ATTACK = "\x1b[2J\x1b[31mgone\nfake line \u202egnp.exe\u009b"
SHOWN = "\\x1b[2J\\x1b[31mgone\\nfake line \\u202egnp.exe\\x9b"


def test_every_character_that_cannot_be_seen_is_an_escape() -> None:
    assert printable(ATTACK) == SHOWN
    assert printable("\ud800\u2028\U000e0041") == "\\ud800\\u2028\\U000e0041"
    assert (
        printable("jos\u00e9 \u65e5\u672c \u0646\u0647\u200c\u0627")
        == "jos\u00e9 \u65e5\u672c \u0646\u0647\u200c\u0627"
    )
    assert printable_lines("a\n\x1b[2Jb") == "a\n\\x1b[2Jb"


def test_json_has_the_same_values_and_no_character_that_a_terminal_obeys() -> None:
    said = f"{ATTACK}\u0085\x7f\ud800\U000e0041 jos\u00e9 \U0001f468\u200d\U0001f469 \u0646\u0647\u200c\u0627"
    lines = f'{json.dumps({"memory": said}, ensure_ascii=False)}\n{{"memory": "tea"}}\n'
    shown = printable_json(lines)
    assert not [char for char in "\x1b\u202e\u009b\u0085\x7f\U000e0041" if char in shown]
    assert "jos\u00e9" in shown
    assert [json.loads(line) for line in shown.splitlines()] == [{"memory": said}, {"memory": "tea"}]


def test_an_export_to_standard_output_is_printed_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, attack = tmp_path / "ledger.db", "tea \u009b31m\u202e"
    monkeypatch.setenv("FORGETLESS_LEDGER_PATH", str(path))
    at = "2026-01-01T00:00:00.000001+00:00"
    with closing(SqliteLedger(path)) as ledger:
        ledger.append([Event(EventKind.ADD, Memory("m", 1, Scope("default", user_id="ana"), attack, at, at, "job", 1))])
    for command in (["export"], ["export", "--user", "ana"]):
        assert main(command) == OK
        printed = capsys.readouterr().out
        assert not {"\u009b", "\u202e"} & set(printed)
        assert attack in json.dumps([json.loads(line) for line in printed.splitlines()], ensure_ascii=False)


def test_labels_and_users_of_keys_are_printed_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "ledger.db"
    monkeypatch.setenv("FORGETLESS_LEDGER_PATH", str(path))
    ledger = SqliteLedger(path)
    made = ApiKey("h" * 64, "default", Role.READ, "2026-01-01", label=ATTACK, prefix="\x1bfgl", users=("\x1ba",))
    ledger.put_key(made)
    ledger.close()
    assert main(["keys", "list"]) == OK
    listed = capsys.readouterr().out
    assert SHOWN in listed
    assert listed.count("\n") == 1
    assert main(["keys", "revoke", made.id]) == OK
    assert main(["jobs", "watch", "\x1b[2J"]) == FAILED
    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err + listed
