"""Runs tests against a copy of the package that contains one mutation."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.tenancy.mutation import PACKAGES, Mutation

__all__ = ["run_mutated"]

_ROOT = Path(__file__).parents[2]
#: What pytest's exit codes mean.
PASSED, FAILED = 0, 1


def run_mutated(folder: Path, mutation: Mutation, *, mutated: bool = True) -> tuple[int, str]:
    """pytest's exit code and output of the mutation's tests; without `mutated` those of the package as it is."""
    copy = folder / mutation.package
    shutil.copytree(PACKAGES[mutation.package], copy, ignore=shutil.ignore_patterns("__pycache__"))
    if mutated:
        _mutate(copy / mutation.file, mutation)
    command = (sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", *mutation.tests)
    places = [str(folder), *dict.fromkeys(str(package.parent) for package in PACKAGES.values())]
    # pytest puts what its configuration names in front of PYTHONPATH.
    command += ("-o", f"pythonpath={' '.join(places)}")
    path = os.pathsep.join(places)
    done = subprocess.run(
        command,
        cwd=_ROOT,
        env={**_environment(), "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done.returncode, done.stdout[-3000:] + done.stderr[-1000:]


def _environment() -> dict[str, str]:
    # Inside a worker of xdist, pytest would take itself for one.
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}


def _mutate(file: Path, mutation: Mutation) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.count(mutation.old) == 1, (
        f"{mutation.name}: its text stands {text.count(mutation.old)} times in {file.name}"
    )
    file.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
