"""The environment follows the pins: local/up/venv.sh with a package that needs no network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local.up.settings import ROOT

pytestmark = pytest.mark.slow


def venv(folder: Path, stamp: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(ROOT / "local/up/venv.sh"), ".venv", stamp, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHON": sys.executable, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_missing_python_is_one_line_that_says_how_to_name_one(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("head", "grep", "cat", "rm"):
        (tools / tool).symlink_to(shutil.which(tool) or pytest.fail(tool))
    done = venv(tmp_path, "stamp", PATH=str(tools), PYTHON="")
    assert done.returncode == 1
    assert done.stderr.startswith("forgetless: Python 3.11 or newer is needed")
    assert done.stderr.count("\n") == 1


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkout")
    assert venv(folder, ".installed-1", "pip").returncode == 0
    return folder


def stamps(checkout: Path) -> list[str]:
    return [file.name for file in (checkout / ".venv").glob(".installed-*")]


def test_changed_pins_are_installed_into_the_environment_that_is_there(checkout: Path) -> None:
    done = venv(checkout, ".installed-2", "pip")
    assert "Creating" not in done.stdout
    assert stamps(checkout) == [".installed-2"]


def test_a_failed_installation_is_told_and_leaves_no_stamp(checkout: Path) -> None:
    failed = venv(checkout, ".installed-3", "--no-index", "no-such-package-of-ours")
    assert failed.returncode == 1
    assert "forgetless: installation failed; the whole log is .venv/install.log" in failed.stderr
    assert stamps(checkout) == []


def test_a_moved_checkout_gets_a_new_environment(checkout: Path) -> None:
    moved = checkout.rename(checkout.with_name("moved"))
    done = venv(moved, ".installed-1", "pip")
    assert "Creating .venv" in done.stdout
    assert str(moved) in (moved / ".venv/bin/pip").read_text()


def test_a_named_python_is_taken_or_refused_and_never_replaced_by_another(tmp_path: Path) -> None:
    done = venv(tmp_path, "stamp", PYTHON="/nowhere/python3.13")
    assert done.returncode == 1
    assert done.stderr == "forgetless: /nowhere/python3.13 is no Python 3.11 or newer\n"
    assert not (tmp_path / ".venv").exists()
