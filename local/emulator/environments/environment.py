"""One execution environment: its state, its process, its Runtime API and its time limits."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Protocol

import orjson

from local.emulator.environments.forking import Forks, stream_of
from local.emulator.environments.log_lines import Beginning, Report, begin_line, end_lines, start_line
from local.emulator.environments.logs import FunctionLog
from local.emulator.environments.packages import BOOT, import_hint
from local.emulator.environments.process import Process
from local.emulator.environments.terminal import Terminal
from local.emulator.invocation import Invocation, InvokeResult, error_result
from local.emulator.runtime_api.server import RuntimeApi
from local.emulator.specs import FunctionSpec
from local.emulator.states import Event, State, after

#: The most a function may answer with, in bytes (6 MiB and the slack that Lambda gives).
MAX_RESPONSE_BYTES = 6 * 1024 * 1024 + 100
#: The peak memory is read at most once in this many seconds, because reading it costs more than an invocation.
_MEMORY_SECONDS = 1.0


class Owner(Protocol):
    """The pool of an environment, which hears of its changes."""

    def became_idle(self, environment: Environment) -> None:
        """Note that the environment asks for its next invocation."""

    def init_failed(self, result: InvokeResult) -> None:
        """Note that the initialisation of an environment failed, and why."""

    def init_too_slow(self, environment: Environment) -> None:
        """Note that the environment was killed because its initialisation took too long."""

    def hung_up(self, environment: Environment, unread: Invocation | None) -> None:
        """Note that the runtime no longer listens, and which event it was sent but did not read."""

    def gone(self, environment: Environment) -> None:
        """Note that the process has ended."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How environments of one function start; times in seconds, `freeze` stops idle ones."""

    spec: FunctionSpec
    variables: dict[str, str]
    arn: str
    log: FunctionLog
    terminal: Terminal = field(default_factory=Terminal)
    init_limit: float = 10.0
    freeze: bool = False
    #: What forks environments, if that is allowed.
    forks: Forks | None = None


class Environment:
    """An environment of a function: one process, one invocation at a time."""

    def __init__(self, launch: Launch, owner: Owner, *, suppressed: bool = False) -> None:
        self._launch, self._owner = launch, owner
        self.spec, self.arn = launch.spec, launch.arn
        self.id = uuid.uuid4().hex[:12]
        self.state = State.STARTING
        self.invocation: Invocation | None = None
        self._prefix = f"{launch.spec.name}/{self.id}"
        self._loop = asyncio.get_running_loop()
        self._process: Process | None = None
        self._api = RuntimeApi(self)
        self._deliver: Callable[[Invocation], None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._began = perf_counter()
        self.suppressed = suppressed
        #: Its code is out of date: it ends after the invocation in progress.
        self.retired = False
        #: Whether it is a fork, which is to functions what a restore from a snapshot is.
        self.restored = False
        self._start_duration: float | None = None
        self._status = "success"
        self._memory, self._memory_read = 0, 0.0
        self.idle_since = 0.0
        self._killed = False

    @property
    def pid(self) -> int | None:
        """Return the process id, or None before the start."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Open the Runtime API and start the runtime on it."""
        own = {"AWS_LAMBDA_RUNTIME_API": await self._api.open(), **stream_of(self.id)}
        try:
            self._process = await self._forked(own) or await self._started(own)
        except OSError:
            self._api.close()
            raise
        log = self._launch.log
        self._process.watch(lambda lines: log.write_output(self._prefix, lines), self._on_exit, self._api.hung_up)
        if self._killed:
            self._process.kill()
        if self.state is State.STARTING:  # A fork may have asked for its first event by now.
            limit = self.spec.timeout if self.suppressed else self._launch.init_limit
            self._timer = self._loop.call_later(limit, self._on_init_limit)

    async def _forked(self, own: dict[str, str]) -> Process | None:
        forks = self._launch.forks
        parent = await forks.parent() if forks is not None else None
        if forks is None or parent is None:
            return None
        # How long the parent took to initialise is no environment's restore.
        self._began, self.restored = perf_counter(), True
        process = await forks.fork(parent, own)
        self.restored = process is not None
        return process

    async def _started(self, own: dict[str, str]) -> Process:
        command = [sys.executable, *BOOT, self.spec.handler]
        return await Process.start(command, {**self._launch.variables, **own}, self.spec.code)

    def assign(self, invocation: Invocation) -> None:
        """Give the environment, which must be idle, its next invocation."""
        self.state = after(self.state, Event.INVOKE)
        deliver, self._deliver = self._deliver, None
        assert deliver is not None
        self.invocation, now = invocation, perf_counter()
        # The time-out includes an initialisation only if it was repeated within the invocation.
        spent = now - self._began if self.suppressed else 0.0
        self.suppressed = False
        left = max(self.spec.timeout - spent, 0.0)
        invocation.started_at = now
        invocation.deadline_ms = int((time.time() + left) * 1000)
        self._timer = self._loop.call_later(left, self._on_timeout)
        self._status = "success"
        self._log(start_line(invocation.request_id, self.spec.log_format))
        if self._launch.freeze and self._process is not None:
            self._process.signal(signal.SIGCONT)
        deliver(invocation)

    def on_next(self, deliver: Callable[[Invocation], None]) -> None:
        """Note that the runtime waits for an event; `deliver` is called when there is one."""
        starting = self.state is State.STARTING
        self.state = after(self.state, Event.NEXT)
        self._stop_timer()
        now = perf_counter()
        if starting:
            self._start_duration = (now - self._began) * 1000
        else:
            self._report(now)
        self._deliver, self.idle_since = deliver, now
        if self._launch.freeze and self._process is not None:
            self._process.signal(signal.SIGSTOP)
        self._owner.became_idle(self)

    def on_response(self, body: bytes) -> bool:
        """Take the function's answer; return whether its size is permitted."""
        self.state = after(self.state, Event.RESPONSE)
        fits = len(body) <= MAX_RESPONSE_BYTES
        if fits:
            self._answer(InvokeResult(body))
        else:
            self._log(f"Function.ResponseSizeTooLarge: {too_large_text(len(body))}")
            self._answer(error_result("Function.ResponseSizeTooLarge", too_large_text(len(body))))
        return fits

    def on_error(self, kind: str, body: bytes) -> None:
        """Take the function's error."""
        self.state = after(self.state, Event.ERROR)
        self._answer(InvokeResult(body, error=kind or "Unhandled"))

    def on_init_error(self, kind: str, body: bytes) -> None:
        """Take the error that ended the initialisation, or of a hook after a restore."""
        self.state = after(self.state, Event.INIT_ERROR)
        self._stop_timer()
        self._log_beginning("error", kind)
        self._init_failed(InvokeResult(body, error=kind or "Unhandled"))

    def on_hangup(self, *, unread: bool) -> None:
        """Note the end of the connection on which the runtime waits; `unread`: an event was on its way.

        A process that dies between two invocations may already have asked for the next one. Nobody has read the event
        that was sent to it then, so another environment gets it.
        """
        if self._killed or not (self.state is State.IDLE or (self.state is State.BUSY and unread)):
            return
        self.state = after(self.state, Event.HANGUP)
        self._stop_timer()
        invocation, self.invocation = self.invocation, None
        if invocation is not None:
            self._log(f"The runtime ended before it read {invocation.request_id}: another environment gets it")
        self._owner.hung_up(self, invocation)
        self.kill()

    def usable(self) -> bool:
        """Return whether the idle environment can take an event; one whose process was killed is dropped."""
        if self._process is None or not self._process.doomed:
            return True
        self.on_hangup(unread=False)
        return False

    def stop(self) -> None:
        """Tell a process that works on an invocation to end (SIGTERM); end any other one at once."""
        self._killed = True
        if self._process is not None:
            self._process.signal(signal.SIGTERM if self.state is State.BUSY else signal.SIGKILL)

    def kill(self) -> None:
        """End the process at once; an invocation in it fails."""
        self._killed = True
        if self._process is not None:
            self._process.kill()

    async def closed(self) -> None:
        """Return when the process has ended."""
        if self._process is not None:
            await self._process.gone()

    def peak_memory(self) -> int:
        """Return the most memory used so far, in MB."""
        now = perf_counter()
        if self._process is not None and now - self._memory_read >= _MEMORY_SECONDS:
            self._memory, self._memory_read = self._process.peak_memory() or self._memory, now
        return self._memory

    def _answer(self, result: InvokeResult) -> None:
        self._stop_timer()
        assert self.invocation is not None
        self._status = "error" if result.error else "success"
        self._finish(self.invocation, result)

    def _finish(self, invocation: Invocation, result: InvokeResult) -> None:
        self._show(result)
        invocation.finish(result)

    def _init_failed(self, result: InvokeResult) -> None:
        self._show(result)
        self._owner.init_failed(result)

    def _show(self, result: InvokeResult) -> None:
        if result.error is None:
            return
        hint = import_hint(result.payload.decode("utf-8", "replace"))
        if hint:
            self._log(hint)
        self._launch.terminal.failed(self.spec.name, result.payload)

    def _on_init_limit(self) -> None:
        self._log_beginning("timeout")
        self._launch.log.flush()
        self._owner.init_too_slow(self)
        self.kill()

    def _on_timeout(self) -> None:
        invocation = self.invocation
        assert invocation is not None
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        text = f"{stamp} {invocation.request_id} Task timed out after {self.spec.timeout:.2f} seconds"
        self._log(text)
        self._status = "timeout"
        self._finish(invocation, InvokeResult(orjson.dumps({"errorMessage": text}), error="Unhandled"))
        self.kill()

    def _on_exit(self, code: int) -> None:
        before = self.state
        self._stop_timer()
        self.state = after(before, Event.EXIT)
        self._api.close()
        if before is State.STARTING and not self._killed:
            reason = f"Runtime exited with {_exit_text(code)}"
            self._init_failed(error_result("Runtime.ExitError", reason))
        if before is State.BUSY and self.invocation is not None:
            self._exited_busy(self.invocation, code)
        elif before is State.ANSWERED:
            self._report(perf_counter())
        self._owner.gone(self)

    def _exited_busy(self, invocation: Invocation, code: int) -> None:
        if self._status != "timeout":
            reason = f"RequestId: {invocation.request_id} Error: Runtime exited with {_exit_text(code)}"
            self._log(reason)
            self._status = "error"
            result = error_result("Runtime.ExitError", reason)
            if self._killed:  # the emulator ended it
                invocation.finish(result)
            else:
                self._finish(invocation, result)
        self._report(perf_counter())

    def _report(self, now: float) -> None:
        invocation, self.invocation = self.invocation, None
        assert invocation is not None
        waited = (invocation.started_at - invocation.queued_at) * 1000 if invocation.limited else None
        report = Report(
            request_id=invocation.request_id,
            duration=(now - invocation.started_at) * 1000,
            memory_size=self.spec.memory,
            memory_used=self.peak_memory(),
            init_duration=None if self.restored else self._start_duration,
            restore_duration=self._start_duration if self.restored else None,
            waited=waited,
            status=self._status,
        )
        self._start_duration = None
        for line in end_lines(report, self.spec.log_format):
            self._log(line)

    def _log(self, line: str) -> None:
        self._launch.log.write(self._prefix, line)

    def _log_beginning(self, status: str, error: str = "") -> None:
        beginning = Beginning((perf_counter() - self._began) * 1000, self.restored, status, error)
        self._log(begin_line(beginning, self.spec.log_format))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def too_large_text(size: int) -> str:
    """Return Lambda's text for an answer that is too large."""
    return f"Response payload size ({size} bytes) exceeded maximum allowed payload size (6291556 bytes)."


def _exit_text(code: int) -> str:
    return f"error: signal: {signal.Signals(-code).name}" if code < 0 else f"error: exit status {code}"
