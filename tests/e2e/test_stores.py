"""Stores that are damaged or lost between two starts of the whole service, and copies made while it runs."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.e2e.house import ROOT, House

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def machine(house: House) -> House:
    """The service whose files lie in a folder of this machine."""
    if type(house) is not House:
        pytest.skip("its files are in containers; by hand: docs/operations.md")
    return house


def command(house: House, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "local.up", *arguments],
        cwd=ROOT,
        env=house.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def exported(house: House) -> bytes:
    lines, cursor = b"", None
    while True:
        answer = house.client.get("/export", params={"cursor": cursor} if cursor else {})
        assert answer.status_code == 200, answer.text
        lines += answer.content
        cursor = answer.headers.get("X-Next-Cursor")
        if not cursor:
            return lines


def test_damaged_files_of_index_and_queue_are_set_aside_and_all_is_found_again(machine: House) -> None:
    machine.add("The lighthouse keeper collects stamps.", user="keeper")
    machine.down()
    os.truncate(machine.state / "milvus" / "milvus.db", 40_000)
    (machine.state / "emulator" / "queues.sqlite3").write_bytes(os.urandom(20_000))
    machine.up()
    assert machine.found("who collects stamps", user="keeper") == ["The lighthouse keeper collects stamps."]
    said = machine.log.read_text()
    assert said.count("ledger: the index is rebuilt: ") == 1
    assert said.count("gateway: the queue file queues.sqlite3 was damaged") == 1
    assert command(machine, "check").returncode == 0


def test_a_lost_ledger_stops_the_start_and_comes_back_from_a_copy_made_while_others_wrote(
    machine: House, tmp_path: Path
) -> None:
    kept = machine.add("Ada keeps bees on the roof.", user="ada").json()["results"][0]["id"]
    machine.client.put(f"/memories/{kept}", json={"text": "Ada keeps bees in the garden."}).raise_for_status()
    stop = threading.Event()
    acknowledged: list[str] = []

    def write() -> None:
        while not stop.is_set():
            answer = machine.add(f"noise {len(acknowledged)}", user="noise")
            assert answer.status_code == 200, answer.text
            acknowledged.append(answer.json()["results"][0]["id"])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        copied = command(machine, "backup", str(tmp_path / "copy.db"))
    finally:
        stop.set()
        writer.join()
    assert copied.returncode == 0, copied.stderr
    assert "verified" in copied.stdout
    assert machine.client.get(f"/memories/{acknowledged[-1]}").status_code == 200
    # A second one without noise, to compare with what comes back.
    assert command(machine, "backup", str(tmp_path / "quiet.db")).returncode == 0
    before = exported(machine)
    history = machine.client.get(f"/memories/{kept}/history").json()
    machine.add("Said after the copy.", user="ada")
    running = command(machine, "restore", "--replace", str(tmp_path / "quiet.db"))
    assert (running.returncode, "make down" in running.stderr) == (1, True)
    machine.down()
    assert not (machine.state / "ledger.db-wal").exists()

    (machine.state / "ledger.db").write_bytes(b"")
    refused = command(machine, "up")
    assert refused.returncode == 1
    assert "make restore FILE=" in refused.stderr
    assert "ARGS=--empty-ledger" in refused.stderr
    assert (machine.state / "ledger.db").stat().st_size == 0
    restored = command(machine, "restore", str(tmp_path / "quiet.db"))
    assert restored.returncode == 0, restored.stderr

    machine.up()
    assert exported(machine) == before
    assert machine.client.get(f"/memories/{kept}/history").json() == history
    assert machine.found("where are the bees", user="ada") == ["Ada keeps bees in the garden."]
    assert command(machine, "check", "--", "--thorough").returncode == 0
