"""The measures of one size, over a service that was started for it: import, index, reads, export, erasure, sizes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from local.bench.load import Plan, measure, request_text
from local.bench.overhead import function_environment
from local.bench.scale.sizes import Size, questions, write_import_file
from local.client import ToolError
from local.loadtest.monitor import LOAD_GENERATOR, Monitor
from local.loadtest.scratch_service import ScratchService
from local.up.settings import ROOT

__all__ = ["Figures", "Measures", "OutOfTimeError", "disk_bytes"]

#: Seconds between two looks at an erasure that goes on.
_LOOK_S = 0.1
#: Seconds after which an answer is no longer waited for.
_ANSWER_S = 60.0
#: A command that takes hardly longer than with nothing to do is counted as if it took this long.
_SHORTEST_S = 0.05
#: Seconds of a warm-up; its last request may take longer.
_WARM_S = 0.5
#: Questions of the searches.
_QUESTIONS = 200
#: What a list or a page of entities shows.
_PAGE = 100


@dataclass(slots=True)
class Figures:
    """What was measured at one size. A figure that is missing was not measured, or `failures` says what happened."""

    size: Size
    values: dict[str, float] = field(default_factory=dict)
    memory_bytes: dict[str, int] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def as_object(self) -> dict[str, Any]:
        """Return the figures as they are saved."""
        return {
            "memories": self.size.memories,
            "users": self.size.users,
            **self.values,
            "memory_bytes": self.memory_bytes,
            "failures": self.failures,
        }


class OutOfTimeError(Exception):
    """The time of the run was over in the middle of a size; what was measured before stands."""


class Measures:
    """Takes the figures of one size, in this order: fill, read, export, weigh, erase; until `end` (monotonic)."""

    def __init__(self, own: ScratchService, size: Size, folder: Path, *, seconds: float, end: float) -> None:
        self._end = end
        self._own = own
        self._size = size
        self._folder = folder
        self._seconds = seconds
        self.figures = Figures(size)

    def fill(self) -> None:
        """Import the memories and index them; raises ToolError when that fails."""
        file = self._folder / "memories.jsonl"
        file.touch()
        imports = ("import", str(file))
        reindex = ("reindex", "--marker", str(self._own.state / "milvus" / "collection"))
        # What each command takes with nothing to do is taken off, as it says nothing of a row.
        idle = {command: self._run(*command) for command in (imports, reindex)}
        write_import_file(file, self._size)
        for command in (imports, reindex):
            self._note_rate(command[0], self._run(*command) - idle[command])

    def read(self) -> None:
        """Measure each read by itself, by one client without think time."""
        user = self._size.user()
        whole = {"filters": {"user_id": user}}
        search = [("POST", "/search", {"query": query, **whole}) for query in questions(_QUESTIONS)]
        self._p50("search P50 ms", search)
        self._p50("newest 100 P50 ms", [("GET", f"/memories?user_id={user}&top_k={_PAGE}", None)])
        self._p50("list page P50 ms", [("POST", f"/v3/memories/?page=1&page_size={_PAGE}", whole)])
        self._p50("count P50 ms", [("POST", "/v3/memories/?page=1&page_size=1", whole)])
        self._p50("entities page P50 ms", [("GET", f"/v1/entities/?page=1&page_size={_PAGE}", None)])

    def export(self) -> None:
        """Export everything to a file."""
        nobody = self._run("export", "--tenant", "nobody", "--out", str(self._folder / "nobody.jsonl"))
        self._note_rate("export", self._run("export", "--out", str(self._folder / "export.jsonl")) - nobody)

    def weigh(self) -> None:
        """Note the sizes of ledger and index on disk, and the memory of each part."""
        state = self._own.state
        self.figures.values["ledger MB"] = disk_bytes(state.glob("ledger.db*")) / 1e6
        self.figures.values["index MB"] = disk_bytes((state / "milvus").rglob("*")) / 1e6
        sizes: Mapping[str, int] = Monitor(state).look()["bytes"]
        self.figures.memory_bytes = {part: size for part, size in sizes.items() if part != LOAD_GENERATOR}

    def erase(self) -> None:
        """Erase everything: one user who has it all, or every user; until the answer, and until it is done."""
        whole = "*" if self._size.users > 1 else self._size.user()
        with httpx.Client(
            base_url=self._own.connection.url,
            headers={"X-API-Key": self._own.connection.key},
            timeout=_ANSWER_S,
            trust_env=False,
        ) as http:
            began = time.monotonic()
            try:
                answer = http.delete("/v1/memories/", params={"user_id": whole})
            except httpx.HTTPError as error:
                self.figures.failures["erase"] = f"no answer ({type(error).__name__})"
                return
            self.figures.values["erase answer s"] = time.monotonic() - began
            if answer.status_code != httpx.codes.OK:
                left = self._left(http)
                self.figures.failures["erase"] = f"status {answer.status_code}, {left:,} memories are left"
                return
            self._wait_until_erased(http, answer.json(), began)

    def _wait_until_erased(self, http: httpx.Client, answer: Mapping[str, Any], began: float) -> None:
        event = answer.get("event_id")
        while event is not None:
            if time.monotonic() > self._end:
                raise OutOfTimeError("an erasure")
            status = http.get(f"/v1/event/{event}/").json().get("status")
            if status == "SUCCEEDED":
                break
            if status == "FAILED":
                self.figures.failures["erase"] = "its job failed"
                return
            time.sleep(_LOOK_S)
        self.figures.values["erase done s"] = time.monotonic() - began

    def _left(self, http: httpx.Client) -> int:
        entities = http.get("/v1/entities/").json()["results"]
        return sum(int(one["total_memories"]) for one in entities if one["type"] == "user")

    def _p50(self, name: str, asked: Sequence[tuple[str, str, object]]) -> None:
        url, key = self._own.connection.url, self._own.connection.key
        requests = tuple(request_text(url, method, path, key, body) for method, path, body in asked)
        # The first request starts a function, which is another measure's (make bench-cold).
        measure(Plan(url, requests[:1], clients=1, seconds=_WARM_S, warmup_s=0.0))
        result = measure(Plan(url, requests, clients=1, seconds=self._seconds))
        if result.errors or not result.requests:
            self.figures.failures[name] = f"{result.errors} requests failed: {result.statuses}"
        else:
            self.figures.values[name] = result.p50_ms

    def _note_rate(self, what: str, took: float) -> None:
        self.figures.values[f"{what} rows/s"] = self._size.memories / max(took, _SHORTEST_S)

    def _run(self, what: str, *options: str) -> float:
        """Run a command of `forgetless` on the service's state folder; returns the seconds that it took.

        Raises OutOfTimeError, and ToolError when it fails.
        """
        environment = function_environment(self._own.state)
        began = time.monotonic()
        try:
            done = subprocess.run(
                [sys.executable, "-m", "forgetless.cli", what, *options],
                cwd=ROOT,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=max(1.0, self._end - began),
            )
        except subprocess.TimeoutExpired:
            raise OutOfTimeError(what) from None
        if done.returncode != 0:
            last = (done.stderr or done.stdout).strip().splitlines()[-2:]
            raise ToolError(f"{what} of {self._size} failed: {' '.join(last)[:400]}")
        return time.monotonic() - began


def disk_bytes(files: Iterable[Path]) -> int:
    """Return the space that these files take on the disk, which is less than their length if they have holes."""
    return sum(file.stat().st_blocks * 512 for file in files if file.is_file())
