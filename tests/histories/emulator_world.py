"""The world in which `make up` runs the service: gateway, functions, queue, embedder, Milvus Lite and SQLite."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from local.up.identity import Identity, descendants
from local.up.record import read_record
from tests.histories.disk import Disk, foreign_faults
from tests.histories.emulator_faults import QUEUE_TOKEN, QueueMeddler, function_faults, queue_settings
from tests.histories.faults import Fault, background, of_others, of_process
from tests.histories.processes import Process, answers, wait_until
from tests.histories.world import OURS, Checkout, World, free_port

__all__ = ["EmulatorWorld"]

#: `up` waits longer each time before it restarts a part that lived shorter than this, so parts are killed more rarely.
_STEADY_S = 60.0


class EmulatorWorld(World):
    """`python -m local.up up` on a state folder and ports of its own; only the LLM is scripted."""

    name = "emulator"
    queued = True

    def __init__(self, folder: Path, checkout: Checkout) -> None:
        super().__init__(folder, checkout)
        self._disk = Disk(folder / "state")
        self._port, self._embedder_port, self._queue_port, self._llm_port = (free_port() for _ in range(4))
        self._meddler = QueueMeddler(self._queue_port)
        self._killed_at: dict[str, float] = {}
        self._parts: list[Process] = []

    def start(self) -> None:
        try:
            self._disk.mount()
            self._share_models()
            llm = self.scripted_llm(self._llm_port)
            up = self.process("up", "local.up", "up", ready=partial(answers, f"{self.urls()[0]}/health"))
            self._parts = [llm, up]
            self.recover()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        for part in reversed(self._parts):
            part.stop()
        self._parts = []
        self._disk.unmount()

    def restart(self, *, rudely: bool) -> None:
        if rudely:
            # The processes of `up` end with it, as after the kill of a container.
            self._up.kill()
        else:
            self._up.stop()
        wait_until(lambda: not self._left(), "nothing of the last `up` is left")
        self.recover()

    def recover(self) -> None:
        for part in self._parts:
            part.start()
        for part in self._parts:
            part.wait_ready()

    def urls(self) -> Sequence[str]:
        return [f"http://127.0.0.1:{self._port}"]

    def settings(self) -> dict[str, str]:
        """Of `up` at first; once it runs, what it gives its functions, for the command line beside it."""
        handed = self._state / "functions.env.json"
        given = {
            "FORGETLESS_STATE": str(self._state),
            "FORGETLESS_PORT": str(self._port),
            "FORGETLESS_EMBEDDER_PORT": str(self._embedder_port),
            "FORGETLESS_QUEUE_PORT": str(self._queue_port),
            "FORGETLESS_METRICS_PORT": "0",
            "FORGETLESS_ENVIRONMENTS": "2",
            "OPENAI_BASE_URL": f"http://127.0.0.1:{self._llm_port}/v1",
            "OPENAI_API_KEY": "scripted",
            "EMULATOR_QUEUE_TOKEN": QUEUE_TOKEN,
            # The checker expects that what the LLM names is superseded, near or not.
            "FORGETLESS_SUPERSEDE_NEARNESS": "-1",
        }
        if handed.exists():
            given |= json.loads(handed.read_text(encoding="utf-8"))["Parameters"]
            given |= queue_settings(self._queue_port)
        return given

    def marker(self) -> tuple[str, ...]:
        return ("--marker", str(self._state / "milvus" / "collection"))

    def queued_job(self, tenant: str, job_id: str) -> None:
        self._meddler.tell(tenant, job_id)

    def faults(self) -> Sequence[Fault]:
        llm = self._parts[0]
        faults = function_faults(self._up.below) + of_process(llm) + self._meddler.faults()
        faults += of_others("milvus' binary", partial(self._below, "milvus"))
        for name in ("gateway", "embedder", "milvus"):
            faults += self._of_part(name)
        command = [self._cli("keys", "list"), self._cli("check", *self.marker())]
        command += [self._cli("export", "--out", str(self.folder / "export.jsonl"))]
        command += [self._cli("backup", str(self.backups))]
        foreign = foreign_faults(self._state / "ledger.db", self.folder / "logs" / "foreign-hands.log")
        return [*faults, *command, self._reindex(), *foreign, *self._disk.faults()]

    @property
    def _state(self) -> Path:
        return self._disk.folder

    @property
    def _up(self) -> Process:
        return self._parts[1]

    def _of_part(self, name: str) -> list[Fault]:
        kill, pause = of_others(name, partial(self._part, name), weight=0.5)
        return [Fault(kill.name, name, self._rarely(name, kill.begin), weight=0.5), pause]

    def _rarely(self, name: str, kill: Callable[[], None]) -> Callable[[], None]:
        def begin() -> None:
            if time.monotonic() - self._killed_at.get(name, 0.0) > _STEADY_S:
                self._killed_at[name] = time.monotonic()
                kill()

        return begin

    def _part(self, name: str) -> list[Identity]:
        record = read_record(self._state)
        found = record.parts.get(name) if record else None
        return [found] if found is not None and found.alive() else []

    def _below(self, name: str) -> list[Identity]:
        return [below for part in self._part(name) for below in descendants(part)]

    def _left(self) -> list[Identity]:
        record = read_record(self._state)
        parts = list(record.parts.values()) if record else []
        return [part for part in parts if part.alive()]

    def _cli(self, *arguments: str) -> Fault:
        command, environment = self.command("forgetless.cli", *arguments)
        log = self.folder / "logs" / "command-line.log"
        return background(f"forgetless {arguments[0]}", command, environment, cwd=self.checkout.root, log=log)

    def _reindex(self) -> Fault:
        command, environment = self.command("local.up", "reindex")
        log = self.folder / "logs" / "command-line.log"
        return background("make reindex", command, environment, cwd=self.checkout.root, log=log)

    def _share_models(self) -> None:
        """Use the prepared embedding model of this machine."""
        models = OURS / ".forgetless" / "models"
        if models.is_dir() and not (self._state / "models").exists():
            (self._state / "models").symlink_to(models)
