"""The examples in README.md, CONTRIBUTING.md and docs/ work, against a service that was started as `make up` does it.

Blocks marked bash and python are executed; those marked json, toml, ini and js are parsed. A comment `not run: REASON`
before a block leaves out its execution. A json block after the comment `answer` must have the same fields as the
output of the bash block before it.
"""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sybil import Document
from sybil.parsers.markdown.lexers import FencedCodeBlockLexer

from tests.e2e.house import ROOT, House

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.skipif(os.environ.get("FORGETLESS_E2E", "up") != "up", reason="the pages are about make up"),
]

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
ADDRESS = "http://127.0.0.1:3000"
MEM0 = "py-2.2.1"
BLOCK_S = 60

_NOT_RUN = re.compile(r"<!-- not run: \S.* -->\s*\Z")
_ANSWER = re.compile(r"<!-- answer -->\s*\Z")
#: `make` in an example means the service of this test and this Python; environments are not installed again.
_MAKE = '#!/bin/sh\nexec {make} --no-print-directory -C "{root}" STAMP=pyproject.toml PY="{python}" "$@"\n'


@dataclass(frozen=True)
class Block:
    """A code block of a page."""

    place: str
    language: str
    source: str
    #: Whether the line before it says so.
    runs: bool
    is_answer: bool


def blocks(page: Path) -> Iterator[Block]:
    """The code blocks of a page whose language is named, in their order."""
    document = Document(page.read_text(encoding="utf-8"), str(page))
    for region in FencedCodeBlockLexer(r"\w+")(document):
        before = document.text[: region.start]
        yield Block(
            place=f"{page.relative_to(ROOT)}, {document.line_column(region.start)}",
            language=region.lexemes["language"],
            source=str(region.lexemes["source"]),
            runs=not _NOT_RUN.search(before),
            is_answer=bool(_ANSWER.search(before)),
        )


def mem0_python() -> Path | None:
    """The Python that has mem0's client, where `make test-clients` has made its environment."""
    homes = [os.environ.get("FORGETLESS_CLIENTS"), ROOT / ".venv-clients"]
    found = [Path(home, MEM0, "bin", "python") for home in homes if home]
    return next((python for python in found if python.exists()), None)


_OF_MAKE = frozenset({"ARGS", "MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS"})


@dataclass
class Shell:
    """Where the examples of one page run: a folder that looks like a checkout in which `make up` runs."""

    house: House
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    output: str = ""

    def __post_init__(self) -> None:
        (self.folder / ".forgetless").symlink_to(self.house.state)
        (self.folder / ".venv").symlink_to(sys.prefix)
        make = self.folder / "bin" / "make"
        make.parent.mkdir()
        make.write_text(_MAKE.format(make=shutil.which("make"), root=ROOT, python=sys.executable))
        make.chmod(make.stat().st_mode | stat.S_IXUSR)
        # Without what a `make` around these tests hands on: its own arguments are none of the examples'.
        inherited = {name: value for name, value in self.house.environment.items() if name not in _OF_MAKE}
        self.environment = {
            **inherited,
            "PATH": f"{make.parent}:{os.environ['PATH']}",
            "KEY": self.house.client.headers["X-API-Key"],
            "FORGETLESS_MILVUS_URI": self.house.milvus_uri,
            "FORGETLESS_EMBEDDER_URL": f"http://127.0.0.1:{self.house.embedder_port}",
            "MEM0_TELEMETRY": "false",
            "MEM0_DIR": str(self.folder),
        }

    def run(self, command: list[str], source: str, environment: dict[str, str] | None = None) -> None:
        """Run a block; fails with its output unless it ends with 0."""
        url = str(self.house.client.base_url).rstrip("/")
        done = subprocess.run(
            [*command, source.replace(ADDRESS, url)],
            cwd=self.folder,
            env=environment or self.environment,
            capture_output=True,
            text=True,
            timeout=BLOCK_S,
            check=False,
        )
        assert done.returncode == 0, f"{source}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        self.output = done.stdout

    def run_python(self, source: str) -> None:
        """Run a block, with mem0's client where it needs it."""
        python: Path | None = Path(sys.executable)
        environment = self.environment
        if "from mem0 import" in source:
            python = mem0_python()
            environment = {name: value for name, value in environment.items() if name != "PYTHONPATH"}
        if python is None:  # its syntax has been checked; `make test-clients` comes here again with the client
            return
        key = self.environment["KEY"]
        source = source.replace('"KEY"', repr(key))
        self.run([str(python), "-c"], f"KEY = {key!r}\n{source}", environment)


def shape(value: Any) -> Any:
    """The fields and types of JSON, without the values."""
    if isinstance(value, dict):
        return {name: shape(one) for name, one in sorted(value.items())}
    if isinstance(value, list):
        return [shape(one) for one in value[:1]]
    return type(value).__name__


def check_syntax(language: str, source: str, folder: Path) -> None:
    """Parse a block of any language that can be parsed here."""
    if language == "bash":
        subprocess.run(["bash", "-n", "-c", source], check=True, timeout=BLOCK_S)
    elif language == "python":
        compile(source, "example", "exec")
    elif language == "json":
        json.loads(source)
    elif language == "toml":
        tomllib.loads(source)
    elif language == "ini":
        configparser.ConfigParser().read_string(source)
    elif language == "js" and (node := shutil.which("node")):
        file = folder / "example.mjs"
        file.write_text(source)
        subprocess.run([node, "--check", str(file)], check=True, timeout=BLOCK_S)


def has_examples(page: Path) -> bool:
    return any(block.runs and block.language in {"bash", "python"} for block in blocks(page))


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_examples_are_valid(page: Path, tmp_path: Path) -> None:
    for block in blocks(page):
        check_syntax(block.language, block.source, tmp_path)


@pytest.mark.parametrize("page", [*filter(has_examples, PAGES)], ids=name_of)
def test_the_examples_work(page: Path, house: House, tmp_path: Path) -> None:
    shell = Shell(house, tmp_path)
    for block in blocks(page):
        if block.language == "bash" and block.runs:
            shell.run(["bash", "-eu", "-o", "pipefail", "-c"], block.source)
        elif block.language == "python" and block.runs:
            shell.run_python(block.source)
        elif block.is_answer:
            assert shape(json.loads(shell.output)) == shape(json.loads(block.source)), block.place
