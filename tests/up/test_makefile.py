"""The Makefile: help by default, one process in the foreground, environments that follow their pins."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from local.up.settings import ROOT

COMMANDS = [
    *("up", "down", "status", "test", "lint", "format", "typecheck", "bench", "eval", "demo"),
    *("reset-data", "reindex", "build", "validate", "docs", "clean"),
]


def make(*arguments: str, folder: Path = ROOT) -> str:
    # Not the settings of the make that runs these tests.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout


def stamp_of(folder: Path) -> str:
    found = re.search(r"\.installed-\d+", make("-n", "-B", "status", folder=folder))
    return found[0] if found else pytest.fail("no stamp")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "locks").mkdir()
    for name in ("Makefile", "pyproject.toml", "locks/project.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_make_alone_lists_every_command(command: str) -> None:
    assert re.search(rf"^  make {command} +\S", make(), re.MULTILINE)


def test_up_replaces_its_shell_so_that_signals_reach_it() -> None:
    assert make("-n", "up").strip().splitlines()[-1].startswith("exec .venv/bin/python -m local.up up")


def test_the_stamp_follows_the_content_of_the_pins_and_not_their_times(checkout: Path) -> None:
    before = stamp_of(checkout)
    (checkout / "locks/project.txt").touch()
    assert stamp_of(checkout) == before
    with (checkout / "locks/project.txt").open("a") as pins:
        pins.write("# another pin\n")
    assert stamp_of(checkout) != before


def test_tests_never_see_the_callers_llm() -> None:
    for variable in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "FORGETLESS_LLM_MODEL"):
        assert f"-u {variable}" in make("-n", "unit")


def test_broken_links_stop_the_build_of_the_documentation() -> None:
    command = make("-n", "docs").strip()
    assert "mkdocs build --strict" in command
    assert "--quiet" not in command  # MkDocs then counts no warnings
