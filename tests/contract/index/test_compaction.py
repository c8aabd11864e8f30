"""Compaction: no word of a deleted row stays legible in Milvus Lite's file, and searches answer as before."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from forgetless.adapters.index_milvus import MilvusIndex
from forgetless.domain.filters.ast import EVERYTHING
from local.milvus import LiteServer
from local.milvus.compaction import CompactionError, compacted_at, is_due, note_new, rewrite
from local.milvus.control import CompactionRequests, ControlServer
from tests.contract.index.builders import DIMENSIONS, asked, memory, row

ROOT = Path(__file__).parents[3]
#: Words of rows that are deleted, and of rows that stay.
GONE = [f"zyxwalo{number:04}" for number in range(400)]
KEPT = [f"remains{number:04}" for number in range(50)]


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="fl-") as name:
        yield Path(name)


def legible(database: Path, words: list[str]) -> int:
    """How many of the words stand in the file or beside it."""
    content = b"".join(file.read_bytes() for file in database.parent.iterdir() if file.is_file())
    return sum(word.encode() in content for word in words)


def fill_and_delete(uri: str) -> None:
    index = MilvusIndex(uri, collection="c", dimensions=DIMENSIONS, timeout_s=10)
    with closing(index):
        # Terms stand in the index as numbers, but metadata as text.
        index.insert([row(memory(word, metadata={"note": word}), words=word) for word in [*GONE, *KEPT]])
        index.drop("acme", [(memory(word).id, 1) for word in GONE])


def found(uri: str) -> list[str]:
    index = MilvusIndex(uri, collection="c", dimensions=DIMENSIONS, timeout_s=10)
    with closing(index):
        return [hit.memory_id for word in KEPT for hit in index.search_words("acme", asked(word), EVERYTHING, 5)]


@pytest.mark.slow
def test_no_deleted_word_is_left_and_searches_find_the_same(folder: Path) -> None:
    server = LiteServer(folder / "data", folder / "m.sock")
    server.start()
    server.ready()
    fill_and_delete(server.uri)
    before = found(server.uri)
    server.stop()
    database = folder / "data" / "milvus.db"
    assert legible(database, GONE) > len(GONE) // 2, "Milvus Lite overwrites what it deletes: no compaction is needed"
    server.start()
    server.ready()
    server.compact()
    after = found(server.uri)
    server.stop()
    assert legible(database, GONE) == 0
    assert legible(database, KEPT) == len(KEPT)
    assert before == after == [memory(word).id for word in KEPT]


def test_a_file_that_another_process_writes_is_left_as_it_is(folder: Path) -> None:
    database = folder / "milvus.db"
    writer = (
        "import sqlite3, sys; db = sqlite3.connect(sys.argv[1], isolation_level=None); "
        "db.execute('BEGIN EXCLUSIVE'); print('has it', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", writer, str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "has it\n"
        with pytest.raises(CompactionError, match="locked"):
            rewrite(database)
        assert compacted_at(database) is None
        other.communicate("")
    rewrite(database)
    assert compacted_at(database) is not None


def test_a_compaction_is_due_once_in_a_while_and_only_if_the_file_has_changed(folder: Path) -> None:
    database = folder / "milvus.db"
    note_new(database)
    assert not is_due(database, 10.0, now=time.time() + 60)
    database.write_bytes(b"")
    noted = compacted_at(database)
    assert noted is not None
    os.utime(database, (noted + 5, noted + 5))
    assert not is_due(database, 10.0, now=noted + 9)
    assert is_due(database, 10.0, now=noted + 11)
    assert not is_due(database, 0, now=noted + 11)
    rewrite(database)
    assert not is_due(database, 10.0, now=time.time() + 60)
    (folder / "compacted").unlink()
    assert is_due(database, 10.0, now=0), "a file of an earlier version was never compacted"


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(10)
        self.sock.connect(str(self._path))


def ask(connection: http.client.HTTPConnection, method: str, path: str = "/compaction") -> tuple[int, dict[str, Any]]:
    with closing(connection):
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def test_a_request_is_taken_once_and_one_that_comes_meanwhile_is_not_lost() -> None:
    requests = CompactionRequests(lambda: None)
    assert not requests.begin()
    requests.want()
    assert requests.begin()
    requests.want()
    requests.end("no space")
    assert requests.shown() == {"compacted_at": None, "waiting": True, "error": "no space"}
    assert requests.begin()
    requests.end()
    assert not requests.begin()
    assert requests.shown() == {"compacted_at": None, "waiting": False, "error": None}


@pytest.mark.parametrize("kind", ["unix", "port"])
def test_clients_ask_for_a_compaction_at_the_control_address(folder: Path, kind: str) -> None:
    requests = CompactionRequests(lambda: 12.5)
    server = ControlServer(str(folder / "control.sock") if kind == "unix" else "127.0.0.1:0", requests)

    def connection() -> http.client.HTTPConnection:
        if kind == "unix":
            return _UnixConnection(folder / "control.sock")
        return http.client.HTTPConnection(server.address.removeprefix("http://"), timeout=10)

    with closing(server):
        assert ask(connection(), "GET") == (200, {"compacted_at": 12.5, "waiting": False, "error": None})
        assert not requests.begin()
        assert ask(connection(), "POST") == (202, {"compacted_at": 12.5, "waiting": True, "error": None})
        assert ask(connection(), "POST", "/other")[0] == 404
        assert requests.begin()
    assert not (folder / "control.sock").exists()


@pytest.fixture
def supervisor(folder: Path) -> Iterator[Callable[[], dict[str, Any]]]:
    """A supervisor with a control address; calling it asks for a compaction and waits for its end."""
    place = ["--data", str(folder / "data"), "--socket", str(folder / "m.sock"), "--control", str(folder / "c.sock")]
    command = [sys.executable, "-m", "local.milvus", *place]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["ready"]

        def compact() -> dict[str, Any]:
            asked = time.time()
            ask(_UnixConnection(folder / "c.sock"), "POST")
            while True:
                state = ask(_UnixConnection(folder / "c.sock"), "GET")[1]
                if not state["waiting"]:
                    assert state["error"] or state["compacted_at"] >= asked
                    return state
                assert time.time() < asked + 60
                time.sleep(0.05)

        yield compact
        process.terminate()
        process.communicate()


@pytest.mark.slow
def test_the_supervisor_compacts_at_once_and_serves_again(
    folder: Path, supervisor: Callable[[], dict[str, Any]]
) -> None:
    uri = f"unix:{folder / 'm.sock'}"
    fill_and_delete(uri)
    assert supervisor()["error"] is None
    assert found(uri) == [memory(word).id for word in KEPT]
    assert legible(folder / "data" / "milvus.db", GONE) == 0
