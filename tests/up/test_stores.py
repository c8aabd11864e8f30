"""`make up` and its stores: the order of the checks, copies of the ledger, and who may read them."""

from __future__ import annotations

import stat
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from local.sam import parts as sam
from local.sam.parts import Ports, SamSettings
from local.up.__main__ import main
from local.up.errors import UpError
from local.up.parts import Part, parts_of
from local.up.record import lock
from local.up.settings import ROOT, Settings
from local.up.state_folder import open_state
from tests.contract.ledger.making import a_memory, add
from tests.up.harness import part, running_up


def mode_of(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def part_of(settings: Settings, name: str) -> Part:
    return next(one for one in parts_of(settings, {}, settings.state / "key") if one.name == name)


@pytest.fixture
def filled(tmp_path: Path) -> Settings:
    """A state folder whose ledger has a memory."""
    settings = Settings(state=tmp_path / "state")
    with closing(SqliteLedger(settings.ledger)) as ledger:
        ledger.append(add(a_memory("a")))
    return settings


def held(settings: Settings) -> int:
    with closing(SqliteLedger(settings.ledger)) as ledger:
        return ledger.tally(limit=99).live


def test_the_key_is_registered_only_after_the_stores_were_found_to_fit(tmp_path: Path) -> None:
    settings = Settings(state=tmp_path)
    assert "milvus" in part_of(settings, "ledger").after
    assert "ledger" in part_of(settings, "key").after
    assert "--start" in part_of(settings, "ledger").command
    assert part_of(settings, "index").only_if == ("ledger", "reindex")


def test_an_empty_ledger_is_accepted_on_the_option_alone(tmp_path: Path) -> None:
    settings = Settings(state=tmp_path)
    assert "--accept-empty-ledger" not in part_of(settings, "ledger").command
    assert "--accept-empty-ledger" in part_of(replace(settings, empty_ledger=True), "ledger").command


@pytest.mark.parametrize(("url", "accepted"), [("", True), ("http://127.0.0.1:8000", False)])
def test_under_sam_local_an_empty_ledger_is_meant_where_moto_forgets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, accepted: bool
) -> None:
    (tmp_path / "template.yaml").write_text((ROOT / "template.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(sam, "BUILT", tmp_path)
    parts = {one.name: one for one in sam.parts_of(SamSettings(Settings(tmp_path), Ports(), url), {}, tmp_path / "key")}
    assert ("--accept-empty-ledger" in parts["ledger"].command) == accepted
    assert {"table", "milvus"} <= set(parts["ledger"].after)
    assert "ledger" in parts["key"].after
    assert "index" in parts["gateway"].after
    seen: set[str] = set()
    for one in parts.values():
        assert seen.issuperset(one.after)
        seen.add(one.name)


def test_a_copy_goes_into_the_state_folder_or_where_it_is_told_and_comes_back(
    filled: Settings, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    state = ("--state", str(filled.state))
    assert main(["backup", *state]) == 0
    (copy,) = filled.backups.iterdir()
    assert str(copy) in capfd.readouterr().out
    assert main(["backup", *state, str(tmp_path / "elsewhere.db")]) == 0
    assert main(["restore", *state, str(copy)]) == 1
    assert "ARGS=--replace" in capfd.readouterr().err
    with closing(SqliteLedger(filled.ledger)) as ledger:
        ledger.append(add(a_memory("b")))
    assert main(["restore", *state, "--replace", str(copy)]) == 0
    assert held(filled) == 1
    assert main(["restore", *state, "--replace", "--keys-of-copy", str(copy)]) == 0
    assert main(["reset-data", "--yes", *state]) == 0
    assert f"so are backups, in {filled.backups}" in capfd.readouterr().out
    assert main(["restore", *state, str(tmp_path / "elsewhere.db")]) == 0
    assert held(filled) == 1


def test_nothing_is_restored_under_a_running_service(filled: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backup", "--state", str(filled.state)]) == 0
    (copy,) = filled.backups.iterdir()
    with lock(filled.state):
        assert main(["backup", "--state", str(filled.state)]) == 0
        assert main(["restore", "--state", str(filled.state), "--replace", str(copy)]) == 1
    assert "make down" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["check"], ["backup"]])
def test_a_state_that_is_not_there_is_not_made_by_looking(
    tmp_path: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--state", str(tmp_path / "never")]) == 1
    assert "there is nothing in" in capsys.readouterr().err
    assert not (tmp_path / "never").exists()


def test_the_check_goes_through_with_its_options_and_its_exit_code(
    filled: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    filled.ledger.write_bytes(b"garbage " * 900)
    assert main(["check", "--state", str(filled.state), "--", "--json"]) == 4
    assert '"verdict": "the ledger is damaged or lost"' in capfd.readouterr().out


def test_a_new_state_folder_is_closed_to_others_and_one_of_ours_too(tmp_path: Path) -> None:
    open_state(tmp_path / "new" / "state")
    assert mode_of(tmp_path / "new" / "state") == 0o700
    empty = tmp_path / "empty"
    empty.mkdir(mode=0o755)
    open_state(empty)
    assert mode_of(empty) == 0o700
    older = tmp_path / "older"
    older.mkdir(mode=0o755)
    (older / "up.lock").touch()
    open_state(older)
    assert mode_of(older) == 0o700


def test_a_folder_that_is_somebodys_else_keeps_its_mode(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o755)
    (home / "letters").touch()
    open_state(home)
    assert mode_of(home) == 0o755


def test_what_the_parts_write_is_their_owners_alone(tmp_path: Path) -> None:
    code = f"""
import sys
sys.argv = ["up", "down", "--state", {str(tmp_path)!r}]
from local.up.__main__ import main
main()
import os
print(oct(os.umask(0)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "0o77"


def test_a_file_in_the_place_of_the_state_folder_is_one_line_with_the_way_out(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for state in (file, file / "deeper"):
        with running_up(state, part("one")) as running:
            assert running.end() == 1
        assert running.said == [
            f"forgetless: the state folder {state} cannot be used: {file} is a file; choose a folder that you may "
            "write to: make up ARGS='--state FOLDER' (or FORGETLESS_STATE)"
        ]


def test_a_lock_file_that_cannot_be_written_is_one_line_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "up.lock").mkdir()
    with pytest.raises(UpError, match="cannot be used: Is a directory; choose a folder"), lock(tmp_path):
        pass
