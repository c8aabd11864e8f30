"""`forgetless erasures` and `import --erasures`: what was erased is left out elsewhere, too."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.cli_stores import FAILED, OK
from forgetless.domain.scope import Scope
from forgetless.runtime import composition
from forgetless.runtime.settings import load_settings
from forgetless.service.requests import AddRequest, IncomingMessage
from tests.contract.ledger.making import a_job, a_message
from tests.unit.store_house import StoreHouse


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> StoreHouse:
    return StoreHouse(tmp_path, monkeypatch, capsys)


class Elsewhere:
    """Another ledger, and the files that go there."""

    def __init__(self, house: StoreHouse, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.house, self.folder = house, folder
        self._set = monkeypatch.setenv
        self.export, self.log = folder / "export.jsonl", folder / "erased.jsonl"

    def export_now(self) -> None:
        self.export.unlink(missing_ok=True)
        assert self.house.run("export", str(self.export), "--anew")[0] == OK

    def import_there(self, *options: str, name: str = "there") -> tuple[set[str], str]:
        """The texts of the memories and messages afterwards, and what the command said."""
        path = self.folder / name / "ledger.db"
        self._set("FORGETLESS_LEDGER_PATH", str(path))
        code, _, err = self.house.run("import", str(self.export), *options)
        self._set("FORGETLESS_LEDGER_PATH", str(self.house.path))
        assert code == OK
        with closing(SqliteLedger(path)) as ledger:
            memories = {memory.text for memory in ledger.list_memories("default", {}, limit=99).items}
            messages, _ = ledger.scope_messages("default", {}, limit=99)
        return memories | {message.content for message in messages}, err


@pytest.fixture
def elsewhere(house: StoreHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Elsewhere:
    return Elsewhere(house, tmp_path, monkeypatch)


def erase_user(user: str) -> None:
    with closing(composition.build_services(load_settings())) as built:
        built.changes.delete_scope("default", {"user_id": user})


def test_an_export_that_was_made_before_an_erasure_comes_without_what_was_erased(
    house: StoreHouse, elsewhere: Elsewhere
) -> None:
    house.say("of ana", user="ana")
    house.say("of bob", user="bob")
    elsewhere.export_now()
    erase_user("ana")
    code, out, _ = house.run("erasures", str(elsewhere.log))
    assert (code, out) == (OK, f"{elsewhere.log}: 1 erasures of the tenant default\n")
    assert "ana" not in elsewhere.log.read_text()
    found, said = elsewhere.import_there("--erasures", str(elsewhere.log))
    assert found == {"of bob"}
    assert "left out, because it was erased: 2 lines" in said
    everything, _ = elsewhere.import_there("--erasures", str(elsewhere.log), "--include-erased", name="all")
    assert everything == {"of ana", "of bob"}
    again, _ = elsewhere.import_there("--erasures", str(elsewhere.log))
    assert again == {"of bob"}


def test_what_was_added_after_the_erasure_is_imported(house: StoreHouse, elsewhere: Elsewhere) -> None:
    house.say("old of ana")
    erase_user("ana")
    house.say("new of ana")
    elsewhere.export_now()
    house.say("of bob", user="bob")
    house.run("erasures", str(elsewhere.log))
    assert elsewhere.import_there("--erasures", str(elsewhere.log))[0] == {"new of ana"}
    erase_user("ana")
    house.run("erasures", str(elsewhere.log))
    assert elsewhere.import_there("--erasures", str(elsewhere.log), name="third")[0] == set()


def test_messages_of_another_scope_than_their_job_are_judged_by_themselves(
    house: StoreHouse, elsewhere: Elsewhere
) -> None:
    shared = Scope("default", user_id="bob", agent_id="bot")
    bob = Scope("default", user_id="bob")
    with closing(SqliteLedger(house.path)) as ledger:
        messages = [
            a_message("j", 0, scope=shared, content="to the bot"),
            a_message("j", 1, scope=bob, content="to himself"),
        ]
        ledger.put_job(a_job("j", scope=bob), messages)
    elsewhere.export_now()
    with closing(composition.build_services(load_settings())) as built:
        built.changes.delete_scope("default", {"agent_id": "bot"})
    house.run("erasures", str(elsewhere.log))
    assert elsewhere.import_there("--erasures", str(elsewhere.log))[0] == {"to himself"}


def test_memories_of_mem0_are_judged_by_the_whole_log(house: StoreHouse, elsewhere: Elsewhere) -> None:
    erase_user("ana")
    house.run("erasures", str(elsewhere.log))
    records = [{"id": str(n), "memory": f"of {user}", "user_id": user} for n, user in enumerate(("ana", "bob"))]
    elsewhere.export.write_text(json.dumps(records))
    assert elsewhere.import_there("--erasures", str(elsewhere.log))[0] == {"of bob"}


def test_only_the_log_of_one_tenant_is_taken(house: StoreHouse, elsewhere: Elsewhere) -> None:
    house.say("of ana")
    with closing(composition.build_services(load_settings())) as built:
        built.add.add(AddRequest(Scope("acme", user_id="ana"), (IncomingMessage("user", "x"),), infer=False))
        built.changes.delete_scope("acme", {"user_id": "ana"})
    elsewhere.export_now()
    house.run("erasures", str(elsewhere.log))
    assert elsewhere.import_there("--erasures", str(elsewhere.log))[0] == {"of ana"}
    whole = str(house.path.with_name("ledger.db-erasures"))
    code, _, err = house.run("import", str(elsewhere.export), "--erasures", whole)
    assert code == FAILED
    assert "forgetless erasures FILE" in err
    for bad in (str(elsewhere.export), str(elsewhere.folder / "nothing")):
        code, _, err = house.run("import", str(elsewhere.export), "--erasures", bad)
        assert code == FAILED
        assert "--erasures: " in err
