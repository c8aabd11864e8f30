"""ProcessTree: the processes of `forgetless serve`: starts them, restarts one that dies, and stops them all."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType

__all__ = ["Member", "ProcessTree", "end_with_parent"]

_logger = logging.getLogger(__name__)

#: Seconds between two looks at the processes.
_LOOK_S = 0.1
#: The first pause before a process that died is started again; it doubles with each that dies young, up to the longest.
FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
#: A process that dies earlier died young. So many in a row end the tree: it cannot work, and who started it should see.
_YOUNG_S = 10.0
_MOST_YOUNG = 5
#: After SIGTERM, a process has so long to end what it does: a request may take 25 seconds.
_STOP_S = 35.0


@dataclass(slots=True)
class Member:
    """One process. `inherits` are the file descriptors that it gets, for example of a listening socket."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    inherits: Sequence[int] = ()
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    #: When it is started again, after it has died.
    next_start: float = 0.0
    young: int = 0


@dataclass(slots=True)
class ProcessTree:
    """Runs its members until SIGTERM or SIGINT; SIGHUP restarts them one after another."""

    members: Sequence[Member]
    first_pause_s: float = FIRST_PAUSE_S
    _stopped: threading.Event = field(default_factory=threading.Event)
    _renewed: threading.Event = field(default_factory=threading.Event)

    def run(self) -> int:
        """Return 0 when told to end, and 1 when a member cannot be kept alive."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGHUP, self._renew)
        try:
            while not self._stopped.is_set():
                if not all(self._look_after(member) for member in self.members):
                    return 1
                if self._renewed.is_set():
                    self._renewed.clear()
                    self._restart_in_turn()
                self._stopped.wait(_LOOK_S)
            return 0
        finally:
            self._end(self.members)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._stopped.set()

    def _renew(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._renewed.set()

    def _look_after(self, member: Member) -> bool:
        """Start the member if it is due; False when it has died young too often."""
        now = time.monotonic()
        if member.process is None:
            if now >= member.next_start:
                self._start(member)
            return True
        code = member.process.poll()
        if code is None:
            if now - member.started >= _YOUNG_S:
                member.young = 0
            return True
        member.process = None
        member.young += 1
        pause = min(self.first_pause_s * 2 ** (member.young - 1), _LONGEST_PAUSE_S)
        member.next_start = now + pause
        _logger.error("a process died", extra={"member": member.name, "code": code, "again_in_s": pause})
        return member.young < _MOST_YOUNG

    def _start(self, member: Member) -> None:
        # Its input is a pipe of ours, which ends however we end: see `end_with_parent`. A session of its own keeps the
        # terminal's Ctrl-C from it, so that we alone say when it ends.
        member.process = subprocess.Popen(  # noqa: S603 - our own commands
            list(member.command),
            env=dict(member.environment),
            stdin=subprocess.PIPE,
            pass_fds=tuple(member.inherits),
            start_new_session=True,
        )
        member.started = time.monotonic()

    def _restart_in_turn(self) -> None:
        """Restart one member after another. Connections wait meanwhile, because the socket stays open."""
        for member in self.members:
            if self._stopped.is_set():
                return
            self._end([member])
            self._start(member)

    def _end(self, members: Sequence[Member]) -> None:
        running = [member.process for member in members if member.process is not None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + _STOP_S
        for process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdin is not None:
                process.stdin.close()
        for member in members:
            member.process = None


def end_with_parent() -> None:
    """Let this member of a tree end as if told to (SIGTERM) when the tree is gone, even if it was killed."""

    def watch() -> None:
        while os.read(0, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()
