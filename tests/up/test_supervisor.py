"""Starting, restarting and stopping, with fake parts in real processes."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from local.up.identity import identify
from tests.up.harness import eventually, part, running_up, step


def test_parts_start_in_their_order_and_then_the_block_is_shown(tmp_path: Path) -> None:
    parts = [part("gateway", after=["model", "index"]), step("model"), part("index", after=["model"])]
    with running_up(tmp_path, *parts) as running:
        running.until("READY")
        ready = [line.split()[0] for line in running.said if " ready" in line]
        assert ready == ["model", "index", "gateway"]
        assert set(running.parts()) == {"index", "gateway"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_every_part_and_ends_well(tmp_path: Path, number: signal.Signals) -> None:
    with running_up(tmp_path, part("one"), part("two"), sigint_ignored=True) as running:
        running.until("READY")
        parts = running.parts()
        assert running.end(number) == 0
        assert not any(identity.alive() for identity in parts.values())
        assert not (tmp_path / "up.json").exists()


def test_a_signal_during_the_start_stops_what_runs_already(tmp_path: Path) -> None:
    with running_up(
        tmp_path, part("one"), step("slow", "hangs", stop_seconds=0.2), part("two", after=["slow"])
    ) as running:
        running.until("one       ready")
        assert eventually(lambda: set(running.parts()) == {"one", "slow"})
        parts = running.parts()
        assert running.end(signal.SIGTERM) == 0
        assert not any(identity.alive() for identity in parts.values())
        assert not any("two" in line for line in running.said)


def test_the_part_that_needs_others_is_stopped_before_them(tmp_path: Path) -> None:
    with running_up(tmp_path, part("index"), part("gateway", after=["index"])) as running:
        running.until("READY")
        running.end(signal.SIGTERM)
        assert [line.split()[0] for line in running.said if line.endswith("stopped")] == ["gateway", "index"]


def test_a_part_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    with running_up(tmp_path, part("deaf", "deaf", stop_seconds=0.2)) as running:
        running.until("READY")
        deaf = running.parts()["deaf"]
        assert running.end(signal.SIGTERM) == 0
        assert not deaf.alive()


def test_what_a_part_leaves_below_itself_is_ended_too(tmp_path: Path) -> None:
    with running_up(tmp_path, part("parent", "parent")) as running:
        running.until("READY")
        below = identify(int(running.log("parent").split()[1]))
        assert below is not None
        running.end(signal.SIGTERM)
        assert eventually(lambda: not below.alive())


def test_a_second_signal_does_not_wait_for_deaf_parts(tmp_path: Path) -> None:
    with running_up(tmp_path, part("deaf", "deaf", stop_seconds=60)) as running:
        running.until("READY")
        running.process.send_signal(signal.SIGINT)
        running.until("stopping")
        assert running.end(signal.SIGINT) == 0


def test_a_killed_part_is_started_again_and_one_line_says_so(tmp_path: Path) -> None:
    with running_up(tmp_path, part("index"), part("other")) as running:
        running.until("READY")
        before = running.parts()
        before["index"].send(signal.SIGKILL)
        assert "killed by SIGKILL" in running.until("index     restarting")
        running.until("index     ready")
        after = running.parts()
        assert after["index"] != before["index"]
        assert after["other"] == before["other"]


def test_logs_may_be_deleted_while_the_service_runs(tmp_path: Path) -> None:
    with running_up(tmp_path, part("index")) as running:
        running.until("READY")
        (tmp_path / "logs" / "index.log").unlink()
        running.parts()["index"].send(signal.SIGKILL)
        running.until("index     restarting")
        running.until("index     ready")


def test_a_part_killed_while_it_stops_is_not_started_again(tmp_path: Path) -> None:
    with running_up(tmp_path, part("deaf", "deaf", stop_seconds=60)) as running:
        running.until("READY")
        deaf = running.parts()["deaf"]
        running.process.send_signal(signal.SIGTERM)
        running.until("stopping")
        deaf.send(signal.SIGKILL)
        assert running.end() == 0
        assert not any("restarting" in line for line in running.said)


def test_a_part_that_cannot_start_ends_up_with_one_line_and_no_process(tmp_path: Path) -> None:
    with running_up(tmp_path, part("good"), part("bad", "fails", says="no model here", after=["good"])) as running:
        assert running.end() == 1
        assert not running.parts()
    line = next(line for line in running.said if line.startswith("forgetless:"))
    assert "bad did not start: ended with code 3: fake process: no model here (log: " in line
    assert not any("Traceback" in line for line in running.said)


def test_a_step_that_fails_ends_up_at_once(tmp_path: Path) -> None:
    with running_up(tmp_path, step("ledger", "fails", says="newer schema; make reset-data"), part("rest")) as running:
        assert running.end() == 1
    assert any("ledger failed: fake process: newer schema; make reset-data" in line for line in running.said)


def test_a_part_that_hangs_is_given_up_after_its_time(tmp_path: Path) -> None:
    with running_up(tmp_path, part("hanging", "hangs", start_seconds=0.2, stop_seconds=0.1)) as running:
        assert running.end() == 1
    assert any("hanging did not start: not ready after 0 s" in line for line in running.said)


@pytest.mark.parametrize(("word", "runs"), [("ok", False), ("reindex", True)])
def test_a_step_with_a_condition_runs_on_its_word_alone(tmp_path: Path, word: str, runs: bool) -> None:
    rebuild = step("index", says="rebuilt", after=["ledger"], only_if=["ledger", "reindex"])
    with running_up(tmp_path, step("ledger", says=word), rebuild) as running:
        running.until("READY")
        running.end(signal.SIGTERM)
    assert (tmp_path / "logs" / "index.log").exists() == runs


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent death signal")
def test_parts_die_with_up_under_sigkill(tmp_path: Path) -> None:
    with running_up(tmp_path, part("deaf", "deaf")) as running:
        running.until("READY")
        deaf = running.parts()["deaf"]
        running.process.send_signal(signal.SIGKILL)
        assert eventually(lambda: not deaf.alive())


def test_a_reader_that_went_away_does_not_stop_the_service(tmp_path: Path) -> None:
    with running_up(tmp_path, part("index"), reader=[sys.executable, "-c", "input()"]) as running:
        assert eventually(lambda: "index" in running.parts())
        before = running.parts()["index"]
        assert eventually(lambda: '"ready"' in running.log("index"))
        before.send(signal.SIGKILL)
        assert eventually(lambda: running.parts().get("index", before) != before)
        assert running.process.poll() is None


def test_what_a_part_notes_is_shown_beside_its_state(tmp_path: Path) -> None:
    parts = (
        step("check", says="noise\nnote: the index is rebuilt\nreindex"),
        step("index", says="note: once more", only_if=["check", "reindex"], after=["check"]),
    )
    with running_up(tmp_path, *parts) as running:
        running.until("READY")
        running.end(signal.SIGTERM)
    assert [line for line in running.said if "rebuilt" in line or "once more" in line or "noise" in line] == [
        "check: the index is rebuilt",
        "index: once more",
    ]


@pytest.mark.parametrize(("word", "told"), [("ok", []), ("fill", ["filling: 5 of 9"])])
def test_a_part_that_only_tells_holds_nothing_up_and_is_not_started_again(
    tmp_path: Path, word: str, told: list[str]
) -> None:
    filling = step("filling", says="5 of 9", after=["ledger"], only_if=["ledger", "fill"], tells=True)
    with running_up(tmp_path, step("ledger", says=word), filling) as running:
        running.until("READY")
        log = tmp_path / "logs" / "filling.log"
        assert not told or eventually(lambda: log.exists() and "5 of 9" in log.read_text())
        assert eventually(lambda: "filling" not in running.parts())
        running.end(signal.SIGTERM)
    assert [line for line in running.said if line.startswith("filling")] == told
