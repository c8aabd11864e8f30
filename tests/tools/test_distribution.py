"""Tests that share what is dear to start run in one worker."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.up.settings import ROOT
from tests.distribution import unit_of

_TESTS = """
import os, pathlib, pytest

@pytest.mark.parametrize("number", range(6))
def test_who_runs_it(number):
    with pathlib.Path({told!r}).open("a") as told:
        told.write(os.environ["PYTEST_XDIST_WORKER"] + "\\n")
"""


@pytest.mark.parametrize(
    ("nodeid", "unit"),
    [
        ("tests/unit/test_locks.py::test_a[x::y/z@w]", "tests/unit/test_locks.py"),
        ("tests/e2e/test_queue.py::test_a", "tests/e2e"),
        ("tests/e2e/test_mcp.py::TestB::test_a[1]", "tests/e2e"),
        ("tests/scale/test_jobs.py::test_a", "tests/scale"),
    ],
)
def test_a_unit_is_a_file_or_a_folder_that_shares_something(nodeid: str, unit: str) -> None:
    assert unit_of(nodeid) == unit


def test_one_worker_runs_all_tests_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("from tests.conftest import pytest_xdist_make_scheduler\n")
    for name in ("test_a.py", "test_b.py"):
        (tmp_path / name).write_text(_TESTS.format(told=str(tmp_path / f"{name}.told")))
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    subprocess.run(
        [*command, "-c", "/dev/null", "--rootdir", str(tmp_path), str(tmp_path)],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(ROOT)},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    workers = [(tmp_path / f"{name}.told").read_text().split() for name in ("test_a.py", "test_b.py")]
    assert [(len(told), len(set(told))) for told in workers] == [(6, 1), (6, 1)]
    assert workers[0] != workers[1]
