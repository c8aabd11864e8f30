"""Where the Docker tests cannot run, this is said and they are skipped; a wrong name is an error."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local.up.settings import ROOT
from tests.docker.at_hand import CANNOT, FAULT, base_images

UNREACHED = (
    'Error response from daemon: Get "https://registry.example/v2/": dial tcp: lookup registry.example: no such host'
)
UNKNOWN = "Error response from daemon: manifest for python:3.13-slim-trixi not found: manifest unknown"

#: What `docker` does here, by its first argument; the rest succeeds.
CASES = {
    "no engine": ({"info": "Cannot connect to the Docker daemon"}, CANNOT, "(no Docker engine answers)"),
    "no compose": ({"compose": "docker: 'compose' is not a docker command."}, CANNOT, "no `docker compose`"),
    "no registry": ({"image": "No such image", "pull": UNREACHED}, CANNOT, "no such host"),
    "no such image": ({"image": "No such image", "pull": UNKNOWN}, FAULT, "manifest unknown"),
    "all is here": ({}, 0, ""),
    "all can be pulled": ({"image": "No such image"}, 0, ""),
}


@pytest.mark.parametrize(("failing", "code", "told"), CASES.values(), ids=list(CASES))
def test_what_docker_says_decides(tmp_path: Path, failing: dict[str, str], code: int, told: str) -> None:
    lines = [f"    {verb}) echo {text!r} >&2; exit 1 ;;" for verb, text in failing.items()]
    docker = tmp_path / "docker"
    docker.write_text("\n".join(["#!/bin/sh", 'case "$1" in', *lines, "    *) exit 0 ;;", "esac", ""]))
    docker.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-m", "tests.docker.at_hand"], cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "PATH": f"{tmp_path}:/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert told in done.stderr
    assert done.stderr.count("\n") == (1 if code else 0)


def test_without_docker_installed_it_is_said_too(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.docker.at_hand"], cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "PATH": str(tmp_path)},
    )  # fmt: skip
    assert (done.returncode, done.stderr.count("\n")) == (CANNOT, 1)


def test_the_base_images_are_those_that_are_named() -> None:
    images = base_images()
    assert images[:-1] == ["python:3.13-slim-trixie", "nginx:stable"]
    assert images[-1].startswith("public.ecr.aws/lambda/python:3.13-")


def test_digests_of_base_images_are_noted_for_later_builds(tmp_path: Path) -> None:
    docker, folder = tmp_path / "docker", tmp_path / "compose"
    # It knows two images, and shows which one compose is given.
    docker.write_text(
        """#!/bin/sh
case "$*" in
    *inspect*python:3.13-slim-trixie) echo python@sha256:0123 ;;
    *inspect*nginx:stable) echo nginx@sha256:4567 ;;
    *inspect*) exit 1 ;;
    *build*) echo "$PYTHON_IMAGE $NGINX_IMAGE" ;;
esac
"""
    )
    docker.chmod(0o755)
    shutil.copytree(ROOT / "local" / "compose", folder)
    known = {"PATH": f"{tmp_path}:/usr/bin:/bin"}

    def compose(verb: str, **given: str) -> subprocess.CompletedProcess[str]:
        command = ["sh", str(folder / "compose.sh"), verb]
        return subprocess.run(command, env={**known, **given}, capture_output=True, text=True, check=True)

    assert compose("build").stdout.split() == []
    noted = compose("digests")
    assert noted.stdout.splitlines() == ["NGINX_IMAGE=nginx@sha256:4567", "PYTHON_IMAGE=python@sha256:0123"]
    assert "milvusdb/milvus:v2.6.0 has no digest here: docker pull" in noted.stderr
    assert compose("build").stdout.split() == ["python@sha256:0123", "nginx@sha256:4567"]
    assert compose("build", NGINX_IMAGE="own").stdout.split() == ["python@sha256:0123", "own"]
