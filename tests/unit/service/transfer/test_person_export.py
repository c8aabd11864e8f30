"""An export about one person: everything in the ledger that is theirs or names them, and nothing of anybody else."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any, cast

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.cli.__main__ import FAILED, OK, main
from forgetless.domain.documents import Document
from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.keys import Role
from forgetless.service.transfer import person_export
from forgetless.service.transfer.person_export import PersonExport
from tests.erasure.planting import Person, plant
from tests.erasure.served import finish, reply, tool_of
from tests.unit.api.client import Api, make_api, put_key
from tests.unit.service.world import World, make_world


def export_of(world: World) -> PersonExport:
    return PersonExport(ledger=world.services._ledger, audit=world.services.audit)


def lines_of(world: World, **ids: str) -> list[dict[str, Any]]:
    content = b"".join(export_of(world).portions("default", ids))
    return [json.loads(line) for line in content.splitlines()]


def marks_in(content: bytes, person: Person) -> set[str]:
    return {mark.decode() for mark in re.findall(rb"%s\w+" % person.stem.encode(), content)}


def stored_texts(world: World) -> bytes:
    """Every text that the SQLite ledger holds in clear."""
    ledger = cast("SqliteLedger", world.ledger)
    rows = ledger._connections.read(lambda db: db.execute("SELECT body FROM texts").fetchall())
    return b"\n".join(body for (body,) in rows)


@pytest.fixture
def api(tmp_path: Path) -> Api:
    return make_api(make_world(tmp_path, reply), mcp=True)


def test_every_word_that_the_ledger_holds_of_somebody_is_in_it(api: Api) -> None:
    ana, bob = Person("a"), Person("b")
    for person in (ana, bob):
        plant(api.call, person, tool=tool_of(api))
    # A step of a long job, a delivery of a whole scope and a limited key name the person until they end.
    put_key(api.world, "limited", "default", Role.READ, ana.id("user"), bob.id("user"))
    settings = {"settings": {"custom_instructions": f"Never remember what {ana.id('user')} says."}}
    api.world.ledger.put_document(Document("default", "project", "p", settings, "2026"))
    finish(api.world)
    content = b"".join(export_of(api.world).portions("default", {"user_id": ana.id("user")}))
    held = marks_in(stored_texts(api.world), ana)
    assert len(held) > 50
    assert held - marks_in(content, ana) == set()
    assert marks_in(content, bob) == set()
    lines = [json.loads(line) for line in content.splitlines()]
    assert lines[0] == {"format": "forgetless-person", "version": 1, "ids": {"user_id": ana.id("user")}}
    kinds = Counter(line.get("type") for line in lines[1:])
    assert {"event", "job", "feedback", "export", "bulk-job", "project", "api_key", "audit"} <= kinds.keys()
    (key,) = (line for line in lines if line.get("type") == "api_key")
    assert list(key["names"].values()) == [ana.id("user")]
    assert {line["memory"].get("source_key") for line in lines if line.get("type") == "event"} - {None}, "who wrote it"


def test_it_is_paged_and_a_portion_is_bounded(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(person_export, "_MEMORIES", 2)
    monkeypatch.setattr(person_export, "_PAGE", 2)
    for number in range(5):
        api.say(f"rockets {number}")
        api.say(f"trams {number}", user_id="bob")
    whole, export, cursor = b"", export_of(api.world), None
    while True:
        portion = export.portion("default", {"user_id": "alice"}, cursor)
        assert portion.lines.count(b"\n") <= 3
        whole, cursor = whole + portion.lines, portion.cursor
        if cursor is None:
            break
    lines = [json.loads(line) for line in whole.splitlines()]
    memories = [line["memory"]["text"] for line in lines if line.get("type") == "event"]
    assert sorted(memories) == [f"rockets {number}" for number in range(5)]
    assert len({line["id"] for line in lines if line.get("type") == "job"}) == 5
    assert b"trams" not in whole


def test_what_is_erased_is_not_in_it_but_its_receipt_is(api: Api) -> None:
    api.say("rockets")
    assert api.delete("/v2/entities/user/alice/").status_code == 200
    lines = lines_of(api.world, user_id="alice")
    assert "rockets" not in json.dumps(lines)
    (receipt,) = (line for line in lines if line.get("type") == "bulk-job")
    assert (receipt["kind"], receipt["state"], receipt["done"]) == ("erase", "SUCCEEDED", 1)
    assert not [line for line in lines_of(api.world, user_id="bob") if line.get("type") == "bulk-job"]


def test_agents_apps_and_runs_have_exports_too_and_ids_narrow_each_other(api: Api) -> None:
    api.say("of the bot", agent_id="bot", run_id="r1")
    api.say("of nobody's bot", agent_id="bot", user_id="bob")
    api.say("of alice")

    def texts(**ids: str) -> set[str]:
        return {line["memory"]["text"] for line in lines_of(api.world, **ids) if line.get("type") == "event"}

    assert texts(agent_id="bot") == {"of the bot", "of nobody's bot"}
    assert texts(agent_id="bot", user_id="alice") == texts(run_id="r1") == {"of the bot"}
    for wrong in ({}, {"tenant": "x"}, {"user_id": ""}):
        with pytest.raises(InvalidRequestError):
            export_of(api.world).portion("default", wrong)
    with pytest.raises(InvalidRequestError, match="cursor"):
        export_of(api.world).portion("default", {"user_id": "alice"}, "nonsense.x")


def test_a_message_outlives_the_record_of_its_job(api: Api) -> None:
    api.say("rockets")
    api.say("trams", user_id="bob")
    ledger = api.world.ledger
    ledger.expire_jobs(succeeded_before="2099", failed_before=None, limit=99)
    said = [line for line in lines_of(api.world, user_id="alice") if line.get("type") == "job"]
    assert [message["content"] for line in said for message in line["messages"]] == ["rockets"]


def test_the_command_writes_a_private_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_api(make_world(tmp_path)).say("rockets")
    monkeypatch.setenv("FORGETLESS_LEDGER_PATH", str(tmp_path / "ledger.db"))
    out = tmp_path / "alice.jsonl"
    out.with_name("alice.jsonl.part").write_text("of a command that was killed\n")
    assert main(["export", "--user", "alice", str(out)]) == OK
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["memory"]["text"] for line in lines if line.get("type") == "event"] == ["rockets"]
    assert not out.with_name("alice.jsonl.part").exists()
    assert main(["export", "--user", "alice"]) == OK
    assert '"rockets"' in capsys.readouterr().out
    assert main(["export", "--user", "alice", "--url", "http://127.0.0.1:1", str(out)]) == FAILED
    assert "--url" in capsys.readouterr().err
