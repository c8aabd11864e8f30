"""Notices changed files for `--reload`: the code of functions, their layers, and the template."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from local.emulator.specs import Template

#: Seconds between two checks.
LOOK_SECONDS = 0.5
_SKIPPED = ("__pycache__", "node_modules")

#: Names, times and sizes of files.
Snapshot = dict[str, tuple[int, int]]


def watched(template: Template, own_name: str) -> dict[str, tuple[Path, ...]]:
    """Return the paths whose change concerns each function, and under `own_name` those that concern the template.

    A folder of code that is missing belongs to the template: when it is there, its function can run.
    """
    specs = template.functions.values()
    missing = (spec.code for spec in specs if spec.problem and not spec.code.exists())
    running = {spec.name: (spec.code, *spec.layers) for spec in specs if not spec.problem}
    return {**running, own_name: (template.path, *missing)}


def snapshot(paths: Iterable[Path]) -> Snapshot:
    """Return the files below folders, or files themselves; hidden folders and caches are left out."""
    found: Snapshot = {}
    for path in paths:
        if path.is_dir():
            for folder, folders, files in os.walk(path):
                folders[:] = [name for name in folders if not name.startswith(".") and name not in _SKIPPED]
                for name in files:
                    _add(found, os.path.join(folder, name))
        else:
            _add(found, str(path))
    return found


def _add(found: Snapshot, path: str) -> None:
    try:
        status = os.stat(path)
    except OSError:  # The file was deleted meanwhile, which the next check shows.
        return
    found[path] = (status.st_mtime_ns, status.st_size)


class Watch:
    """Calls `changed` with the names of those whose paths changed."""

    def __init__(self, paths: Mapping[str, tuple[Path, ...]], changed: Callable[[list[str]], None]) -> None:
        self._paths, self._changed = dict(paths), changed
        self._seen = {name: snapshot(some) for name, some in self._paths.items()}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Stop watching."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            names = await asyncio.to_thread(self.look)
            if names:
                self._changed(names)

    def look(self) -> list[str]:
        """Return the names whose paths have changed since the last check."""
        now = {name: snapshot(some) for name, some in self._paths.items()}
        names = [name for name, files in now.items() if files != self._seen[name]]
        self._seen = now
        return names
