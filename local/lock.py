"""`make lock`: writes the lock files, which hold each package to a version and to the SHA-256 of every file of it.

Whoever changes a pin in pyproject.toml, in a `requirements*.txt` or in `locks/*.in` runs it and commits what it wrote.
Versions that are locked already stay, unless they are asked to change: `make lock ARGS="--upgrade-package urllib3"`.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["LOCKS", "Lock", "locked"]

ROOT = Path(__file__).parent.parent
#: The environment of the service on one machine; whatever else has a package of it has the same version.
PROJECT = "locks/project.txt"
_HEAD = "# Made by `make lock` (local/lock.py) from {inputs}. Do not edit.\n"


@dataclass(frozen=True, slots=True)
class Lock:
    """One lock file: what it is made from, and the oldest Python that installs it."""

    file: str
    inputs: tuple[str, ...]
    python: str = "3.11"
    options: tuple[str, ...] = ()

    @property
    def follows_project(self) -> bool:
        """Whether it takes its versions from the project's environment."""
        return not self.file.startswith("locks/")


def _tool(name: str, python: str = "3.11") -> Lock:
    """The environment of a tool, which has versions of its own."""
    return Lock(f"locks/{name}.txt", (f"locks/{name}.in",), python)


def _deployed(file: str, *inputs: str, options: tuple[str, ...] = ()) -> Lock:
    """What a layer or an image installs."""
    return Lock(file, inputs, "3.13", options)


_EMBEDDER = "embedder_container/requirements"
_COMPOSE = "local/compose"
_LAYERS = ("layers/dependencies/requirements.txt", "layers/mcp/requirements.txt")

LOCKS = (
    Lock(PROJECT, ("pyproject.toml", "locks/build.in"), options=("--extra", "test")),
    *(_deployed(file.replace(".txt", ".lock"), file) for file in _LAYERS),
    _deployed(f"{_EMBEDDER}.lock", f"{_EMBEDDER}.txt"),
    _deployed(f"{_EMBEDDER}-prepare.lock", f"{_EMBEDDER}.txt", f"{_EMBEDDER}-prepare.txt"),
    _deployed(f"{_EMBEDDER}-lambda.lock", f"{_EMBEDDER}.txt", f"{_EMBEDDER}-lambda.txt"),
    _deployed(f"{_COMPOSE}/app/requirements.lock", f"{_COMPOSE}/app/requirements.txt", *_LAYERS),
    # The package's binary alone runs there.
    _deployed(
        f"{_COMPOSE}/milvus-lite/requirements.lock",
        f"{_COMPOSE}/milvus-lite/requirements.txt",
        options=("--no-deps",),
    ),
    _tool("audit"),
    _tool("client-agent-framework-mem0-1.0.0b261015"),
    _tool("client-fastmcp-4.2.3"),
    _tool("client-langchain-mcp-adapters-0.3.2"),
    _tool("client-llama-index-memory-mem0-2.1.0"),
    _tool("client-mcp-1.30.0"),
    _tool("client-mcp-2.3.0"),
    _tool("client-mem0-cli-0.2.13"),
    _tool("client-openai-agents-0.24.0"),
    _tool("client-py-0.1.118"),
    _tool("client-py-1.0.11"),
    _tool("client-py-2.2.1"),
    _tool("client-schemathesis-4.32.5"),
    _tool("console"),
    _tool("docs", "3.11.5"),
    _tool("load"),
    _tool("lock"),
    _tool("milvus3"),
    _tool("sam"),
    _tool("scan"),
)


def locked(file: Path) -> dict[str, tuple[str, frozenset[str]]]:
    """The packages of a lock file: their versions and digests, by name."""
    found: dict[str, tuple[str, frozenset[str]]] = {}
    for entry in file.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        requirement, *digests = entry.split("--hash=sha256:")
        if not requirement.strip() or requirement.startswith("#"):
            continue
        name, _, version = requirement.partition(";")[0].strip().partition("==")
        found[name] = (version, frozenset(digest.strip() for digest in digests))
    return found


def main(arguments: list[str]) -> int:
    """Write all lock files; further arguments are uv's."""
    for lock in LOCKS:
        print(lock.file, flush=True)
        if failed := _compile(lock, arguments):
            return failed
    return 0


def _compile(lock: Lock, arguments: list[str]) -> int:
    command = [str(Path(sys.executable).parent / "uv"), "pip", "compile", "--quiet", "--native-tls", "--universal"]
    command += ["--generate-hashes", "--no-header", "--no-annotate", "--python-version", lock.python, *lock.options]
    command += ["--constraint", PROJECT] if lock.follows_project else []
    command += [*arguments, "--output-file", lock.file, *lock.inputs]
    done = subprocess.run(command, cwd=ROOT, check=False)
    if done.returncode == 0:
        file = ROOT / lock.file
        text = "".join(line for line in file.read_text(encoding="utf-8").splitlines(True) if not line.startswith("#"))
        file.write_text(_HEAD.format(inputs=", ".join(lock.inputs)) + text, encoding="utf-8")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
