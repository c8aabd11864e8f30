"""A command or the service dies after any step of an import or export: in the end all is there once."""

from __future__ import annotations

import contextlib
import multiprocessing
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from forgetless.adapters.clock import SystemClock
from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.cli.service import RemoteExports, RemoteImports, Service
from forgetless.domain.bulk_jobs import BULK_JOB, BulkJob
from forgetless.domain.errors import DependencyError
from forgetless.domain.jobs import Job, JobState
from forgetless.domain.keys import ApiKey, Role, key_hash
from forgetless.domain.memory import Event, EventKind, Memory, Message, MessageRef
from forgetless.domain.scope import Scope
from forgetless.ports.ledger import Ledger
from forgetless.service.transfer.event_export import EventExport
from tests.dynamo_server import DynamoServer
from tests.faults.ledgers import NewLedger, OpenLedger, dynamodb_ledgers, half_written, ledgers
from tests.faults.processes import PROCESSES
from tests.faults.transfer_process import DIED, TENANT, Order, command, run_command, serve_service

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

KEY = "key-of-the-administrator"
#: Seconds that a process may take on a busy machine.
PATIENCE_S = 120.0
#: moto is slow, so over DynamoDB a process dies only after every so many steps.
DYNAMODB_STRIDE = 8


@pytest.fixture(params=["sqlite", "dynamodb"])
def new_ledger(request: pytest.FixtureRequest) -> Iterator[NewLedger]:
    if request.param == "sqlite":
        with ledgers("sqlite") as new:
            yield new
        return
    server: DynamoServer = request.getfixturevalue("dynamo_server")
    with dynamodb_ledgers(server) as new:
        yield new


def fill(ledger: Ledger) -> None:
    """Two adds, one with a memory that was changed twice, and a memory that was deleted."""
    scope = Scope(TENANT, user_id="alice")
    for number in range(2):
        at = f"2026-01-01T00:00:0{number}.000000+00:00"
        id_, job_id = f"memory-{number}", f"00000000-0000-0000-0000-00000000000{number}"
        first = Memory(id_, 1, scope, f"fact {number} {'x' * 300}", at, at, job_id, event_id=f"event-{number}-1")
        events = [Event(EventKind.ADD, first)]
        for version in (2, 3) if number == 0 else (2,):
            kind = EventKind.UPDATE if number == 0 else EventKind.DELETE
            changed = Memory(
                id_, version, scope, f"changed {version}", at, at, job_id, event_id=f"event-{number}-{version}",
                deleted=number == 1,
            )  # fmt: skip
            events.append(Event(kind, changed))
        job = Job(job_id, scope, JobState.SUCCEEDED, at, at, results=({"id": id_, "event": "ADD"},))
        ledger.append(events, completing=job, messages=[Message(MessageRef(job_id, 0), scope, "user", "said", at)])


def exported(ledger: Ledger) -> bytes:
    return b"".join(portion.lines for portion in EventExport(ledger=ledger).portions(TENANT))


def ended(ledger: Ledger) -> list[tuple[str, JobState, int]]:
    found, _ = ledger.documents(TENANT, BULK_JOB, limit=9)
    return [(job.kind.value, job.state, job.done) for job in map(BulkJob.of, found)]


class Scenario:
    """A source, the file of its export, and a new ledger for each import."""

    def __init__(self, folder: Path, new_ledger: NewLedger, name: str) -> None:
        self._folder, self._new, self.name = folder, new_ledger, name
        folder.mkdir(exist_ok=True)
        (folder / "source").mkdir()
        self._source = new_ledger(folder / "source")
        ledger = self._source()
        fill(ledger)
        self._stride = 1 if isinstance(ledger, SqliteLedger) else DYNAMODB_STRIDE
        self.lines = exported(ledger)
        ledger.close()
        self._runs = 0

    def order(self) -> Order:
        """A command that nothing has been done for yet."""
        self._runs += 1
        folder = self._folder / str(self._runs)
        folder.mkdir()
        if self.name == "export":
            return Order("export", folder / "file.jsonl", self._source)
        (folder / "file.jsonl").write_bytes(self.lines)
        return Order("import", folder / "file.jsonl", self._new(folder))

    def chosen(self, steps: list[str]) -> list[tuple[int, str]]:
        """The steps after which a process dies, each with its number."""
        return list(enumerate(steps, 1))[:: self._stride]

    def is_whole(self, order: Order) -> bool:
        """Whether everything is there once, in ledger or file, and nothing else is left."""
        ledger = order.open_ledger()
        kind, state, done = ended(ledger)[0]
        whole = (kind, state, half_written(ledger)) == (self.name, JobState.SUCCEEDED, 0)
        if self.name == "import":
            whole &= exported(ledger) == self.lines and done == self.lines.count(b"\n") and len(ended(ledger)) == 1
        else:
            whole &= order.file.read_bytes() == self.lines
        ledger.close()
        return whole and [path.name for path in order.file.parent.glob("file*")] == ["file.jsonl"]


@pytest.mark.parametrize("name", ["import", "export"])
def test_a_command_that_dies_after_any_step_goes_on_where_it_was(
    tmp_path: Path, new_ledger: NewLedger, name: str
) -> None:
    scenario = Scenario(tmp_path, new_ledger, name)
    order = scenario.order()
    steps = run_command(order, None)
    assert scenario.is_whole(order)
    assert len(steps) > 10
    harmed = []
    for number, step in scenario.chosen(steps):
        order = scenario.order()
        process = PROCESSES.Process(target=run_command, args=(order, number), daemon=True)
        process.start()
        process.join(PATIENCE_S)
        assert process.exitcode == DIED, step
        run_command(order, None)
        if not scenario.is_whole(order):
            harmed.append((number, step))
    assert harmed == []


@pytest.mark.parametrize("name", ["import", "export"])
def test_a_service_that_dies_after_any_step_is_asked_again(tmp_path: Path, new_ledger: NewLedger, name: str) -> None:
    scenario = Scenario(tmp_path, new_ledger, name)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for _ in range(2):  # In a ledger that has served before, the first use of the key is no step.
            order = scenario.order()
            put_key(order.open_ledger)
            with server(order.open_ledger, listener, None) as steps:
                ask(order, listener)
            assert scenario.is_whole(order)
        assert len(steps) >= 4
        harmed = []
        for number, step in scenario.chosen(steps):
            order = scenario.order()
            put_key(order.open_ledger)
            # It notes the last request for the audit list after its answer.
            with server(order.open_ledger, listener, number), contextlib.suppress(DependencyError):
                ask(order, listener)
            with server(order.open_ledger, listener, None):
                ask(order, listener)
            if not scenario.is_whole(order):
                harmed.append((number, step))
    assert harmed == []


def put_key(open_ledger: OpenLedger) -> None:
    ledger = open_ledger()
    at = "2026-01-01T00:00:00.000000+00:00"
    ledger.put_key(ApiKey(key_hash(KEY), TENANT, Role.ADMIN, at))
    ledger.close()


def ask(order: Order, listener: socket.socket) -> None:
    """Run the command against the service."""
    # The listener outlives its service, so a request may wait where nobody answers.
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    service = Service(url, KEY, clock=SystemClock(), patience_s=0.0, timeout_s=10.0)
    try:
        command(order.name, order.file, RemoteExports(service) if order.name == "export" else RemoteImports(service))
    finally:
        service.close()


@contextmanager
def server(open_ledger: OpenLedger, listener: socket.socket, die_at: int | None) -> Iterator[list[str]]:
    """Run the service in a process. Gives a list, which holds its steps when the process was ended here."""
    steps: list[str] = []
    ours, theirs = multiprocessing.Pipe()
    process = PROCESSES.Process(target=serve_service, args=(open_ledger, listener, die_at, theirs), daemon=True)
    process.start()
    theirs.close()
    assert ours.poll(PATIENCE_S)
    assert ours.recv() == "ready"
    try:
        yield steps
    finally:
        if die_at is None:
            ours.send("end")
            assert ours.poll(PATIENCE_S)
            steps += ours.recv()
        process.join(PATIENCE_S)
        assert process.exitcode == (0 if die_at is None else DIED)
        ours.close()
