"""What commands print of stored text: no control character reaches the terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.cli.__main__ import FAILED, OK, main
from forgetless.cli.text import printable, printable_lines
from forgetless.domain.keys import ApiKey, Role

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
