"""Running: one load against one service, from its plan to its recording."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from local.client import Client, Connection
from local.loadtest.driving import drive
from local.loadtest.preload import Preload
from local.loadtest.progress import LoadView
from local.loadtest.recording import Recording, head, read_recording, write_head
from local.loadtest.report.peer import read_figures
from local.loadtest.scenario import Plan, request_bodies, write

__all__ = ["Target", "run_load"]


@dataclass(frozen=True, slots=True)
class Target:
    """The service under load; `state` is where its processes can be found, if they run on this machine."""

    client: Client
    connection: Connection
    state: Path | None


def run_load(target: Target, plan: Plan, preload: Preload, *, tool: str, folder: Path, console: Console) -> Recording:
    """Drive the plan and keep what came of it in the folder."""
    write(plan, request_bodies(plan.mix, preload.names), folder)
    found = head(
        target.client, tool=tool, memories=preload.memories, users=len(preload.names), batch=preload.batch,
        embedder_beside_infinity=read_figures(),
    )  # fmt: skip
    view = LoadView(console, plan)
    with view.shown():
        run = drive(tool, plan, target.connection.key, folder, state=target.state, show=view)
    write_head(folder, found, run)
    return read_recording(folder)
