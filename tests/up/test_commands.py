"""The command line and the smaller commands: one line for each reason, and data deleted only where it should be."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.runtime.composition import collection_name
from forgetless.runtime.index_note import write_note
from forgetless.runtime.settings import load_settings
from forgetless.service.stores.ledger_identity import IndexNote
from local.up import commands
from local.up.__main__ import main
from local.up.errors import UpError
from local.up.identity import identify
from local.up.record import Record, lock
from local.up.settings import ROOT, Settings


class Health(BaseHTTPRequestHandler):
    """Answers as a gateway does whose state the test sets."""

    status = 200
    body = b'{"status": "ok"}'
    keys: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        type(self).keys.append(self.headers["X-API-Key"])
        self.send_response(type(self).status)
        self.end_headers()
        self.wfile.write(type(self).body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def gateway() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Health)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()
    Health.status, Health.body = 200, b'{"status": "ok"}'
    Health.keys.clear()


def test_status_names_the_parts_and_that_all_is_well(tmp_path: Path, gateway: str) -> None:
    itself = identify(os.getpid())
    assert itself is not None
    with lock(tmp_path):
        Record(tmp_path, gateway, itself, {}).started("index", itself)
        said = commands.status(Settings(state=tmp_path))
    assert said.splitlines() == [f"index     pid {itself.pid}", f"{gateway} is healthy"]


def test_status_of_a_degraded_gateway_names_what_is_out(tmp_path: Path, gateway: str) -> None:
    Health.body = b'{"status": "degraded", "detail": "llm: provider_auth_failed: check OPENAI_API_KEY"}'
    (tmp_path / "api_key").write_text("fgl_x\n")
    with lock(tmp_path):
        Record.of_this_process(tmp_path, gateway)
        said = commands.status(Settings(state=tmp_path))
    assert said.endswith("is degraded: llm: provider_auth_failed: check OPENAI_API_KEY")
    assert Health.keys == ["fgl_x"]


def test_status_of_an_unhealthy_gateway_says_what_it_says(tmp_path: Path, gateway: str) -> None:
    Health.status = 503
    with lock(tmp_path):
        Record.of_this_process(tmp_path, gateway)
        with pytest.raises(UpError, match=re.escape('says 503: {"status": "ok"}')):
            commands.status(Settings(state=tmp_path))


def test_status_of_a_gateway_that_does_not_answer_names_the_logs(tmp_path: Path) -> None:
    with lock(tmp_path):
        Record.of_this_process(tmp_path, "http://127.0.0.1:9")
        with pytest.raises(UpError, match=r"does not answer \(ConnectError\); see .*/logs"):
            commands.status(Settings(state=tmp_path))


def test_status_without_a_running_up_says_how_to_start_it(tmp_path: Path) -> None:
    with pytest.raises(UpError, match="make up"):
        commands.status(Settings(state=tmp_path))


def test_reset_deletes_the_memories_and_keeps_models_key_and_logs(tmp_path: Path) -> None:
    for folder in ("models", "logs", "milvus", "emulator"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "file").touch()
    for name in ("api_key", "ledger.db", "ledger.db-wal", "ledger.db-erasures", "index-collection"):
        (tmp_path / name).touch()
    commands.reset_data(Settings(state=tmp_path), sure=True)
    kept = {"models", "logs", "api_key", "up.lock", "ledger.db-erasures"}
    assert {found.name for found in tmp_path.iterdir()} == kept
    assert (tmp_path / "models" / "file").exists()


def test_reset_of_a_linked_folder_removes_the_link_alone(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").touch()
    state = tmp_path / "state"
    state.mkdir()
    (state / "milvus").symlink_to(elsewhere)
    commands.reset_data(Settings(state=state), sure=True)
    assert (elsewhere / "file").exists()
    assert not (state / "milvus").exists()


def test_reset_is_refused_while_the_service_runs(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").touch()
    with lock(tmp_path), pytest.raises(UpError, match="make down"):
        commands.reset_data(Settings(state=tmp_path), sure=True)
    assert (tmp_path / "ledger.db").exists()


@pytest.mark.parametrize(("answer", "deleted"), [("yes\n", True), ("y\n", False), ("\n", False)])
def test_reset_on_a_terminal_asks_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, deleted: bool
) -> None:
    (tmp_path / "ledger.db").touch()
    terminal = io.StringIO(answer)
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stdin", terminal)
    commands.reset_data(Settings(state=tmp_path))
    assert (tmp_path / "ledger.db").exists() != deleted


def test_reindex_needs_a_running_service(tmp_path: Path) -> None:
    with pytest.raises(UpError, match="make up"):
        commands.reindex(Settings(state=tmp_path), {})


def test_the_plan_of_an_upgrade_knows_what_the_index_was_made_from(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(state=tmp_path)
    with closing(SqliteLedger(settings.ledger)) as ledger:
        ledger.ping()
    collection = collection_name(load_settings({}))
    write_note(tmp_path / "milvus" / "collection", IndexNote(collection))
    assert commands.forgetless(settings, {}, ["migrate", "--plan", "--no-trial"]) == 0
    assert f"index   {collection}: as it is" in capfd.readouterr().out


def test_an_error_is_one_line_and_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--state", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("forgetless: nothing is running")
    assert said.err.count("\n") == 1


def test_a_state_folder_that_cannot_be_made_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["up", "--state", str(tmp_path / "file" / "state")]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_down_says_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["down", "--state", str(tmp_path / "never")]) == 0
    assert capsys.readouterr().out == "Nothing is running.\n"


def test_reset_data_with_yes_does_not_ask(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ledger.db").touch()
    assert main(["reset-data", "--yes", "--state", str(tmp_path)]) == 0
    assert not (tmp_path / "ledger.db").exists()
    assert "models, logs and API key are kept" in capsys.readouterr().out


def test_every_option_of_up_has_its_variable_in_the_help() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "local.up", "up", "--help"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    for variable in ("FORGETLESS_PORT", "FORGETLESS_EMBEDDER_PORT", "FORGETLESS_QUEUE_PORT", "FORGETLESS_STATE"):
        assert variable in shown.stdout


def test_the_record_can_be_read_by_people(tmp_path: Path) -> None:
    record = Record.of_this_process(tmp_path, "http://here")
    record.started("index", record.owner or pytest.fail("this process runs"))
    found = json.loads((tmp_path / "up.json").read_text())
    assert found["url"] == "http://here"
    assert set(found["parts"]) == {"index"}
