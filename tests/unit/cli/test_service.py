"""`forgetless export` and `forgetless import` against a running service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from forgetless.adapters.clock import SystemClock
from forgetless.cli.__main__ import FAILED, OK, main
from forgetless.cli.service import Service
from forgetless.domain.errors import DependencyError
from forgetless.domain.limits import PORTION_BYTES
from tests.unit.api.client import ADMIN, MEMBER, Api, make_api
from tests.unit.servers import Answer, in_turn, serve, serve_app
from tests.unit.service.world import make_world

INCOMPLETE = 1


class Place:
    """A service, and the commands against it."""

    def __init__(self, api: Api, url: str) -> None:
        self.api = api
        self.url = url

    def run(self, *arguments: str, key: str = ADMIN) -> int:
        return main([*arguments, "--url", self.url, "--api-key", key])


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Place]:
    yield from _place(tmp_path / "here")


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Place]:
    yield from _place(tmp_path / "there")


def _place(folder: Path) -> Iterator[Place]:
    folder.mkdir()
    api = make_api(make_world(folder), inline=False)
    with serve_app(api.client.app) as url:
        yield Place(api, url)
    api.world.ledger.close()


def test_an_export_of_one_service_is_imported_by_another(here: Place, there: Place, tmp_path: Path) -> None:
    for number in range(40):
        here.api.say(f"{number} {'x' * 20_000}", f"and {number}")
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    assert here.run("export", str(one)) == OK
    assert there.run("import", str(one)) == OK
    assert there.run("export", str(two)) == OK
    assert one.read_bytes() == two.read_bytes() == here.api.get("/export").content + _rest(here)
    assert sorted(path.name for path in tmp_path.glob("*.jsonl*")) == ["one.jsonl", "two.jsonl"]
    assert one.stat().st_mode & 0o077 == 0


def _rest(place: Place) -> bytes:
    cursor, rest = place.api.get("/export").headers.get("X-Next-Cursor"), b""
    while cursor is not None:
        answer = place.api.get("/export", params={"cursor": cursor})
        rest, cursor = rest + answer.content, answer.headers.get("X-Next-Cursor")
    return rest


def test_it_goes_to_standard_output(here: Place, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    here.api.say("tea")
    assert here.run("export") == OK
    assert capfdbinary.readouterr().out == here.api.get("/export").content


def test_a_line_that_a_service_cannot_take_is_named(
    here: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mem0.jsonl"
    records = [{"id": 1, "memory": "tea", "user_id": "alice"}, {"id": 2, "memory": "x" * PORTION_BYTES, "user_id": "a"}]
    file.write_text("\n".join(map(json.dumps, [*records, {**records[0], "id": 3}])))
    assert here.run("import", str(file)) == INCOMPLETE
    said = capsys.readouterr().err
    assert "line 2: it has 41" in said
    assert "imported: 2 memories" in said
    assert here.api.texts() == ["tea", "tea"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--tenant", "acme"), "--tenant: only without --url"),
        (("--index",), "--index: only without --url"),
    ],
)
def test_options_that_need_a_ledger_are_refused(
    here: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert here.run("import", str(file), *arguments) == FAILED
    assert says in capsys.readouterr().err


def test_a_key_without_the_role_is_one_line_of_error(
    here: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert here.run("export", str(tmp_path / "file"), key=MEMBER) == FAILED
    assert capsys.readouterr().err == "forgetless: Admin role required.\n"


def test_without_a_key_it_says_where_one_is_expected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("FORGETLESS_API_KEY", raising=False)
    monkeypatch.setenv("FORGETLESS_STATE", str(tmp_path))
    assert main(["export", "--url", "http://127.0.0.1:1"]) == FAILED
    assert "no API key" in capsys.readouterr().err


def test_a_request_that_gets_no_answer_is_sent_again() -> None:
    answers = in_turn(Answer(hang_up=True), Answer(503, {"detail": "starting"}), Answer(body={"fine": True}))
    with serve(answers) as server:
        service = Service(server.url, "key", clock=_NoWaiting())
        assert service.call("POST", "/import-jobs", body={}).json() == {"fine": True}
        service.close()
    assert len(server.requests) == 3


def test_a_service_that_stays_away_is_named_with_the_reason() -> None:
    with serve(lambda _: Answer(503, {"detail": "the ledger is locked"})) as server:
        service = Service(server.url, "key", clock=SystemClock(), patience_s=0.0)
        with pytest.raises(DependencyError, match=r"the ledger is locked.*again"):
            service.call("POST", "/import-jobs", body={})
        service.close()


class _NoWaiting:
    def monotonic(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        pass
