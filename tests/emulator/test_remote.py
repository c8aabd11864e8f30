"""Functions that run elsewhere: one emulator's queue and gateway drive the Invoke API of another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.emulator.fidelity import own
from tests.emulator.test_queue_trigger import EAT, depth, send, template

pytestmark = pytest.mark.slow


@pytest.fixture
def elsewhere(start: Any) -> str:
    url: str = start(template(), {"invoke_port": 0}, code__app=EAT).invoke_url
    return url


@own("functions elsewhere")
def test_a_queue_feeds_a_function_that_runs_elsewhere(start: Any, elsewhere: str, tmp_path: Path) -> None:
    running = start(template(), {"functions_at": elsewhere, "state": tmp_path / "second"}, code__app=EAT)
    send(running, "a", "b")
    running.eventually(lambda: depth(running, "Work") == 0)
    assert "batch" not in running.log()
    running.eventually(lambda: "batch" in (tmp_path / "state" / "logs" / "functions.log").read_text())


@own("functions elsewhere")
def test_an_error_elsewhere_keeps_the_messages(start: Any, elsewhere: str, tmp_path: Path) -> None:
    running = start(template(), {"functions_at": elsewhere, "state": tmp_path / "second"}, code__app=EAT)
    send(running, "raise")
    running.logged("1 of 1 messages failed")
    assert depth(running, "Work") == 1


@own("functions elsewhere")
def test_a_function_that_is_not_there_throttles(start: Any, tmp_path: Path) -> None:
    running = start(template(seconds=1), {"functions_at": "http://127.0.0.1:9"}, code__app=EAT)
    send(running, "a")
    running.logged("throttled until the visibility time-out")
    assert depth(running, "Work", "Dead") == 1
