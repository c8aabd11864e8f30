"""`forgetless erasures` and `import --erasures`: what was erased is left out elsewhere, too."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.cli.stores import FAILED, OK
from forgetless.cli.transfer import INCOMPLETE
from forgetless.domain.cursors import to_cursor
from forgetless.domain.scope import Scope
from forgetless.runtime import composition
from forgetless.runtime.settings import load_settings
from forgetless.service.requests import AddRequest, IncomingMessage
from tests.contract.ledger.making import a_job, a_message
from tests.unit.store_house import StoreHouse


class Elsewhere:
    """Another ledger, and the files that go there."""

    def __init__(self, house: StoreHouse, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.house, self.folder = house, folder
        self._set = monkeypatch.setenv
        self.export, self.log = folder / "export.jsonl", folder / "erased.jsonl"

    def export_now(self) -> None:
        self.export.unlink(missing_ok=True)
        assert self.house.run("export", str(self.export), "--afresh")[0] == OK

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


@pytest.mark.parametrize("erased_before", [False, True], ids=["first erasure", "second erasure"])
def test_what_is_added_after_an_erasure_that_runs_during_the_export_is_imported(
    house: StoreHouse, elsewhere: Elsewhere, erased_before: bool
) -> None:
    if erased_before:
        house.say("oldest of ana")
        erase_user("ana")
    house.say("old of ana")
    for text in ("one of bob", "another of bob"):
        house.say(text, user="bob")
    with closing(composition.build_services(load_settings())) as built:
        portion = built.event_exports.portion("default", limit=1)
        portions = [portion.lines]
        while portion.cursor is not None:
            portion = built.event_exports.portion("default", cursor=portion.cursor, limit=1)
            portions.append(portion.lines)
            if len(portions) == 4:  # after all jobs
                erase_user("ana")
                house.say("new of ana")
    elsewhere.export.write_bytes(b"".join(portions))
    house.run("erasures", str(elsewhere.log))
    found, said = elsewhere.import_there("--erasures", str(elsewhere.log))
    assert found == {"one of bob", "another of bob", "new of ana"}
    assert "left out, because it was erased: " in said
    erase_user("ana")
    house.run("erasures", str(elsewhere.log))
    assert elsewhere.import_there("--erasures", str(elsewhere.log), name="later")[0] == {"one of bob", "another of bob"}


def test_jobs_that_begin_after_an_erasure_are_told_from_those_before_it(
    house: StoreHouse, elsewhere: Elsewhere
) -> None:
    house.say("old of ana")
    with closing(composition.build_services(load_settings())) as built:
        whole = built.event_exports.portion("default", limit=99)
        erase_user("ana")
        house.say("new of ana")
        newest = "jobs." + to_cursor("9999-01-01T00:00:00.000000+00:00", "x")
        again = b"".join(one.lines for one in built.event_exports.portions("default", cursor=newest))
    assert b"new of ana" in again
    elsewhere.export.write_bytes(whole.lines + again)
    house.run("erasures", str(elsewhere.log))
    assert elsewhere.import_there("--erasures", str(elsewhere.log))[0] == {"new of ana"}


@pytest.mark.parametrize("single", [False, True], ids=["a user", "a memory"])
def test_an_import_does_not_bring_back_what_its_ledger_has_deleted_and_says_so(
    house: StoreHouse, elsewhere: Elsewhere, single: bool
) -> None:
    house.say("of ana", "more of ana")
    house.say("of bob", user="bob")
    elsewhere.export_now()
    [first, *_] = [memory.id for memory in house.memories() if memory.scope.user_id == "ana"]
    if single:
        with closing(composition.build_services(load_settings())) as built:
            built.changes.delete("default", first)
    else:
        erase_user("ana")
    gone = 1 if single else 2
    left = {memory.text for memory in house.memories()}
    for options, expected in (((), OK), (("--include-erased",), INCOMPLETE)):
        code, _, said = house.run("import", str(elsewhere.export), "--afresh", *options)
        assert code == expected
        assert f"imported: {3 - gone} memories with {3 - gone} events, 2 jobs; not imported: 0" in said
        assert f"left out, because it was deleted in this ledger: {gone} lines" in said
        assert ("restore --include-erased" in said) == bool(options)
    assert {memory.text for memory in house.memories()} == left
    # What the export itself says about deleted memories is a repeat.
    elsewhere.export_now()
    code, _, said = house.run("import", str(elsewhere.export), "--afresh")
    assert (code, "left out" in said) == (OK, False)


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
