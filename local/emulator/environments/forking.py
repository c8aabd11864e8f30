"""Environments by fork: starts the parent of a function's environments, and asks it for one after the other.

`fork_parent.py` is what runs in the parent. Environments are its children, so the parent tells how each one ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from local.emulator.environments.log_lines import Beginning, begin_line
from local.emulator.environments.logs import FunctionLog
from local.emulator.environments.packages import PARENT_BOOT
from local.emulator.environments.process import Process
from local.emulator.specs import FunctionSpec

__all__ = ["Forks", "Parent", "stream_of"]

#: What functions with SnapStart find, and what makes the runtime client run their hooks.
_SNAPSHOT = {"AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start"}
_MESSAGE_BYTES = 16 * 1024
#: Seconds that a parent may take to fork, for which it needs milliseconds.
_FORK_SECONDS = 10.0


def stream_of(environment: str) -> dict[str, str]:
    """Return the variable with the log stream of an environment that starts now."""
    return {"AWS_LAMBDA_LOG_STREAM_NAME": f"{time.strftime('%Y/%m/%d')}/[$LATEST]{environment}"}


@dataclass(frozen=True, slots=True)
class _Order:
    """What will be known of a forked environment: its process id, and its exit code."""

    pid: asyncio.Future[int]
    code: asyncio.Future[int]


class Parent:
    """A process that initialises a function and then forks, and the channel on which it is told to."""

    def __init__(self, process: Process, channel: socket.socket) -> None:
        self._process, self._channel = process, channel
        self._loop = asyncio.get_running_loop()
        #: Why it does not fork; empty if it does. It is known when the function has initialised.
        self.refusal: asyncio.Future[str] = self._loop.create_future()
        self._orders: dict[int, _Order] = {}
        self._count = 0
        self._retired = False
        self.alive = True
        self._loop.add_reader(channel, self._read)

    @classmethod
    async def start(cls, spec: FunctionSpec, variables: Mapping[str, str], log: FunctionLog) -> Parent:
        """Start the process; what it prints while it initialises has a log stream of its own.

        Raises:
            OSError: the process cannot be started.
        """
        identity, began = uuid.uuid4().hex[:12], perf_counter()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        command = [sys.executable, *PARENT_BOOT, spec.handler, str(theirs.fileno())]
        given = {**variables, **_SNAPSHOT, **stream_of(identity)}
        try:
            process = await Process.start(command, given, spec.code, descriptors=(theirs.fileno(),))
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        parent, prefix = cls(process, ours), f"{spec.name}/{identity}"

        def initialised(refusal: asyncio.Future[str]) -> None:
            if not refusal.result():
                log.write(prefix, begin_line(Beginning((perf_counter() - began) * 1000), spec.log_format))

        parent.refusal.add_done_callback(initialised)
        process.watch(lambda lines: log.write_output(prefix, lines), parent._on_exit, _nothing)
        return parent

    async def fork(self, variables: Mapping[str, str]) -> Process:
        """Return a new environment, which has these variables besides those of the function.

        Raises:
            OSError: the parent has ended or does not answer, or the system refuses one more process.
        """
        self._count += 1
        number, order = self._count, _Order(self._loop.create_future(), self._loop.create_future())
        read_end, write_end = os.pipe()
        reader = asyncio.StreamReader()
        with os.fdopen(write_end, "wb", 0):
            output, _ = await self._loop.connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_end, "rb", 0)
            )
            try:
                message = json.dumps({"number": number, "variables": dict(variables)})
                socket.send_fds(self._channel, [message.encode()], [write_end])
                self._orders[number] = order
                pid = await asyncio.wait_for(order.pid, _FORK_SECONDS)
            except OSError:
                self._orders.pop(number, None)
                output.close()
                raise
        return Process(pid, reader, lambda: order.code, output.close)

    def retire(self) -> None:
        """End as soon as none of its environments runs."""
        self._retired = True
        if not self._orders:
            self.kill()

    def kill(self) -> None:
        """End the process, and with it its environments."""
        if self.alive:
            self._process.kill()

    async def gone(self) -> None:
        """Return when the process has ended."""
        await self._process.gone()

    def _read(self) -> bool:
        """Take the next message; return whether there was one."""
        try:
            data = self._channel.recv(_MESSAGE_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(self._channel)
            return False
        self._take(json.loads(data))
        return True

    def _take(self, message: dict[str, Any]) -> None:
        if "refused" in message:
            if not self.refusal.done():
                self.refusal.set_result(message["refused"])
            return
        number, order = message["number"], self._orders.get(message["number"])
        if "code" in message:
            if order is not None:
                self._ended(number, message["code"])
        elif order is not None:
            order.pid.set_result(message["pid"])
        else:  # Nobody waits for it any more.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(message["pid"], signal.SIGKILL)

    def _ended(self, number: int, code: int) -> None:
        order = self._orders.pop(number)
        order.code.set_result(code)
        if not order.pid.done():
            order.pid.set_exception(OSError(f"the new process ended at once, with exit code {code}"))
        if self._retired:
            self.retire()

    def _on_exit(self, code: int) -> None:
        """Note the end of the process, and of its environments: they die with it."""
        while self._read():  # what it told before
            pass
        self.alive = False
        self._loop.remove_reader(self._channel)
        self._channel.close()
        if not self.refusal.done():
            self.refusal.set_result(f"its initialisation ended with exit code {code}")
        for number in list(self._orders):
            self._ended(number, -signal.SIGKILL)


class Forks:
    """The environments of one function by fork; if it must not be forked, `say` gets one line with the reason."""

    def __init__(
        self,
        spec: FunctionSpec,
        variables: Mapping[str, str],
        log: FunctionLog,
        say: Callable[[str], None],
        *,
        limit: float,
    ) -> None:
        self._spec, self._variables, self._log, self._say = spec, variables, log, say
        self._limit = limit
        #: What initialises, or has initialised, for the next environments; its result is None if it must not fork.
        self._next: asyncio.Task[Parent | None] | None = None
        self._parents: list[Parent] = []
        self._stopping = False

    async def parent(self) -> Parent | None:
        """Return what has initialised and forks; None if each environment must initialise by itself.

        Raises:
            OSError: the emulator is stopping.
        """
        if self._next is None:
            self._next = asyncio.get_running_loop().create_task(self._initialised())
        parent = await asyncio.shield(self._next)
        if self._stopping:
            raise OSError("the emulator is stopping")
        return parent

    async def fork(self, parent: Parent, variables: Mapping[str, str]) -> Process | None:
        """Return a new environment; None if there is none because the parent has ended."""
        try:
            return await parent.fork(variables)
        except OSError as error:
            self._log.write(f"{self._spec.name}/fork", f"NOT FORKED this time: {error}")
            self.retire()
            return None

    def retire(self) -> None:
        """Let the next environment come from a new initialisation; parents end after their environments."""
        before, self._next = self._next, None
        if before is not None:
            before.add_done_callback(lambda done: parent.retire() if (parent := done.result()) is not None else None)

    def rest(self) -> None:
        """Keep no parent while there is no environment; that it must not fork is not forgotten."""
        if self._next is not None and self._next.done() and self._next.result() is not None:
            self.retire()

    def refuse(self) -> None:
        """Fork no more, and do not wait for an initialisation, because the emulator is stopping."""
        self._stopping = True
        for parent in self._parents:
            if not parent.refusal.done():
                parent.kill()

    async def close(self) -> None:
        """End all parents; no environment of theirs is needed any more."""
        for parent in self._parents:
            parent.kill()
            await parent.gone()

    async def _initialised(self) -> Parent | None:
        if sys.platform != "linux":
            self._refused("this system is not Linux")
            return None
        try:
            parent = await Parent.start(self._spec, self._variables, self._log)
        except OSError as error:
            self._refused(str(error))
            return None
        self._parents = [*(one for one in self._parents if one.alive), parent]
        await asyncio.wait([parent.refusal], timeout=self._limit)
        slow = f"its initialisation takes more than {self._limit:g} seconds"
        refusal = parent.refusal.result() if parent.refusal.done() else slow
        if not refusal:
            return parent
        parent.kill()
        await parent.gone()
        self._refused(refusal)
        return None

    def _refused(self, why: str) -> None:
        if not self._stopping:
            line = f"{self._spec.name} is not forked, so each environment initialises by itself: {why}"
            self._log.write(f"{self._spec.name}/fork", line)
            self._say(line)


async def _nothing() -> None:
    """Return at once: the process has no connections to wait for."""
