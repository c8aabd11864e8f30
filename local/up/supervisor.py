"""Starts the parts in their order, restarts one that dies, and stops them all."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from local.up.errors import PartFailedError
from local.up.parts import Part
from local.up.process import Child
from local.up.ready import Probe
from local.up.record import Record
from local.up.view import View

__all__ = ["NOTE", "Pace", "Supervisor"]

#: The beginning of a part's line that the user should see.
NOTE = "note: "


@dataclass(frozen=True, slots=True)
class Pace:
    """The intervals of checks and restarts, in seconds."""

    look: float = 0.1
    #: The first pause before a dead part is restarted; it doubles up to the longest.
    pause: float = 0.5
    longest_pause: float = 30.0
    #: After this time, a part that dies is restarted with the first pause again.
    steady: float = 60.0
    #: The number of starts that may fail before the part was ever ready.
    attempts: int = 3


class Supervisor:
    """All parts of one `up`.

    ``start`` and ``watch`` raise PartFailedError; ``stop`` ends what runs and may be called at any time.
    """

    def __init__(
        self, parts: Sequence[Part], *, logs: Path, cwd: Path, view: View, record: Record, pace: Pace | None = None
    ) -> None:
        self._parts = {part.name: part for part in parts}
        self._logs = logs
        self._cwd = cwd
        self._view = view
        self._record = record
        self._pace = pace or Pace()
        self._ready = {part.name: asyncio.Event() for part in parts}
        self._answers: dict[str, str] = {}
        self._children: dict[str, Child] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._spawning: set[asyncio.Task[Child]] = set()
        self._client = httpx.AsyncClient(trust_env=False)

    async def start(self) -> None:
        """Return when every part is ready."""
        for part in self._parts.values():
            if not part.tells:
                self._view.part(part.name, "waiting")
        self._tasks = [asyncio.create_task(self._keep(part), name=part.name) for part in self._parts.values()]
        await self._unless_one_fails(self._all_ready())

    async def watch(self) -> None:
        """Keep the parts alive until cancelled."""
        await self._unless_one_fails(_forever())

    async def stop(self) -> None:
        """End all parts, those first on which no other depends; nothing is restarted from now on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, *self._spawning, return_exceptions=True)
        await self._client.aclose()
        while self._children:
            needed = {name for child in self._children for name in self._parts[child].after}
            last = [name for name in self._children if name not in needed] or list(self._children)
            await asyncio.gather(*(self._stop(name) for name in last))

    def kill(self) -> None:
        """Send SIGKILL to all parts, for a user who does not want to wait for ``stop``."""
        for child in self._children.values():
            child.signal(signal.SIGKILL)

    async def _all_ready(self) -> None:
        while not all(event.is_set() for event in self._ready.values()):
            self._view.tick()
            await asyncio.sleep(self._pace.look)

    async def _unless_one_fails(self, goal: Coroutine[None, None, None]) -> None:
        # Tasks of steps end without an error; a task that raises is a part that is given up.
        until = asyncio.ensure_future(goal)
        pending = {until, *self._tasks}
        try:
            while until in pending:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            until.cancel()

    async def _keep(self, part: Part) -> None:
        for name in part.after:
            await self._ready[name].wait()
        needed = part.only_if is None or self._answers.get(part.only_if[0]) == part.only_if[1]
        if part.tells:
            self._ready[part.name].set()
            if needed:
                await self._tell(part)
            return
        if not needed:
            self._become_ready(part, "up to date")
            return
        if part.once:
            await self._run_step(part)
            return
        await self._keep_running(part)

    async def _tell(self, part: Part) -> None:
        """Show the lines of a part until it ends."""
        child = await self._spawn_and_record(part)
        waiting, shown = asyncio.create_task(child.wait()), ""
        while not (await asyncio.wait({waiting}, timeout=self._pace.look))[0]:
            shown = self._tell_last(part, child, shown)
        self._tell_last(part, child, shown)
        self._forget(part.name)

    def _tell_last(self, part: Part, child: Child, shown: str) -> str:
        last = _last(child)
        if last and last != shown:
            self._view.say(f"{part.name}: {last}")
        return last

    async def _run_step(self, part: Part) -> None:
        began = time.monotonic()
        child = await self._spawn(part)
        waiting = asyncio.create_task(child.wait())
        try:
            async with asyncio.timeout(part.start_seconds):
                while not (await asyncio.wait({waiting}, timeout=self._pace.look))[0]:
                    self._view.part(part.name, "starting", _last(child))
        except TimeoutError:
            raise self._failure(part, f"not done after {part.start_seconds:.0f} s") from None
        finally:
            waiting.cancel()
        self._forget(part.name)
        if child.code != 0:
            raise self._failure(part, _last(child) or _death(child))
        self._answers[part.name] = _last(child)
        self._tell_notes(part, child)
        self._become_ready(part, f"{time.monotonic() - began:.1f} s")

    async def _keep_running(self, part: Part) -> None:
        failures = 0
        while True:
            began = time.monotonic()
            child = await self._spawn(part)
            problem = await self._until_ready(part, child)
            if problem is None:
                self._tell_notes(part, child)
                self._become_ready(part, f"{time.monotonic() - began:.1f} s")
                await child.wait()
                problem = _death(child)
            await self._end(part.name)
            failures = 1 if time.monotonic() - began > self._pace.steady else failures + 1
            if not self._ready[part.name].is_set() and failures >= self._pace.attempts:
                raise self._failure(part, problem)
            pause = min(self._pace.pause * 2 ** (failures - 1), self._pace.longest_pause)
            self._view.part(part.name, "restarting", f"{problem}; again in {pause:g} s")
            await asyncio.sleep(pause)

    async def _until_ready(self, part: Part, child: Child) -> str | None:
        probe = Probe(part, child, self._client)
        deadline = time.monotonic() + part.start_seconds
        while time.monotonic() < deadline:
            if child.code is not None:
                return f"{_death(child)}: {_last(child)}" if _last(child) else _death(child)
            if await probe.ready():
                return None
            await asyncio.sleep(self._pace.look)
        return f"not ready after {part.start_seconds:.0f} s {probe.waiting_for}".rstrip()

    async def _spawn(self, part: Part) -> Child:
        self._view.part(part.name, "starting")
        # Shielded: a child that starts during a cancellation must be recorded, or nobody would end it.
        spawning = asyncio.ensure_future(self._spawn_and_record(part))
        self._spawning.add(spawning)
        spawning.add_done_callback(self._spawning.discard)
        return await asyncio.shield(spawning)

    async def _spawn_and_record(self, part: Part) -> Child:
        try:
            child = await Child.start(part.command, part.environment, self._log(part.name), self._cwd)
        except OSError as error:
            raise self._failure(part, f"cannot be started: {error}") from None
        self._children[part.name] = child
        self._record.started(part.name, child.identity)
        return child

    def _tell_notes(self, part: Part, child: Child) -> None:
        """Show a part's lines about damage that it repaired; they begin with NOTE."""
        for line in child.lines():
            if line.startswith(NOTE):
                self._view.say(f"{part.name}: {line.removeprefix(NOTE)}")

    def _become_ready(self, part: Part, detail: str) -> None:
        self._view.part(part.name, "ready", detail)
        self._ready[part.name].set()

    async def _stop(self, name: str) -> None:
        self._view.part(name, "stopping")
        await self._end(name)
        self._view.part(name, "stopped")

    async def _end(self, name: str) -> None:
        await self._children[name].stop(self._parts[name].stop_seconds)
        self._forget(name)

    def _forget(self, name: str) -> None:
        self._children.pop(name, None)
        self._record.ended(name)

    def _failure(self, part: Part, problem: str) -> PartFailedError:
        self._view.part(part.name, "failed")
        what = "failed" if part.once else "did not start"
        return PartFailedError(
            f"{part.name} {what}: {problem.removeprefix('forgetless: ')} (log: {self._log(part.name)}){part.remedy}"
        )

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"


async def _forever() -> None:
    await asyncio.Event().wait()


def _last(child: Child) -> str:
    lines = child.lines()
    return lines[-1][:600] if lines else ""


def _death(child: Child) -> str:
    code = child.code or 0
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"ended with code {code}"
