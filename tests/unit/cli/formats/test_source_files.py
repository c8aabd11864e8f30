"""Files of all formats as the lines of an import."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sqlite3
import zipfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from forgetless.cli.formats import postgres, streams
from forgetless.cli.formats.history_db import HistoryDb
from forgetless.cli.import_file import SourceFile
from forgetless.domain.errors import InvalidRequestError
from forgetless.service.transfer.mem0_history import foreign_events

IDS = [f"0000000{n}-0000-4000-8000-00000000000{n}" for n in range(5)]
#: A text with everything that a format may have to escape.
ODD = 'a\nb\tc "d" \\e, f; \\N é'
LISTED = [{"id": IDS[0], "memory": "tea", "user_id": "ana"}, {"id": IDS[1], "memory": ODD, "user_id": "Jane Doe"}]
POINTS = [{"id": one["id"], "payload": {"data": one["memory"], "user_id": one["user_id"]}} for one in LISTED]
ENTITY = {"data": "Lisbon", "user_id": "ana", "entity_type": "place", "linked_memory_ids": [IDS[0]]}


def scroll(points: Sequence[Any], after: str | None = None) -> dict[str, Any]:
    return {"result": {"points": points, "next_page_offset": after}, "status": "ok", "time": 0.001}


def page(results: Sequence[Any], following: str | None = None) -> dict[str, Any]:
    return {"count": 2, "next": following, "previous": None, "results": results}


def copied(row: Sequence[str]) -> str:
    """A row as COPY writes it: psql's `\\copy` and pg_dump."""
    escapes = {"\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    return "\t".join("".join(escapes.get(char, char) for char in field) for field in row)


ROWS = [(point["id"], "[0.1,0.2]", json.dumps(point["payload"], ensure_ascii=False)) for point in POINTS]
COPY = "".join(copied(row) + "\n" for row in ROWS)
DUMP = f"""--
-- PostgreSQL database dump
--

\\restrict abc

CREATE TABLE public.mem0 (
    id uuid NOT NULL
);

COPY public.users (id, email) FROM stdin;
1\ta@example.com
\\.

COPY public.mem0_entities (id, vector, payload) FROM stdin;
{IDS[4]}\t[0.1]\t{copied([json.dumps(ENTITY)])}
\\.

COPY public.mem0 (id, vector, payload) FROM stdin;
{COPY}\\.

ALTER TABLE ONLY public.mem0 ADD CONSTRAINT mem0_pkey PRIMARY KEY (id);
"""


def as_csv(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


OPENMEMORY = [
    ("active", "claude", ["work", "home"]),
    ("paused", "cursor", []),
    ("archived", None, []),
    ("deleted", "claude", []),
]


def openmemory_json() -> dict[str, Any]:
    memories = [
        {
            "id": IDS[n],
            "user_id": IDS[4],
            "app_id": app and f"app {app}",
            "content": f"fact {n}",
            "metadata": {"n": n} if n else None,
            "state": state,
            "created_at": "2025-05-01T00:00:00+00:00",
            "updated_at": "2025-06-01T00:00:00+00:00",
            "archived_at": None,
            "deleted_at": None,
            "category_ids": [f"category {name}" for name in categories],
        }
        for n, (state, app, categories) in enumerate(OPENMEMORY)
    ]
    return {
        "user": {"id": IDS[4], "user_id": "Jane Doe", "name": "Jane"},
        "apps": [{"id": f"app {name}", "name": name} for name in ("claude", "cursor")],
        "categories": [{"id": f"category {name}", "name": name} for name in ("work", "home")],
        "memories": memories,
        "memory_categories": [{"memory_id": IDS[0], "category_id": "category work"}],
        "status_history": [{"id": IDS[0], "memory_id": IDS[0], "old_state": "active", "new_state": "paused"}],
        "access_controls": [],
        "export_meta": {"version": "1"},
    }


def openmemory_lines() -> bytes:
    records = [
        {
            "id": IDS[n],
            "content": f"fact {n}",
            "metadata": {"n": n} if n else {},
            "created_at": "2025-05-01T00:00:00+00:00",
            "updated_at": "2025-06-01T00:00:00+00:00",
            "state": state,
            "app": app,
            "categories": categories,
        }
        for n, (state, app, categories) in enumerate(OPENMEMORY)
    ]
    return gzip.compress("".join(json.dumps(one) + "\n" for one in records).encode())


def zipped(compression: int = zipfile.ZIP_DEFLATED, **members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression=compression) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("_", "."), content)
    return file.getvalue()


def history_db(path: Path, *rows: tuple[str, str | None, str | None, str, str, str]) -> Path:
    with closing(sqlite3.connect(path)) as db:
        db.execute(
            "CREATE TABLE history (id TEXT PRIMARY KEY, memory_id TEXT, old_memory TEXT, new_memory TEXT, event TEXT, "
            "created_at DATETIME, updated_at DATETIME, is_deleted INTEGER, actor_id TEXT, role TEXT)"
        )
        db.execute("CREATE TABLE messages (id TEXT PRIMARY KEY, session_scope TEXT, role TEXT, content TEXT)")
        for number, row in enumerate(rows):
            db.execute("INSERT INTO history VALUES (?, ?, ?, ?, ?, ?, ?, 0, NULL, 'user')", (str(number), *row))
        db.commit()
    return path


DAY = "2025-01-0{}T00:00:00+00:00"
HISTORY = (
    (IDS[0], None, "coffee", "ADD", DAY.format(1), DAY.format(1)),
    (IDS[1], None, ODD, "ADD", DAY.format(2), DAY.format(2)),
    (IDS[0], "coffee", "tea", "UPDATE", DAY.format(1), DAY.format(3)),
    (IDS[2], None, "gone", "ADD", DAY.format(1), DAY.format(1)),
    (IDS[2], "gone", None, "DELETE", DAY.format(1), DAY.format(4)),
)


def read(path: Path, content: bytes | str, **options: Any) -> tuple[list[Any], list[str]]:
    """The records of a file, and what is to be said about it."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with path.open("rb") as file:
        source = SourceFile(file, path, **options)
        lines = list(source.lines())
    return [json.loads(line) for line in lines if line.strip()], source.notes.sentences()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "memories"


def jsonl(*records: Any) -> str:
    return "".join(json.dumps(one) + "\n" for one in records)


LISTS = {
    "lines": jsonl(*LISTED),
    "lines with a BOM": "\ufeff" + jsonl(*LISTED),
    "list": json.dumps(LISTED),
    "list after empty lines": "\n\n" + json.dumps(LISTED, indent=2),
    "results": json.dumps({"results": LISTED, "relations": []}),
    "memories": json.dumps({"memories": LISTED}, indent=2),
    "page of the Platform": json.dumps(page(LISTED)),
    "pages, one a line": jsonl(page(LISTED[:1], "https://x/?page=2"), page(LISTED[1:])),
    "pages on many lines": "\n".join(json.dumps(page([one], None), indent=2) for one in LISTED),
}
POINT_FILES = {
    "lines": jsonl(*POINTS),
    "scroll": json.dumps(scroll(POINTS)),
    "scroll on many lines": json.dumps(scroll(POINTS), indent=2),
    "scrolls": jsonl(scroll(POINTS[:1], IDS[1]), scroll(POINTS[1:])),
    "points": json.dumps({"points": POINTS}),
    "entities are no memories": jsonl(*POINTS, {"id": IDS[3], "payload": ENTITY}),
    "dump": DUMP,
    "dump with names in quotes": DUMP.replace(
        "public.mem0 (id, vector, payload)", 'public."mem0" ("id", vector, payload)'
    ),
    "COPY": COPY,
    "COPY with names": "id\tvector\tpayload\n" + COPY,
    "CSV": as_csv(ROWS),
    "CSV with names": as_csv([("payload", "id"), *[(row[2], row[0]) for row in ROWS]]),
    "CSV without vectors": as_csv([(row[0], row[2]) for row in ROWS]),
}


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("name", LISTS)
def test_lists_and_pages(file: Path, name: str, compress: bool) -> None:
    content = LISTS[name].encode()
    assert read(file, gzip.compress(content) if compress else content) == (LISTED, [])


@pytest.mark.parametrize("name", POINT_FILES)
def test_what_vector_stores_have(file: Path, name: str) -> None:
    assert read(file, POINT_FILES[name])[0] == POINTS


@pytest.mark.parametrize("content", [page(LISTED, "https://x/?page=2"), scroll(LISTED, "7")])
def test_a_page_that_is_not_the_last_is_said(file: Path, content: Any) -> None:
    records, said = read(file, json.dumps(content))
    assert (records, len(said)) == (LISTED, 1)
    assert "there are more memories than this file has" in said[0]


@pytest.mark.parametrize(
    ("content", "options"),
    [
        (json.dumps(openmemory_json(), indent=2), {}),
        (json.dumps(openmemory_json()), {}),
        (json.dumps(openmemory_json(), sort_keys=True), {"user": "Jane Doe"}),
        (openmemory_lines(), {"user": "Jane Doe"}),
        (zipped(memories_json=json.dumps(openmemory_json()).encode(), memories_jsonl_gz=openmemory_lines()), {}),
    ],
)
def test_openmemory_s_exports_are_the_same_in_each_form(file: Path, content: str | bytes, options: Any) -> None:
    records, said = read(file, content, **options)
    times = {"created_at": "2025-05-01T00:00:00+00:00", "updated_at": "2025-06-01T00:00:00+00:00"}
    hidden = {"expiration_date": "1970-01-01"}
    assert records == [
        {"id": IDS[0], "memory": "fact 0", "user_id": "Jane Doe", "app_id": "claude", "metadata": {}, **times}
        | {"categories": ["home", "work"]},
        {"id": IDS[1], "memory": "fact 1", "user_id": "Jane Doe", "app_id": "cursor", "categories": [], **times}
        | {**hidden, "metadata": {"n": 1, "openmemory_state": "paused"}},
        {"id": IDS[2], "memory": "fact 2", "user_id": "Jane Doe", "app_id": None, "categories": [], **times}
        | {**hidden, "metadata": {"n": 2, "openmemory_state": "archived"}},
    ]
    assert [sentence.rpartition(": ")[2] for sentence in said] == ["2", "1"]


def test_the_zip_may_have_the_lines_alone(file: Path) -> None:
    path = file.with_name("z")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("export/memories.jsonl.gz", openmemory_lines())
    assert len(read(path, path.read_bytes(), user="x")[0]) == 3


def test_a_user_is_given_only_to_lines_that_name_nobody(file: Path) -> None:
    nobody = [{"id": IDS[2], "memory": "x", "user_id": ""}, {"id": IDS[3], "payload": {"data": "y", "run_id": None}}]
    agent = {"id": IDS[4], "memory": "z", "agent_id": "a"}
    records, _ = read(file, jsonl(*LISTED, *nobody, agent), user="zoe")
    assert records == [
        *LISTED,
        {**nobody[0], "user_id": "zoe"},
        {"id": IDS[3], "payload": {"data": "y", "run_id": None, "user_id": "zoe"}},
        agent,
    ]


def test_lines_that_need_nothing_stay_as_they_are_and_keep_their_numbers(file: Path) -> None:
    lines = b'{"id": "1",  "memory": "x"  }\n\n' + json.dumps({"id": "2", "payload": ENTITY}).encode() + b'\n{"b": \n7'
    file.write_bytes(lines)
    with file.open("rb") as opened:
        source = SourceFile(opened, file)
        assert source.count() == 5
        assert list(source.lines()) == [b'{"id": "1",  "memory": "x"  }', b"", b"", b'{"b": ', b"7"]


def test_an_export_is_read_as_it_is(file: Path) -> None:
    lines = b'{"format":"forgetless-events","version":1}\n{"type": "event",  "memory": {"content": 1, "state": 2}}\n'
    file.write_bytes(lines)
    with file.open("rb") as opened:
        assert b"".join(line + b"\n" for line in SourceFile(opened, file, user="zoe").lines()) == lines


def test_a_history_is_added_where_it_says_more(file: Path, tmp_path: Path) -> None:
    with closing(HistoryDb(history_db(tmp_path / "history.db", *HISTORY))) as history:
        timed = [{**one, "created_at": DAY.format(1)} for one in LISTED]
        records, _ = read(file, jsonl(*timed, LISTED[1]), history=history)
        assert [len(record.get("history", [])) for record in records] == [2, 0, 1]
        assert [row["new_memory"] for row in records[0]["history"]] == ["coffee", "tea"]
        points, _ = read(file, jsonl(POINTS[0]), history=history)
        assert len(points[0]["history"]) == 2


def test_a_history_alone_is_imported_for_a_user(tmp_path: Path) -> None:
    path = history_db(tmp_path / "history.db", *HISTORY)
    records, said = read(path, path.read_bytes(), user="zoe")
    assert [(one["id"], one["memory"], one["user_id"]) for one in records] == [
        (IDS[0], "tea", "zoe"),
        (IDS[1], ODD, "zoe"),
    ]
    assert said == ["left out, because mem0 has deleted them: 1"]


@pytest.mark.parametrize(
    "made",
    [
        "CREATE VIEW history AS WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) "
        "SELECT n AS memory_id, 'ADD' AS event, 'x' AS new_memory FROM r",
        "CREATE VIRTUAL TABLE history USING fts5(memory_id, event, new_memory)",
        "CREATE TABLE history (memory_id, event, new_memory AS (hex(zeroblob(400000000))))",
    ],
    ids=["view", "virtual", "computed"],
)
def test_a_history_that_is_computed_while_it_is_read_is_refused(tmp_path: Path, made: str) -> None:
    with closing(sqlite3.connect(tmp_path / "history.db")) as db:
        db.execute(made)
        db.commit()
    with pytest.raises(InvalidRequestError, match="no stored table"):
        HistoryDb(tmp_path / "history.db")


def test_a_value_that_is_longer_than_a_line_may_be_is_refused(tmp_path: Path) -> None:
    path = history_db(tmp_path / "history.db", *HISTORY)
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE history SET new_memory = printf('%.*c', 5000000, 'x') WHERE event = 'UPDATE'")
        db.commit()
    with closing(HistoryDb(path)) as history, pytest.raises(InvalidRequestError, match="too big"):
        history.rows(IDS[0])


@pytest.mark.parametrize("value", ["x'ff00'", "CAST(x'ff41' AS TEXT)"], ids=["a blob", "a text that is no UTF-8"])
@pytest.mark.parametrize(
    ("column", "says"),
    [
        ("memory_id", "id: expected a text"),
        ("new_memory", "memory: expected a text"),
        ("old_memory", "history.old_memory: expected a text"),
        ("event", "history.event: expected a text"),
        ("created_at", "created_at: .* is not a time"),
        ("updated_at", "updated_at: .* is not a time"),
        ("actor_id", "actor_id: expected a string"),
        ("role", "role: expected a string"),
    ],
)
def test_bytes_in_a_history_are_named_and_the_other_memories_are_read(
    tmp_path: Path, column: str, value: str, says: str
) -> None:
    path = history_db(
        tmp_path / "history.db", (IDS[0], "milk", "tea", "UPDATE", DAY.format(1), DAY.format(1)), *HISTORY[1:2]
    )
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"UPDATE history SET {column} = {value} WHERE memory_id = ?", (IDS[0],))
        db.commit()
    odd, sound = read(path, path.read_bytes(), user="zoe")[0]
    assert sound["memory"] == ODD
    with pytest.raises(InvalidRequestError, match=says):
        foreign_events("default", odd, now="2026-01-01T00:00:00.000000+00:00", most_chars=100)


def test_other_options_make_it_another_import(file: Path, tmp_path: Path) -> None:
    history = HistoryDb(history_db(tmp_path / "history.db", *HISTORY))
    file.write_text(jsonl(*LISTED))
    with closing(history), file.open("rb") as opened:
        options: list[dict[str, Any]] = [{}, {"user": "a"}, {"user": "b"}, {"history": history}]
        ids = set()
        for one in options:
            opened.seek(0)
            ids.add(SourceFile(opened, file, **one).job_id)
    assert len(ids) == len(options)


def test_a_record_that_is_refused_is_no_line_of_the_file(file: Path) -> None:
    for content, said in ((jsonl(*LISTED), "line 2: no"), (json.dumps(LISTED), "record 2: no")):
        file.write_text(content)
        with file.open("rb") as opened:
            assert SourceFile(opened, file).explained("line 2: no") == said


def sqlite_file(path: Path, *tables: str) -> bytes:
    with closing(sqlite3.connect(path)) as db:
        for table in tables:
            db.execute(f"CREATE TABLE {table} (id)")
    return path.read_bytes()


def zip_of_other_numbers(at: int, number: bytes) -> bytes:
    """A zip with this number at a place of its only entry in the list of files; before 0, from the file's end."""
    content = bytearray(zipped(memories_json=b"[]"))
    place = content.index(b"PK\x01\x02") + at if at >= 0 else len(content) + at
    content[place : place + len(number)] = number
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"hello\nworld\n", "format is unknown: expected .*docs/migrate-from-mem0.md"),
        (b"id | payload\n---+---\n", "format is unknown"),
        (b"PGDMP\x01", "pg_restore"),
        (b"\x80\x04pickle", "pickle"),
        ("[]".encode("utf-16"), "UTF-16"),
        (b'["caf\xe9"]', "UTF-8"),
        (zipped(x_txt=b"x"), "expected the zip of OpenMemory.*: x.txt"),
        # Its bytes hold the time: workers must give the test the same name.
        pytest.param(zipped(memories_json=b"[]")[:40], "damaged", id="half of a zip"),
        pytest.param(zip_of_other_numbers(-6, b"\xff" * 4), "damaged", id="a zip whose list of files is elsewhere"),
        pytest.param(zip_of_other_numbers(16, b"\0" * 4), "damaged.*CRC", id="a zip with another checksum"),
        pytest.param(zip_of_other_numbers(28, b"\0" * 2), "damaged|this one has", id="a zip of a nameless file"),
        pytest.param(zip_of_other_numbers(42, b"\xff" * 4), "damaged", id="a zip whose file is elsewhere"),
        pytest.param(zip_of_other_numbers(8, b"\1\0"), "encrypted", id="a zip with a password"),
        pytest.param(zip_of_other_numbers(6, b"\xff\0"), "version", id="a zip of a later version"),
        (openmemory_lines()[:-20], "damaged or ends too early"),
        (b"\x1f\x8bnothing", "damaged"),
        (openmemory_lines(), "--user ID"),
        (json.dumps(openmemory_json(), sort_keys=True).encode(), "--user ID"),
        (DUMP.partition("COPY public.mem0 ")[0].encode(), "no COPY with the columns id and payload"),
        (b"--\n-- PostgreSQL database dump\n--\nINSERT INTO public.mem0 VALUES ('a');\n", "without --inserts"),
        (f"{IDS[0]}\t[0.1]\n".encode(), "columns id and payload"),
        (f"{IDS[0]},no payload\n".encode(), "columns id and payload"),
        (json.dumps(LISTED)[:-9].encode(), "line 1: not JSON"),
    ],
)
def test_what_cannot_be_read_says_what_was_expected(file: Path, content: bytes, says: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"(?s)^memories: .*{says}"):
        read(file, content)


@pytest.mark.parametrize("before", [jsonl(*LISTED), COPY, as_csv(ROWS), DUMP, DUMP.partition(COPY)[0]])
def test_a_line_without_an_end_is_not_read_whole(file: Path, monkeypatch: pytest.MonkeyPatch, before: str) -> None:
    monkeypatch.setattr(streams, "LONGEST", 2000)
    monkeypatch.setattr(postgres, "LONGEST", 9000)
    with pytest.raises(InvalidRequestError, match="longer than 2000 characters"):
        read(file, before + "7" * 3000)


@pytest.mark.parametrize(
    ("tables", "says"),
    [
        (("points",), "Qdrant's local storage"),
        (("memories", "apps"), "POST /api/v1/backup/export"),
        (("other",), "history.db.*: other"),
    ],
)
def test_another_file_of_sqlite_says_what_it_is(tmp_path: Path, tables: Sequence[str], says: str) -> None:
    path = tmp_path / "some.db"
    content = sqlite_file(path, *tables)
    with pytest.raises(InvalidRequestError, match=says):
        read(path, content, user="x")


def test_a_history_without_a_user_and_a_missing_one_are_refused(tmp_path: Path) -> None:
    path = history_db(tmp_path / "history.db", *HISTORY)
    with pytest.raises(InvalidRequestError, match="--user ID"):
        read(path, path.read_bytes())
    with pytest.raises(InvalidRequestError, match="no such file"):
        HistoryDb(tmp_path / "nowhere.db")
    (tmp_path / "text").write_text("no database")
    with pytest.raises(InvalidRequestError, match="SQLite cannot read it"):
        HistoryDb(tmp_path / "text")
