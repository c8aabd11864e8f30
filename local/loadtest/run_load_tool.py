"""Runs k6 or locust by a plan and watches the run; after Ctrl-C the measurements so far are kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from local.client import Client, Connection, ToolError
from local.loadtest.monitor import Monitor
from local.loadtest.preload import Preload
from local.loadtest.progress import LoadView
from local.loadtest.report.embedder_section import read_figures
from local.loadtest.result_files import (
    MONITOR_FILE,
    SAMPLES_FILE,
    Recording,
    Run,
    Sample,
    Tail,
    head,
    read_recording,
    write_head,
)
from local.loadtest.scenario import Plan, request_bodies, write
from local.up.settings import ROOT

__all__ = ["TOOLS", "Target", "drive", "run_load", "tools_folder"]

TOOLS = ("k6", "locust")
LOOK_S = 1.0
#: Seconds for requests in progress after a stop, before the tool is killed.
STOP_S = 15.0
#: Seconds beyond the plan after which a tool counts as hanging; they cover its start and its slowest answers.
SLACK_S = 75.0
_HERE = Path(__file__).parent

#: Called with each sample and, with None, about once a second; the number is the seconds since the start.
Show = Callable[[Sample | None, float], None]


@dataclass(frozen=True, slots=True)
class Target:
    """The service under load; `state` is its state folder, if it runs on this machine."""

    client: Client
    connection: Connection
    state: Path | None


def tools_folder(environment: Mapping[str, str]) -> Path:
    """Return the folder of k6 and locust: in the Makefile's environment, or FORGETLESS_LOAD_TOOLS."""
    return Path(environment.get("FORGETLESS_LOAD_TOOLS") or ROOT / ".venv-load" / "bin")


def run_load(target: Target, plan: Plan, preload: Preload, *, tool: str, folder: Path, console: Console) -> Recording:
    """Run the plan, write its files into the folder, and return them."""
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


def drive(tool: str, plan: Plan, key: str, folder: Path, *, state: Path | None, show: Show) -> Run:
    """Run the tool on the plan in `folder`.

    Raises ToolError when the tool cannot be started, fails or hangs.
    """
    watch = _Watch(plan, folder, show)
    stopped_at = None
    with (folder / "tool.log").open("wb") as log:
        process = _start(tool, plan, key, folder, log)
        try:
            with _interruptible():
                watch.follow(process, None if state is None else Monitor(state, load_pid=process.pid))
        except KeyboardInterrupt:
            stopped_at = time.time()
        finally:
            _stop(process)
    samples = watch.finish()
    if stopped_at is not None:
        # Requests that the stop itself interrupted are not errors of the service.
        samples = [one for one in samples if one.ok or one.ended < stopped_at]
    elif process.returncode != 0:
        raise ToolError(f"{tool} failed ({process.returncode}): {_last_line(folder / 'tool.log')}")
    return Run(samples, watch.looks, stopped_at)


class _Watch:
    """Reads the samples while they are written, and measures the service's processes."""

    def __init__(self, plan: Plan, folder: Path, show: Show) -> None:
        self._limit = plan.seconds + SLACK_S
        self._tail = Tail(folder / SAMPLES_FILE)
        self._lines = folder / MONITOR_FILE
        self._show = show
        self._samples: list[Sample] = []
        self.looks: list[dict[str, Any]] = []

    def follow(self, process: subprocess.Popen[bytes], monitor: Monitor | None) -> None:
        """Watch until the process ends; raises ToolError when it hangs."""
        began = time.monotonic()
        while process.poll() is None:
            self._read()
            if monitor is not None:
                self.looks.append(monitor.look())
            if time.monotonic() - began > self._limit:
                raise ToolError(f"the load tool did not end {SLACK_S:.0f} s after its plan")
            time.sleep(LOOK_S)

    def finish(self) -> list[Sample]:
        """Return all samples, and write the monitor's lines beside them."""
        self._read()
        self._lines.write_text("".join(json.dumps(look) + "\n" for look in self.looks), encoding="utf-8")
        return self._samples

    def _read(self) -> None:
        for sample in self._tail.read():
            self._samples.append(sample)
            self._show(sample, sample.at)
        self._show(None, self._samples[-1].at if self._samples else 0.0)


def _start(tool: str, plan: Plan, key: str, folder: Path, log: Any) -> subprocess.Popen[bytes]:
    tools = tools_folder(os.environ)
    command = {
        # k6 sends no usage report and opens no port; its console output is the file of samples.
        "k6": [str(tools / "k6"), "run", "--quiet", "--no-usage-report", "--no-summary", "--no-thresholds",
               "--address", "", "--log-format", "raw", "--console-output", str(folder / SAMPLES_FILE),
               str(_HERE / "k6.js")],
        "locust": [str(tools / "locust"), "--headless", "--only-summary", "--host", plan.url,
                   "--stop-timeout", "40", "--exit-code-on-error", "0", "-f", str(_HERE / "locustfile.py")],
    }[tool]  # fmt: skip
    ours = {"FORGETLESS_LOAD_FOLDER": str(folder.resolve()), "FORGETLESS_LOAD_KEY": key, "K6_NO_USAGE_REPORT": "true"}
    try:
        # It runs in a session of its own, so that the terminal's Ctrl-C reaches it only through us.
        return subprocess.Popen(
            command, env={**os.environ, **ours}, cwd=ROOT, stdout=log, stderr=log, start_new_session=True
        )
    except FileNotFoundError:
        raise ToolError(f"{tool} is not in {tools}: `make load` installs it") from None


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGINT and SIGTERM end the run alike, also in a script's background job, which ignores SIGINT."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _last_line(file: Path) -> str:
    lines = file.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else "it said nothing"
