"""`forgetless export` and `forgetless import` against a running service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forgetless.adapters.clock import SystemClock
from forgetless.cli import service as service_module
from forgetless.cli.__main__ import FAILED, OK, main
from forgetless.cli.service import Service
from forgetless.cli.service_answers import Answer as ServiceAnswer
from forgetless.domain.errors import DependencyError, InvalidRequestError
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
    # The service of the test may log to the same place.
    lines = capfdbinary.readouterr().out.splitlines(keepends=True)
    assert b"".join(line for line in lines if not line.startswith(b'{"level"')) == here.api.get("/export").content


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
        assert service.call("POST", "/import-jobs", body={}).content == b'{"fine": true}'
        service.close()
    assert len(server.requests) == 3


def test_a_service_that_stays_away_is_named_with_the_reason() -> None:
    with serve(lambda _: Answer(503, {"detail": "the ledger is locked"})) as server:
        service = Service(server.url, "key", clock=SystemClock(), patience_s=0.0)
        with pytest.raises(DependencyError, match=r"the ledger is locked.*again"):
            service.call("POST", "/import-jobs", body={})
        service.close()


PLACE = {"line": 1, "digest": "", "memories": 0, "events": 0, "jobs": 0, "refused": 0, "ended": False, "problems": []}
COUNTS = {"memories": 1, "found": 1, "by_id": {}}
EXPORT = {"cursor": None, "bytes": 0, "events": 0, "ended": False}
LINES = {"content-type": "application/x-ndjson", "x-events": "1"}


def changed(answer: dict[str, Any], **members: Any) -> Answer:
    return Answer(body={name: value for name, value in {**answer, **members}.items() if value != "absent"})


VERIFY, DONE = ("import", "--verify"), changed(PLACE, ended=True)
ODD_ANSWERS: dict[str, tuple[tuple[str, ...], list[Answer], str]] = {
    "a page": (("import",), [Answer(body=b"<html>", headers={"content-type": "text/html"})], "expected an object"),
    "no object": (("import",), [Answer(body=[PLACE])], "expected an object"),
    "deep": (("import",), [Answer(body=b"[" * 100_000)], "expected an object"),
    "a member is missing": (("import",), [changed(PLACE, line="absent")], "line is missing"),
    "a member of a later version": (("import",), [changed(PLACE, news=1)], "it has news"),
    "another type": (("import",), [changed(PLACE, digest=7)], "digest: its value"),
    "a number below": (("import",), [changed(PLACE, refused=-1)], "refused: its value"),
    "true for a number": (("import",), [changed(PLACE, line=True)], "line: its value"),
    "problems": (("import",), [changed(PLACE, problems=[{}])], "problems: its value"),
    "no end": (("import",), [Answer(body=PLACE)], "it has taken no line"),
    "other lines": (("import",), [changed(PLACE, line=9)], "are not those that were imported"),
    "pairs": (VERIFY, [DONE, changed(COUNTS, by_id={"user_id": {"a": 1}})], "by_id: its value"),
    "too many lines": (VERIFY, [DONE, changed(COUNTS, lines=9)], "not so many"),
    "no lines": (VERIFY, [DONE, changed(COUNTS, lines=0)], "lines: its value"),
    "a redirect": (("import",), [Answer(302, b"<h1>\n\nmoved</h1>")], "status 302: <h1> moved</h1>"),
    "not found elsewhere": (("export",), [Answer(404, b"")], "status 404: nothing"),
    "begun already": (("export",), [changed(EXPORT, bytes=10**15)], "just begun"),
    "no place": (("export",), [Answer(body={})], "is missing"),
    "no count": (("export",), [Answer(body=EXPORT), Answer(headers={**LINES, "x-events": "many"})], "x-events"),
    "a page of lines": (("export",), [Answer(body=EXPORT), Answer(headers={"x-events": "1"})], "content type"),
    "packed": (("export",), [Answer(body=EXPORT), Answer(headers={**LINES, "content-encoding": "gzip"})], "compressed"),
    "a circle": (("export",), [Answer(body=EXPORT), Answer(headers={**LINES, "x-next-cursor": "a"})], "same again"),
}


@pytest.mark.parametrize("name", ODD_ANSWERS)
def test_what_is_no_answer_of_forgetless_is_one_line_of_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (command, *options), answers, says = ODD_ANSWERS[name]
    file = tmp_path / "file"
    if command == "import":
        file.write_text(json.dumps({"id": 1, "memory": "tea", "user_id": "alice"}) + "\n")
    with serve(in_turn(*answers)) as server:
        code = main([command, str(file), *options, "--url", server.url, "--api-key", "key"])
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("forgetless: ")]
    assert (code, len(said)) == (FAILED, 1)
    assert says in said[0]


@pytest.mark.parametrize(
    ("url", "key", "says"),
    [
        ("http://[", "key", "--url: 'http://['"),
        ("http://127.0.0.1:abc", "key", "--url: 'http://127.0.0.1:abc'"),
        ("http://h/\xe9", "key", "--url: 'http://h/"),
        ("http://127.0.0.1:1", "\xe9", "--api-key: "),
    ],
)
def test_an_address_or_a_key_that_cannot_be_sent_is_one_line_of_error(
    capsys: pytest.CaptureFixture[str], url: str, key: str, says: str
) -> None:
    assert main(["export", "--url", url, "--api-key", key]) == FAILED
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith(f"forgetless: {says}")


def test_a_page_is_not_printed_as_an_export(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with serve(lambda _: Answer(body=b"<html>", headers={"content-type": "text/html"})) as server:
        assert main(["export", "--url", server.url, "--api-key", "key"]) == FAILED
    assert capfdbinary.readouterr().out == b""


def test_an_answer_without_an_end_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "MOST_BYTES", 1000)
    with serve(lambda _: Answer(body=b"x" * 1001)) as server:
        service = Service(server.url, "key", clock=_NoWaiting())
        with pytest.raises(InvalidRequestError, match="more than 1000 bytes"):
            service.call("GET", "/export")
        service.close()


class _NoWaiting:
    def monotonic(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        pass


@pytest.mark.parametrize("body", [{"detail": "no\n\x1b[2Kfine"}, "no\n\x1b[2Kfine"])
def test_what_the_other_side_says_gets_no_line_of_its_own(body: Any) -> None:
    with serve(lambda _: Answer(400, body)) as server:
        service = Service(server.url, "key", clock=_NoWaiting())
        with pytest.raises(InvalidRequestError) as raised:
            service.call("POST", "/import-jobs", body={})
        service.close()
    assert raised.value.message.isprintable()


def test_a_header_of_the_other_side_gets_no_line_of_its_own() -> None:
    with pytest.raises(InvalidRequestError) as raised:
        ServiceAnswer(b"", {"content-type": "a\x85b"}, "GET /export").lines()
    assert "a\\x85b" in raised.value.message
