"""`make versus-mem0` starts both servers, adds the same memories to both, measures them in turn, and reports."""

from __future__ import annotations

import argparse
import os
import random
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from local.client import Client, Connection
from local.loadtest import preload as preloading
from local.loadtest.conversation_texts import LANGUAGES, turn
from local.loadtest.preload import Preload
from local.loadtest.result_files import head
from local.loadtest.scenario import search_body
from local.loadtest.scratch_service import ScratchService, scratch_service, scratch_uvicorn
from local.loadtest.versus.comparison_report import FUNCTIONS, MEM0, UVICORN, versus_report
from local.loadtest.versus.mem0_server import Mem0, mem0_python, mem0_server
from local.loadtest.versus.rounds import Contestant, Round, run_rounds, standings
from local.results.result import Result, new_folder
from local.up.record import read_record

__all__ = ["add_options", "loads_over", "pids_of", "versus"]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    add = parser.add_argument
    add("mem0", type=Path, help="a checkout of mem0 (its folder server is what runs)")
    add("--memories", type=int, default=1000, help="memories that both have before the load (default %(default)s)")
    add("--clients", type=int, nargs="+", default=[1, 8, 32], help="clients without think time (default 1 8 32)")
    add("--rounds", type=int, default=3, help="rounds of each load, alternating (default %(default)s)")
    add("--seconds", type=float, default=5.0, help="seconds of a round (default %(default)s)")
    add("--out", type=Path, default=Path("load-results"), help="where results go (default %(default)s)")


def versus(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Measure and report; raises ToolError."""
    console, python = Console(), mem0_python(environment)
    preload = Preload(options.memories, users=10, batch=20)
    with tempfile.TemporaryDirectory(prefix="versus-", ignore_cleanup_errors=True) as scratch, ExitStack() as running:
        with console.status("starting both servers"):
            own = running.enter_context(scratch_service(Path(scratch) / "forgetless"))
            # This must happen before `up` removes the file of its functions' settings.
            uvicorn = running.enter_context(scratch_uvicorn(own, Path(scratch)))
            folder = Path(scratch) / "mem0"
            folder.mkdir()
            Path(scratch).chmod(0o711)
            mem0 = running.enter_context(mem0_server(options.mem0.resolve(), folder, python=python, service=own))
        _fill(console, "Forgetless", own.connection, preload)
        _fill(console, "mem0", mem0.connection, preload)
        contestants = _contestants(own, mem0, uvicorn)
        rounds = run_rounds(
            contestants, loads_over(preload), clients=options.clients, rounds=options.rounds, seconds=options.seconds,
            progress=lambda one: console.print(_line(one), soft_wrap=True),
        )  # fmt: skip
        with Client(own.connection) as client:
            found = head(client, memories=options.memories, rounds=options.rounds, seconds=options.seconds)
    lines = standings(rounds, [one.name for one in contestants])
    out = new_folder(options.out, "versus-mem0")
    found |= {"load_average_after": round(os.getloadavg()[0], 2)}
    result = Result("versus mem0", {"head": found, "rounds": rounds, "standings": lines})
    report = versus_report(found, lines)
    console.print(f"report: {result.save_report(out, report)}")
    console.print((out / "report.md").read_text(encoding="utf-8"), markup=False, highlight=False)
    return 1 if any(one.errors for one in lines) else 0


def _fill(console: Console, name: str, connection: Connection, preload: Preload) -> None:
    with Client(connection) as client, console.status(f"{name}: adding {preload.memories:,} memories"):
        preloading.load(client, preload, lambda _: None, empty=True)


def loads_over(preload: Preload) -> dict[str, Iterator[Mapping[str, object]]]:
    """Return endless searches and verbatim adds of the preload's users; no add comes twice."""
    return {"search": _searches(preload.names), "add": _adds(preload.names)}


def _searches(users: Sequence[str]) -> Iterator[Mapping[str, object]]:
    chance = random.Random(4)
    while True:
        yield search_body(chance, chance.choice(users))


def _adds(users: Sequence[str]) -> Iterator[Mapping[str, object]]:
    chance = random.Random(5)
    while True:
        said = [{"role": "user", "content": turn(chance, chance.choice(LANGUAGES))}]
        yield {"messages": said, "user_id": chance.choice(users), "infer": False}


def pids_of(own: ScratchService) -> dict[str, int]:
    """Return the pids of our service by part."""
    record = read_record(own.state)
    assert record is not None, "our own service runs"
    return {name: identity.pid for name, identity in record.parts.items()}


def _contestants(own: ScratchService, mem0: Mem0, uvicorn: tuple[Connection, int]) -> list[Contestant]:
    """Return the contestants. The shared embedder counts for the one that is being measured."""
    parts = pids_of(own)
    shared = parts["embedder"]
    connection, pid = uvicorn
    return [
        Contestant(MEM0, mem0.connection, (*mem0.pids.values(), shared)),
        Contestant(FUNCTIONS, own.connection, (parts["gateway"], parts["milvus"], shared)),
        Contestant(UVICORN, connection, (pid, parts["milvus"], shared)),
    ]


def _line(one: Round) -> str:
    result = one.result
    return (
        f"{one.what:6} {one.clients:3} clients  {one.contestant:22} {result.per_second:7.1f} req/s  "
        f"P99 {result.p99_ms:7.1f} ms  {one.cpu_ms:6.1f} ms CPU  {one.memory / 2**20:5.0f} MB  {result.errors} errors"
    )
