"""The environments of one function: the most recently used first, more when they are busy, up to a limit."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

from local.emulator.environments.environment import Environment, Launch
from local.emulator.invocation import Invocation, InvokeResult, ThrottledError, error_result
from local.emulator.states import State

#: So often an event that was not read goes to another environment; the next time the invocation fails.
_MAX_RETURNS = 2
#: How long a process that works may take to end, before it is killed.
_STOP_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """The most environments, and the seconds that a request may wait and an environment may be idle."""

    environments: int
    wait: float = 30.0
    idle: float = 600.0


class StartGate:
    """How many environments of all functions may initialise at once.

    Imports take whole seconds of a core. Sixteen at once on two cores would all run into the limit for
    initialisation, which does not happen on Lambda, where each has a machine of its own.
    """

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit or max(2, os.cpu_count() or 1)
        self._starting = 0
        self._waiting: list[Callable[[], None]] = []

    def subscribe(self, scale: Callable[[], None]) -> None:
        """Call `scale` whenever a place becomes free."""
        self._waiting.append(scale)

    @property
    def open(self) -> bool:
        """Return whether one more may start."""
        return self._starting < self._limit

    def enter(self) -> None:
        """Count an environment that starts."""
        self._starting += 1

    def leave(self) -> None:
        """Count an environment that has started or has failed to start."""
        self._starting -= 1
        for scale in self._waiting:
            scale()


class Pool:
    """Environments of a function; used from the event loop's thread only."""

    def __init__(self, launch: Launch, limits: PoolLimits, gate: StartGate) -> None:
        self.spec = launch.spec
        self._launch, self._limits = launch, limits
        self._loop = asyncio.get_running_loop()
        self._environments: set[Environment] = set()
        self._idle: list[Environment] = []
        self._waiting: deque[Invocation] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._reaper: asyncio.TimerHandle | None = None
        self._closing = False
        self._gate, self._at_gate = gate, set[Environment]()
        gate.subscribe(self._scale)

    def submit(self, payload: bytes, *, trace_id: str = "", client_context: str = "") -> asyncio.Future[InvokeResult]:
        """Invoke the function; the future yields its result or ThrottledError.

        Raises:
            ThrottledError: the function's reserved concurrency is used up, or the emulator stops.
        """
        reserved = self.spec.reserved_concurrency
        if self._closing:
            raise ThrottledError("the emulator is stopping")
        if reserved is not None and self._in_flight() >= reserved:
            raise ThrottledError("ReservedFunctionConcurrentInvocationLimitExceeded")
        future: asyncio.Future[InvokeResult] = self._loop.create_future()
        invocation = Invocation(payload, future, perf_counter(), trace_id, client_context)
        environment = self._take_idle()
        if environment is not None:
            environment.assign(invocation)
            return future
        self._waiting.append(invocation)
        invocation.timer = self._loop.call_later(self._limits.wait, self._give_up, invocation)
        self._scale()
        invocation.limited = len(self._waiting) > self._coming()
        return future

    def became_idle(self, environment: Environment) -> None:
        """Give the environment the request that has waited longest, or keep it for the next one."""
        if environment.retired or not environment.usable():
            environment.kill()
            self._leave_gate(environment)
            return
        invocation = self._longest_waiting()
        if invocation is not None:
            environment.assign(invocation)
        else:
            self._idle.append(environment)
            if self._reaper is None:
                self._reaper = self._loop.call_later(self._limits.idle, self._reap)
        # This comes last, so that nobody at the gate counts the request that was just taken.
        self._leave_gate(environment)

    def init_failed(self, result: InvokeResult) -> None:
        """Answer the request that has waited longest with the error of the initialisation."""
        invocation = self._longest_waiting()
        if invocation is not None:
            invocation.finish(result)

    def init_too_slow(self, environment: Environment) -> None:
        """Initialise once more within the invocation, limited by the function's time-out."""
        if environment.suppressed:
            text = f"Task timed out after {self.spec.timeout:.2f} seconds"
            self.init_failed(error_result("Sandbox.Timedout", text))
        elif self._waiting:
            self._start(suppressed=True)

    def hung_up(self, environment: Environment, unread: Invocation | None) -> None:
        """Give the environment nothing more; an event that it did not read goes to the next one."""
        if environment in self._idle:
            self._idle.remove(environment)
        if unread is None or unread.future.done():
            return
        unread.returns += 1
        if unread.returns > _MAX_RETURNS or self._closing:
            unread.finish(error_result("Runtime.ExitError", "Runtime exited without reading the event"))
        elif (idle := self._take_idle()) is not None:
            idle.assign(unread)
        else:
            unread.started_at = 0.0
            unread.timer = self._loop.call_later(self._limits.wait, self._give_up, unread)
            self._waiting.appendleft(unread)
            self._scale()

    def gone(self, environment: Environment) -> None:
        """Forget an environment and replace it when requests wait."""
        self._environments.discard(environment)
        if environment in self._idle:
            self._idle.remove(environment)
        self._leave_gate(environment)
        self._scale()

    def retire(self) -> None:
        """Replace all environments: idle ones at once, the others when they have answered."""
        for environment in self._environments:
            environment.retired = True
        idle, self._idle = self._idle, []
        for environment in idle:
            environment.kill()
        if self._launch.forks is not None:
            self._launch.forks.retire()

    def status(self) -> dict[str, object]:
        """Return counts by state, waiting requests and process ids."""
        states = [environment.state for environment in self._environments]
        return {
            "idle": states.count(State.IDLE),
            "busy": states.count(State.BUSY) + states.count(State.ANSWERED),
            "starting": states.count(State.STARTING),
            "waiting": sum(not invocation.future.done() for invocation in self._waiting),
            "limit": self._limits.environments,
            "pids": sorted(environment.pid for environment in self._environments if environment.pid),
        }

    @property
    def busy(self) -> bool:
        """Return whether an invocation runs or waits."""
        return self._in_flight() > 0

    async def close(self) -> None:
        """End all environments, those that work with a moment's notice, and refuse the waiting requests."""
        self._closing = True
        if self._reaper is not None:
            self._reaper.cancel()
        while (invocation := self._longest_waiting()) is not None:
            invocation.refuse("the emulator is stopping")
        if self._launch.forks is not None:
            self._launch.forks.refuse()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        environments = list(self._environments)
        for environment in environments:
            environment.stop()
        ends = asyncio.gather(*(environment.closed() for environment in environments))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(ends), _STOP_SECONDS)
        for environment in environments:
            environment.kill()
        await ends
        if self._launch.forks is not None:
            await self._launch.forks.close()

    def _scale(self) -> None:
        while (
            not self._closing
            and len(self._waiting) > self._coming()
            and len(self._environments) < self._limits.environments
            and self._gate.open
        ):
            self._start()

    def _start(self, *, suppressed: bool = False) -> None:
        environment = Environment(self._launch, self, suppressed=suppressed)
        self._environments.add(environment)
        self._at_gate.add(environment)
        self._gate.enter()
        task = self._loop.create_task(self._run(environment))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, environment: Environment) -> None:
        try:
            await environment.start()
        except OSError as error:
            self.init_failed(error_result("Runtime.StartFailed", str(error)))
            self.gone(environment)

    def _leave_gate(self, environment: Environment) -> None:
        if environment in self._at_gate:
            self._at_gate.discard(environment)
            self._gate.leave()

    def _longest_waiting(self) -> Invocation | None:
        while self._waiting:
            invocation = self._waiting.popleft()
            if invocation.timer is not None:
                invocation.timer.cancel()
            if not invocation.future.done():
                return invocation
        return None

    def _take_idle(self) -> Environment | None:
        """Return the idle environment that was used last, without those whose process was killed."""
        while self._idle:
            environment = self._idle.pop()
            if environment.usable():
                return environment
        return None

    def _count(self, *states: State) -> int:
        return sum(environment.state in states for environment in self._environments)

    def _coming(self) -> int:
        """Return how many environments will be idle at once: those that start and those that have answered."""
        return self._count(State.STARTING, State.ANSWERED)

    def _in_flight(self) -> int:
        return self._count(State.BUSY) + sum(not invocation.future.done() for invocation in self._waiting)

    def _give_up(self, invocation: Invocation) -> None:
        """Refuse a request that has waited too long, unless an environment for it still starts."""
        if invocation.started_at or invocation.future.done():
            return
        if self._count(State.STARTING):
            invocation.timer = self._loop.call_later(1.0, self._give_up, invocation)
            return
        self._waiting.remove(invocation)
        invocation.refuse(f"no environment was free for {self._limits.wait:g} seconds")

    def _reap(self) -> None:
        """Shut down environments that have been idle for long; the list begins with the oldest."""
        self._reaper, now = None, perf_counter()
        for environment in [item for item in self._idle if now - item.idle_since >= self._limits.idle]:
            self._idle.remove(environment)
            environment.kill()
        if self._idle and not self._closing:
            left = self._limits.idle - (now - self._idle[0].idle_since)
            self._reaper = self._loop.call_later(max(left, 1.0), self._reap)
        elif self._launch.forks is not None and not self._count(State.STARTING, State.BUSY, State.ANSWERED):
            self._launch.forks.rest()
