"""A world: the service in one of its forms, with everything it needs, in a folder of its own."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tests.histories.answer_states import event_of_export
from tests.histories.faults import Fault
from tests.histories.history import EventSeen
from tests.histories.processes import PATIENCE_S, Process, WorldError, answers

__all__ = ["OURS", "Checkout", "Settled", "Tenant", "World", "free_port"]

#: The checkout that this file is part of.
OURS = Path(__file__).resolve().parents[2]
#: Seconds that a command of the command line may take beside everything else.
_COMMAND_S = 90.0
#: How the command line ends that is older than an option.
_UNKNOWN_OPTION = 2


@dataclass(frozen=True, slots=True)
class Checkout:
    """The code under test: a checkout and the Python that runs it; the harness beside it is always ours."""

    root: Path = OURS
    python: str = sys.executable

    def environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        """Settings for its processes, and nothing of what the caller has configured for a service of his own."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_OURS)}
        code = [self.root / "layers" / "core" / "python", self.root, self.root / "embedder_container", OURS]
        return kept | {"PYTHONPATH": os.pathsep.join(map(str, code)), "POWERTOOLS_LOG_LEVEL": "WARNING", **settings}


_NOT_OURS = ("FORGETLESS_", "OPENAI_", "AWS_", "EMBEDDING_")


@dataclass(frozen=True, slots=True)
class Tenant:
    """Whose memories an episode is about, and an administrator's key for them."""

    name: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Settled:
    """What ledger and index hold of a tenant by themselves: `open_jobs` and `pending` are what is still to be done."""

    open_jobs: int
    pending: int
    #: Memory id, version, md5 of the text of every row of the index, doubles too.
    rows: tuple[tuple[str, int, str], ...]
    #: All events by memory id.
    ledger: Mapping[str, list[EventSeen]]


class World(ABC):
    """The service as its clients see it, and how it can be hurt; used by the main thread alone."""

    name: str
    #: Whether jobs are worked off from a queue, so that an accepted add must come to an end.
    queued: bool

    def __init__(self, folder: Path, checkout: Checkout) -> None:
        self.folder = folder
        self.checkout = checkout
        self.backups = folder / "backups"
        self.backups.mkdir()

    @abstractmethod
    def start(self) -> None:
        """Start every part; raises WorldError, and then nothing is left running."""

    @abstractmethod
    def stop(self) -> None:
        """End every part."""

    @abstractmethod
    def restart(self, *, rudely: bool) -> None:
        """End and start again every process that answers clients or writes; `rudely` by SIGKILL."""

    @abstractmethod
    def recover(self) -> None:
        """After the last fault: whatever is not there is started again; returns when the service is healthy."""

    @abstractmethod
    def faults(self) -> Sequence[Fault]:
        """What can befall it."""

    @abstractmethod
    def urls(self) -> Sequence[str]:
        """Where clients may ask."""

    @abstractmethod
    def settings(self) -> dict[str, str]:
        """What its processes and its command line are configured with."""

    def queued_job(self, tenant: str, job_id: str) -> None:
        """Hear of a job that was queued; may be called by any thread."""
        del tenant, job_id  # a world without a queue has no use for it

    def new_tenant(self, name: str) -> Tenant:
        """Register a key for a tenant, as an operator does it beside the running service."""
        tenant = Tenant(name, f"fgl_{secrets.token_urlsafe(32)}")
        file = self.folder / f"key-{name}"
        file.write_text(tenant.key, encoding="utf-8")
        self.run("forgetless.cli", "keys", "add", "--tenant", name, "--admin", "--key-file", str(file))
        return tenant

    def settle(self, tenant: Tenant, *, seconds: float) -> Settled:
        """What the tenant has, at rest if it comes to rest within `seconds`."""
        said = self.run("tests.histories.store_contents", tenant.name, "--seconds", str(seconds), *self._needs_queue())
        found: dict[str, Any] = json.loads(said.splitlines()[-1])
        rows = tuple((str(id_), int(version), str(hash_)) for id_, version, hash_ in found["rows"])
        ledger: dict[str, list[EventSeen]] = {}
        for line in found["events"]:
            event = event_of_export(line)
            if event is not None:
                ledger.setdefault(event["id"], []).append(event)
        return Settled(found["open_jobs"], found["pending"], rows, ledger)

    def check(self) -> str:
        """What `forgetless check` finds wrong, of all tenants; empty when all is sound."""
        done = self._ran("forgetless.cli", "check", "--thorough", *self.marker())
        return "" if done.returncode in {0, _UNKNOWN_OPTION} else f"{done.stdout}\n{done.stderr}".strip()

    def note_index(self) -> None:
        """Note what the index is made from, as every start of `make up` does."""
        self._ran("forgetless.cli", "reindex", "--if-needed", *self.marker())

    def marker(self) -> tuple[str, ...]:
        """Where the command line finds what the index was made from."""
        return ("--marker", str(self.folder / "milvus" / "collection"))

    def command(self, module: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
        """A module of the code under test as a command line, and its environment."""
        return [self.checkout.python, "-m", module, *arguments], self.checkout.environment(self.settings())

    def run(self, module: str, *arguments: str) -> str:
        """Run a module of the code under test to its end; what it printed. Raises WorldError."""
        done = self._ran(module, *arguments)
        if done.returncode:
            said = f"{module} {' '.join(arguments)}"
            raise WorldError(f"{said} ended with {done.returncode}: {done.stderr.strip()[-500:]}")
        return done.stdout

    def _ran(self, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command, environment = self.command(module, *arguments)
        return subprocess.run(
            command,
            cwd=self.checkout.root,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S + _COMMAND_S,
            check=False,
        )

    def process(self, name: str, module: str, *arguments: str, **options: Any) -> Process:
        """A process of the code under test, not started yet."""
        command, environment = self.command(module, *arguments)
        log = self.folder / "logs" / f"{name}.log"
        log.parent.mkdir(exist_ok=True)
        return Process(name, command, environment=environment, log=log, cwd=self.checkout.root, **options)

    def scripted_llm(self, port: int) -> Process:
        """The LLM at a port."""
        where = ("--port", str(port), "--log", str(self.llm_log))
        ready = partial(answers, f"http://127.0.0.1:{port}/")
        return self.process("llm", "tests.histories.providers", "llm", *where, ready=ready)

    @property
    def llm_log(self) -> Path:
        """What the LLM has named superseded."""
        return self.folder / "llm-named.jsonl"

    def _needs_queue(self) -> tuple[str, ...]:
        return ("--jobs",) if self.queued else ()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
