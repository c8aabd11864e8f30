"""A run's folder: what was planned, where, and what came of it, so that its report can be made again at any time."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from local.client import Client, ToolError
from local.loadtest.driving import MONITOR_FILE, SAMPLES_FILE, Run
from local.loadtest.samples import read_samples
from local.loadtest.scenario import PLAN_FILE, Plan, plan_from

__all__ = ["HEAD_FILE", "Recording", "head", "new_folder", "read_recording", "write_head"]

HEAD_FILE = "head.json"
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
class Recording:
    """One run of a load tool, and all that its report says."""

    head: dict[str, Any]
    plan: Plan
    run: Run


def new_folder(out: Path, kind: str) -> Path:
    """A folder of its own for the results that begin now."""
    folder = out / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{kind}"
    number = 1
    while folder.exists():
        number += 1
        folder = folder.with_name(f"{folder.name.split('~')[0]}~{number}")
    folder.mkdir(parents=True)
    return folder


def head(client: Client, **more: Any) -> dict[str, Any]:
    """Machine, versions and settings."""
    shown = _settings(client)
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cores": os.cpu_count(),
            "processor": _processor(),
            "memory_bytes": psutil.virtual_memory().total,
            "system": f"{platform.system()} {platform.machine()}",
            "load_average_before": round(os.getloadavg()[0], 2),
        },
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in _PACKAGES},
        "settings": {name: shown[name] for name in _SETTINGS if shown.get(name) not in {None, ""}},
        **more,
    }


def write_head(folder: Path, found: Mapping[str, Any], run: Run) -> None:
    """Keep the head beside what the run wrote."""
    whole = dict(found) | {"stopped_at": run.stopped_at, "load_average_after": round(os.getloadavg()[0], 2)}
    (folder / HEAD_FILE).write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")


def read_recording(folder: Path) -> Recording:
    """What a run left in its folder; raises ToolError when it is none."""
    try:
        found = json.loads((folder / HEAD_FILE).read_text(encoding="utf-8"))
        plan = plan_from(json.loads((folder / PLAN_FILE).read_text(encoding="utf-8")))
        looks = [json.loads(line) for line in (folder / MONITOR_FILE).read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError, KeyError) as error:
        raise ToolError(f"{folder} holds no complete run of `make load`: {error}") from error
    return Recording(found, plan, Run(read_samples(folder / SAMPLES_FILE), looks, found["stopped_at"]))


def _settings(client: Client) -> Mapping[str, Any]:
    try:
        answer = client.settings()
    except ToolError:  # another system of the same dialect may not tell
        return {}
    shown = answer.get("settings", answer)
    return shown if isinstance(shown, Mapping) else {}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "-"
