"""The functions of a template: pools of environments, an Invoke API elsewhere, or why one cannot run."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from zipfile import BadZipFile

import httpx

from local.emulator.environments.code import with_folders
from local.emulator.environments.environment import Launch
from local.emulator.environments.forking import Forks
from local.emulator.environments.logs import FunctionLog
from local.emulator.environments.pool import Pool, PoolLimits, StartGate
from local.emulator.environments.remote import RemoteFunction
from local.emulator.environments.terminal import Terminal
from local.emulator.environments.unavailable import UnavailableFunction
from local.emulator.environments.variables import Surroundings, function_variables
from local.emulator.invocation import Invoker
from local.emulator.settings import Settings
from local.emulator.specs import FunctionSpec, Place, Template

__all__ = ["Functions"]


class Functions:
    """All functions of one template, by their logical ids; `stack` ends them."""

    def __init__(
        self, stack: AsyncExitStack, settings: Settings, place: Place, around: Surroundings, log: FunctionLog
    ) -> None:
        self._stack, self._settings = stack, settings
        self._place, self._around, self._log = place, around, log
        self._gate, self._terminal = StartGate(), Terminal()
        self._specs: dict[str, FunctionSpec] = {}
        self.by_id: dict[str, Pool | RemoteFunction | UnavailableFunction] = {}

    async def open(self, template: Template) -> None:
        """Make every function callable; no environment starts before the first call."""
        self._specs = template.functions
        for spec in template.functions.values():
            self.by_id[spec.name] = await self._opened(spec)
            self._stack.push_async_callback(self.by_id[spec.name].close)

    async def _opened(self, spec: FunctionSpec) -> Pool | RemoteFunction | UnavailableFunction:
        settings = self._settings
        if settings.functions_at:
            client = await self._stack.enter_async_context(httpx.AsyncClient(trust_env=False))
            return RemoteFunction(spec, settings.functions_at, client)
        if spec.problem:
            return UnavailableFunction(spec)
        ready = with_folders(spec, self._settings.state / "code")
        variables = function_variables(spec, self._place, settings.overrides.of(spec.name), self._around)
        limit = max(settings.snapshot_limit, spec.timeout)
        forks = Forks(ready, variables, self._log, self._terminal.say, limit=limit)
        launch = Launch(
            spec=ready,
            variables=variables,
            arn=self._place.arn("lambda", f"function:{spec.physical_name or spec.name}"),
            log=self._log,
            terminal=self._terminal,
            init_limit=settings.init_limit,
            freeze=settings.freeze,
            forks=forks if settings.fork else None,
        )
        limits = PoolLimits(settings.limit_of(spec), settings.wait_limit, settings.idle_limit)
        return Pool(launch, limits, self._gate)

    def by_physical_name(self) -> dict[str, Invoker]:
        """Return the functions by the names that the Invoke API knows them by."""
        return {pool.spec.physical_name or pool.spec.name: pool for pool in self.by_id.values()}

    def limit_of(self, function: str) -> int:
        """Return how many environments a function may have."""
        return self._settings.limit_of(self._specs[function])

    def status(self) -> dict[str, dict[str, object]]:
        """Return the counts of each function's environments."""
        return {name: pool.status() for name, pool in self.by_id.items()}

    def renew(self, function: str) -> None:
        """Give a function new environments, because its code has changed; an archive is unpacked again."""
        if function not in self.by_id:
            return
        try:
            with_folders(self._specs[function], self._settings.state / "code")
        except (OSError, BadZipFile) as error:  # somebody still writes it
            self._log.write(f"{function}/reload", f"RELOAD {function} failed: {error}")
        else:
            self.by_id[function].retire()

    async def drain(self) -> None:
        """Wait a moment for the invocations in progress, then end all environments."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.grace
        while any(pool.busy for pool in self.by_id.values()) and loop.time() < deadline:
            await asyncio.sleep(0.02)
        await asyncio.gather(*(pool.close() for pool in self.by_id.values()))
