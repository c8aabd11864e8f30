"""A project that is not ours, run as its owner would: from its folder, with its template alone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.emulator.fidelity import own
from tests.emulator.launching import WAIT_SECONDS, Launched, alive, wait_until

pytestmark = pytest.mark.slow
PROJECT = Path(__file__).with_name("projects") / "notes"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shutil.copytree(PROJECT, tmp_path / "notes")


@pytest.fixture
def notes(folder: Path) -> Iterator[Launched]:
    launched = Launched(Path("template.yaml"), "--parameter", "Title=mine", "--reload", cwd=folder, AWS_REGION="eu-x-1")
    yield launched
    launched.process.kill()
    launched.process.communicate()


def log_of(folder: Path) -> str:
    path = folder / ".emulator" / "template" / "logs" / "functions.log"
    return path.read_text() if path.exists() else ""


@own("other projects")
def test_a_foreign_project_runs_with_its_template_alone(notes: Launched, folder: Path) -> None:
    with httpx.Client(base_url=notes.ready()["gateway"], timeout=WAIT_SECONDS) as client:
        assert client.get("/notes/a").json() == {"title": "mine: a", "topic": "mine-eu-x-1-Work", "region": "eu-x-1"}
        assert client.post("/notes/b", content="text").status_code == 202
        assert client.get("/elsewhere").status_code == 404
    wait_until(lambda: "took mine: b=text" in log_of(folder))
    pids = notes.children()
    _, errors = notes.stop()
    assert "template.yaml:53: Stream: AWS::Kinesis::Stream is not emulated" in errors
    assert "Traceback" not in errors
    assert [pid for pid in pids if alive(pid)] == []


@own("other projects")
def test_changed_code_and_layers_are_taken_without_a_restart(notes: Launched, folder: Path) -> None:
    with httpx.Client(base_url=notes.ready()["gateway"], timeout=WAIT_SECONDS) as client:
        assert client.get("/notes/a").json()["title"] == "mine: a"
        layer = folder / "shared" / "python" / "titles.py"
        layer.write_text(layer.read_text().replace("}: {", "} / {"))
        wait_until(lambda: client.get("/notes/a").json()["title"] == "mine / a")


@own("other projects")
def test_a_changed_template_is_taken_on_the_same_ports_and_a_broken_one_is_not(notes: Launched, folder: Path) -> None:
    first, template = notes.ready(), folder / "template.yaml"
    text = template.read_text()
    template.write_text(text.replace("Timeout: 60", "Timeout: 9000"))
    assert notes.process.stderr is not None
    lines = iter(notes.process.stderr.readline, "")
    assert any("Timeout must lie between 1 and 900" in line for line in lines)
    assert httpx.get(f"{first['gateway']}/notes/a", timeout=WAIT_SECONDS).status_code == 200
    template.write_text(text.replace("'/notes/{name}', Method: GET", "'/read/{name}', Method: GET"))
    assert notes.ready() == first
    assert httpx.get(f"{first['gateway']}/read/a", timeout=WAIT_SECONDS).status_code == 200
