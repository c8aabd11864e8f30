"""The worlds under uvicorn: several servers over one ledger, SQLite with a sweep or DynamoDB with functions."""

from __future__ import annotations

import json
import socket
import sys
import sysconfig
from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tests.histories.disk import Disk, foreign_faults
from tests.histories.dynamo import Disorder, disturb
from tests.histories.emulator_faults import QueueMeddler, function_faults, queue_settings
from tests.histories.faults import Fault, background, of_others, of_process
from tests.histories.processes import Process, answers, wait_until
from tests.histories.providers import DIMENSIONS
from tests.histories.world import Checkout, World, free_port

__all__ = ["DynamoWorld", "SqliteWorld"]

#: Oftener than in production, where it is a minute: what it does beside writers is under test too.
_SWEEP_EVERY_S = "2"
#: A sweep that is not there for long: its one connection, which keeps its lock, must not shield the servers' own.
_AWAY_S = 10.0
_TABLE = "ledger"


class UvicornWorld(World):
    """Milvus Lite, scripted embedder and LLM, and two servers, each at a port of its own so that it can be asked."""

    def __init__(self, folder: Path, checkout: Checkout, *, servers: int = 2) -> None:
        super().__init__(folder, checkout)
        self._ports = [free_port() for _ in range(servers)]
        self._embedder_port, self._llm_port = free_port(), free_port()
        self._parts: list[Process] = []
        self._servers: list[Process] = []

    @abstractmethod
    def ledger_settings(self) -> dict[str, str]:
        """Which ledger it is."""

    def begin(self) -> None:
        """What must be there before any process of the service."""

    def beside(self) -> list[Process]:
        """What works beside the servers."""
        return []

    def start(self) -> None:
        try:
            self.begin()
            self._servers = [self._server(number, port) for number, port in enumerate(self._ports, 1)]
            outside = [self._milvus(), self._embedder(), self.scripted_llm(self._llm_port)]
            self._parts = [*outside, *self.beside(), *self._servers]
            self.recover()
            self.note_index()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        for part in reversed(self._parts):
            part.stop()
        self._parts = []

    def restart(self, *, rudely: bool) -> None:
        outside = {"milvus", "embedder", "llm"}
        ended = [part for part in self._parts if part.name not in outside]
        for part in ended:
            part.kill() if rudely else part.stop()
        self.recover()

    def recover(self) -> None:
        for part in self._parts:
            part.start()
        for part in self._parts:
            part.wait_ready()

    def urls(self) -> Sequence[str]:
        return [f"http://127.0.0.1:{port}" for port in self._ports]

    def settings(self) -> dict[str, str]:
        return self.ledger_settings() | {
            "FORGETLESS_MILVUS_URI": f"unix:{self._socket}",
            "FORGETLESS_EMBEDDER_URL": f"http://127.0.0.1:{self._embedder_port}",
            "FORGETLESS_EMBEDDING_MODEL": "scripted",
            "FORGETLESS_EMBEDDING_DIMENSIONS": str(DIMENSIONS),
            "OPENAI_BASE_URL": f"http://127.0.0.1:{self._llm_port}/v1",
            "OPENAI_API_KEY": "scripted",
            # The checker expects that what the LLM names is superseded, near or not.
            "FORGETLESS_SUPERSEDE_NEARNESS": "-1",
        }

    def faults(self) -> Sequence[Fault]:
        by_name = {part.name: part for part in self._parts}
        faults = [fault for server in self._servers for fault in of_process(server, weight=2.0)]
        faults += [fault for name in ("embedder", "llm") for fault in of_process(by_name[name])]
        faults += of_process(by_name["milvus"], weight=0.5) + of_others("milvus' binary", by_name["milvus"].below)
        faults += [self._cli("keys", "list"), *(self._cli(verb, *self.marker()) for verb in ("check", "reindex"))]
        return [*faults, self._cli("export", "--out", str(self.folder / "export.jsonl"))]

    @property
    def _socket(self) -> Path:
        return self.folder / "milvus.sock"

    def _milvus(self) -> Process:
        where = ("--data", str(self.folder / "milvus"), "--socket", str(self._socket))
        return self.process("milvus", "local.milvus", *where, ready=partial(_accepts, self._socket))

    def _embedder(self) -> Process:
        ready = partial(answers, f"http://127.0.0.1:{self._embedder_port}/")
        where = ("--port", str(self._embedder_port))
        return self.process("embedder", "tests.histories.providers", "embedder", *where, ready=ready)

    def _server(self, number: int, port: int) -> Process:
        return self.process(
            f"server-{number}", "uvicorn", "--factory", "forgetless.asgi:create", "--host", "127.0.0.1",
            "--port", str(port), "--log-level", "warning", "--no-access-log",
            ready=partial(answers, f"http://127.0.0.1:{port}/health"),
        )  # fmt: skip

    def _cli(self, *arguments: str) -> Fault:
        command, environment = self.command("forgetless.cli", *arguments)
        log = self.folder / "logs" / "command-line.log"
        return background(f"forgetless {arguments[0]}", command, environment, cwd=self.checkout.root, log=log)


class SqliteWorld(UvicornWorld):
    """Over SQLite's file, on a disk that may be full; without a queue, so that every add is done inline."""

    name = "sqlite"
    queued = False

    def __init__(self, folder: Path, checkout: Checkout) -> None:
        super().__init__(folder, checkout)
        self._disk = Disk(folder / "disk")

    def begin(self) -> None:
        self._disk.mount()

    def beside(self) -> list[Process]:
        return [self.process("sweep", "tests.histories.sweeper", "--every", _SWEEP_EVERY_S)]

    def stop(self) -> None:
        super().stop()
        self._disk.unmount()

    def ledger_settings(self) -> dict[str, str]:
        return {"FORGETLESS_LEDGER": "sqlite", "FORGETLESS_LEDGER_PATH": str(self._ledger)}

    def faults(self) -> Sequence[Fault]:
        sweep = next(part for part in self._parts if part.name == "sweep")
        foreign = foreign_faults(self._ledger, self.folder / "logs" / "foreign-hands.log")
        backup = self._cli("backup", str(self.backups))
        return [*super().faults(), *of_process(sweep, away=_AWAY_S), backup, *foreign, *self._disk.faults()]

    @property
    def _ledger(self) -> Path:
        return self._disk.folder / "ledger.db"


class DynamoWorld(UvicornWorld):
    """Over DynamoDB (moto behind a door that can be disturbed), with queue, ingest and sweep as emulated functions."""

    name = "dynamodb"
    queued = True

    def __init__(self, folder: Path, checkout: Checkout, *, seed: int) -> None:
        super().__init__(folder, checkout)
        self._gateway_port, self._queue_port = free_port(), free_port()
        self._meddler = QueueMeddler(self._queue_port)
        self._dynamo_url = ""
        command = [sys.executable, "-m", "tests.histories.dynamo", "--table", _TABLE, "--seed", str(seed)]
        log = folder / "logs" / "dynamodb.log"
        log.parent.mkdir(exist_ok=True)
        self._dynamo = Process("dynamodb", command, environment=checkout.environment({}), log=log, cwd=checkout.root)

    def begin(self) -> None:
        self._dynamo.start()
        wait_until(lambda: b'"url"' in self._dynamo.log.read_bytes(), "moto answers", self._dynamo.log)
        lines = self._dynamo.log.read_text(encoding="utf-8").splitlines()
        self._dynamo_url = json.loads(next(line for line in lines if '"url"' in line))["url"]

    def beside(self) -> list[Process]:
        handed = self.folder / "functions.env.json"
        handed.write_text(json.dumps({"Parameters": self.settings()}), encoding="utf-8")
        return [
            self.process(
                "emulator", "local.emulator", "--template", str(self.checkout.root / "template.yaml"),
                "--state", str(self.folder / "emulator"), "--port", str(self._gateway_port),
                "--queue-port", str(self._queue_port), "--env-vars", str(handed), "--max-environments", "2",
                *self._packages(),
                ready=partial(answers, f"http://127.0.0.1:{self._queue_port}/_emulator/status"),
            )
        ]  # fmt: skip

    def _packages(self) -> list[str]:
        """Give functions the packages of this environment, unless the checkout's emulator gives them by itself."""
        source = (self.checkout.root / "local" / "emulator" / "__main__.py").read_text(encoding="utf-8")
        return ["--packages", sysconfig.get_paths()["purelib"]] if "--packages" in source else []

    def stop(self) -> None:
        super().stop()
        self._dynamo.stop()

    def urls(self) -> Sequence[str]:
        return [*super().urls(), f"http://127.0.0.1:{self._gateway_port}"]

    def queued_job(self, tenant: str, job_id: str) -> None:
        self._meddler.tell(tenant, job_id)

    def ledger_settings(self) -> dict[str, str]:
        return {
            "FORGETLESS_LEDGER": "dynamodb",
            "FORGETLESS_LEDGER_TABLE": _TABLE,
            "FORGETLESS_ERASURES_TABLE": f"{_TABLE}-erasures",
            **queue_settings(self._queue_port),
            "AWS_ENDPOINT_URL_DYNAMODB": self._dynamo_url,
        }

    def faults(self) -> Sequence[Fault]:
        kinds = {
            "throttled": Disorder(throttled=0.4),
            "failing": Disorder(failed=0.3),
            "losing answers": Disorder(lost=0.3),
            "slow": Disorder(slow_s=0.02),
            "in disorder": Disorder(throttled=0.1, failed=0.1, lost=0.1),
        }
        emulator = next(part for part in self._parts if part.name == "emulator")
        disorders = [self._disorder(name, kind) for name, kind in kinds.items()]
        paused = [fault for fault in of_process(self._dynamo) if fault.name.startswith("pause")]
        functions = function_faults(emulator.below)
        return [
            *super().faults(), *disorders, *paused, *of_process(emulator, weight=0.5), *functions,
            *self._meddler.faults(),
        ]  # fmt: skip

    def _disorder(self, name: str, disorder: Disorder) -> Fault:
        begin, end = partial(disturb, self._dynamo_url, disorder), partial(disturb, self._dynamo_url, Disorder())
        return Fault(f"DynamoDB {name}", "dynamodb", begin, end, 0.5, 3.0, 2.0)


def _accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
