"""The promised versions of Python are the same wherever one is named: 3.11 on one machine, 3.13 deployed."""

from __future__ import annotations

import re
import stat
import tomllib
from pathlib import Path

import pytest

from local.lambda_python import VERSION, find_python, main
from local.up.settings import ROOT

LEAST = "3.11"


def test_whoever_asks_for_a_python_asks_for_the_same() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["requires-python"] == f">={LEAST}"
    assert project["tool"]["mypy"]["python_version"] == LEAST
    assert project["tool"]["ruff"]["target-version"] == f"py{LEAST.replace('.', '')}"
    script = (ROOT / "local/up/venv.sh").read_text()
    assert f"sys.version_info < ({LEAST.replace('.', ', ')})" in script
    (candidates,) = re.findall(r"\$\{PYTHON:-(python[^}]*)\}", script)
    assert candidates.split()[:2] == [f"python{LEAST}", f"python{VERSION}"]


def test_all_that_is_deployed_runs_on_the_version_that_is_tested() -> None:
    template = (ROOT / "template.yaml").read_text()
    named = re.findall(r"(?:Runtime: |CompatibleRuntimes: \[)python([\d.]+)", template)
    for dockerfile in [*ROOT.glob("local/compose/*/Dockerfile"), ROOT / "embedder_container/Dockerfile"]:
        named += re.findall(r"^(?:FROM |ARG PYTHON_IMAGE=)python:([\d.]+)", dockerfile.read_text(), re.MULTILINE)
    assert len(named) > 6
    assert set(named) == {VERSION}


def interpreter(path: Path, version: str) -> Path:
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\necho {version}\n")
    path.chmod(path.stat().st_mode | stat.S_IEXEC)
    return path


def test_a_named_interpreter_goes_before_path_and_path_before_pyenv(tmp_path: Path) -> None:
    named = interpreter(tmp_path / "named/python", VERSION)
    on_path = interpreter(tmp_path / f"bin/python{VERSION}", VERSION)
    of_pyenv = interpreter(tmp_path / f"versions/{VERSION}.9/bin/python{VERSION}", VERSION)
    environment = {"PYENV_ROOT": str(tmp_path), "PATH": str(on_path.parent), "FORGETLESS_PYTHON313": str(named)}
    assert find_python(environment) == str(named)
    assert find_python(environment | {"FORGETLESS_PYTHON313": ""}) == str(on_path)
    assert find_python(environment | {"FORGETLESS_PYTHON313": "/nowhere", "PATH": ""}) == str(of_pyenv)


def test_where_there_is_none_it_says_where_it_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    interpreter(tmp_path / f"versions/{VERSION}.9/bin/python{VERSION}", "3.12")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("FORGETLESS_PYTHON313", raising=False)
    assert main() == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert f"no python{VERSION} on PATH, in FORGETLESS_PYTHON313 or among pyenv's versions" in told.err
