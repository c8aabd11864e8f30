"""The files of a load run: plan, head, samples and monitor lines, from which its report can be made again."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from local.client import Client, ToolError
from local.loadtest.scenario import PLAN_FILE, Plan, plan_from
from local.results.result import machine

__all__ = [
    "BESIDE", "HEAD_FILE", "MONITOR_FILE", "SAMPLES_FILE", "Recording", "Run", "Sample", "Tail", "beside_of", "facts",
    "head", "model_of", "parts_of", "read_recording", "read_samples", "write_head",
]  # fmt: skip

HEAD_FILE = "head.json"
#: The folder, within that of a run, of a run with another model just before it.
BESIDE = "beside"
SAMPLES_FILE = "samples.jsonl"
MONITOR_FILE = "monitor.jsonl"
_PART = re.compile(r"([\w-]+);dur=([\d.]+)")
#: Packages whose versions decide the figures.
_PACKAGES = ("forgetless", "fastapi", "mangum", "pymilvus", "milvus-lite", "onnxruntime", "uvicorn")
#: Settings of the service that the report shows.
_SETTINGS = (
    "FORGETLESS_EMBEDDING_MODEL",
    "FORGETLESS_EMBEDDING_DIMENSIONS",
    "FORGETLESS_LEDGER",
    "FORGETLESS_LLM_MODEL",
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One request: when it was sent (seconds since the start and since the epoch), and its answer."""

    at: float
    sent: float
    kind: str
    ms: float
    status: int
    ok: bool
    timing: str = ""

    @property
    def ended(self) -> float:
        """Return the time of the answer in seconds since the epoch."""
        return self.sent + self.ms / 1000


def parts_of(timing: str) -> dict[str, float]:
    """Return the milliseconds of each part in a Server-Timing header."""
    return {part: float(ms) for part, ms in _PART.findall(timing)}


class Tail:
    """Reads the lines that were added to a file of samples since the last time; a half line waits for its end."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._place = 0

    def read(self) -> list[Sample]:
        """Return the new samples."""
        if not self._file.exists():
            return []
        with self._file.open("rb") as stream:
            stream.seek(self._place)
            read = stream.read()
        whole = read[: read.rfind(b"\n") + 1]
        self._place += len(whole)
        return [_sample(line) for line in whole.decode("utf-8").splitlines() if line.startswith("{")]


@dataclass(frozen=True, slots=True)
class Run:
    """The data of a run: its samples, the monitor's lines, and when it was stopped early, if it was."""

    samples: list[Sample]
    looks: list[dict[str, Any]]
    stopped_at: float | None

    @property
    def interrupted(self) -> bool:
        """Return whether Ctrl-C ended it."""
        return self.stopped_at is not None


@dataclass(frozen=True, slots=True)
class Recording:
    """One run of a load tool, from which its report is made."""

    head: dict[str, Any]
    plan: Plan
    run: Run


def head(client: Client, **more: Any) -> dict[str, Any]:
    """Return machine, versions and settings."""
    shown = _settings(client)
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in _PACKAGES},
        "settings": {name: shown[name] for name in _SETTINGS if shown.get(name) not in {None, ""}},
        **more,
    }


def facts(head: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return the head of a run as pairs to show."""
    machine = head["machine"]
    versions = " · ".join(f"{name} {version}" for name, version in head["versions"].items() if version != "-")
    load = f"{machine['load_average_before']} before, {head.get('load_average_after', '?')} after"
    return (
        ("time", str(head["time"])),
        ("machine", f"{machine['cores']} cores, {machine['processor'] or 'processor unknown'}, {machine['system']}"),
        ("memory", f"{machine['memory_bytes'] / 2**30:.0f} GiB"),
        ("load average of the machine", load),
        ("versions", versions),
        *(
            (name.removeprefix("FORGETLESS_").lower().replace("_", " "), str(value))
            for name, value in head["settings"].items()
        ),
    )


def write_head(folder: Path, found: Mapping[str, Any], run: Run) -> None:
    """Write the head beside the other files of the run."""
    whole = dict(found) | {"stopped_at": run.stopped_at, "load_average_after": round(os.getloadavg()[0], 2)}
    (folder / HEAD_FILE).write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")


def read_recording(folder: Path) -> Recording:
    """Read the folder of a run; raises ToolError if it is not a complete one."""
    try:
        found = json.loads((folder / HEAD_FILE).read_text(encoding="utf-8"))
        plan = plan_from(json.loads((folder / PLAN_FILE).read_text(encoding="utf-8")))
        looks = [json.loads(line) for line in (folder / MONITOR_FILE).read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError, KeyError) as error:
        raise ToolError(f"{folder} holds no complete run of `make load`: {error}") from error
    return Recording(found, plan, Run(read_samples(folder / SAMPLES_FILE), looks, found["stopped_at"]))


def beside_of(folder: Path) -> Recording | None:
    """Return the run with another model that belongs to the run in the folder, if there is one."""
    return read_recording(folder / BESIDE) if (folder / BESIDE).is_dir() else None


def model_of(recording: Recording) -> str:
    """Return the name of the embedding model under load."""
    return str(recording.head["settings"].get("FORGETLESS_EMBEDDING_MODEL", "a model that is not known"))


def _settings(client: Client) -> Mapping[str, Any]:
    try:
        answer = client.settings()
    except ToolError:  # Another server of the same dialect may not show its settings.
        return {}
    shown = answer.get("settings", answer)
    return shown if isinstance(shown, Mapping) else {}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "-"


def read_samples(file: Path) -> list[Sample]:
    """Return all samples of a finished run."""
    return Tail(file).read()


def _sample(line: str) -> Sample:
    found = json.loads(line)
    return Sample(
        at=found["at"] / 1000,
        sent=found["sent"] / 1000,
        kind=found["kind"],
        ms=found["ms"],
        status=found["status"],
        ok=found["ok"],
        timing=found["timing"],
    )
