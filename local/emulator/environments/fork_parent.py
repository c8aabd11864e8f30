"""The parent of environments: a runtime that has initialised its function and forks one environment for each order.

It runs in the function's process in the place of the runtime client's main, so it knows nothing of the emulator. The
client takes the function for one with SnapStart: it runs the hooks before the snapshot, waits to be restored, and runs
the hooks after it. Here that wait ends with a fork, in each new environment, while the parent waits on.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import stat
import sys
import threading
from typing import Any

from awslambdaric import bootstrap, lambda_runtime_client
from awslambdaric.lambda_config import LambdaConfigProvider

__all__ = ["main", "why_not"]

#: The client's native part. It takes the address of the Runtime API when it is loaded, which must wait for the fork, so
#: `PARENT_BOOT` in `packages.py` hides it from the client.
_NATIVE = "runtime_client"
_ADDRESS = "AWS_LAMBDA_RUNTIME_API"
_PR_SET_PDEATHSIG = 1
_ORDER_BYTES = 16 * 1024
_REASON_CHARACTERS = 500
#: Input and output; an environment gets an output of its own.
_STANDARD = (0, 1, 2)
_SQLITE_HEADER = b"SQLite format 3\0"
#: Objects that a fork would break, by module and name of their class.
_OBJECTS = {
    ("sqlite3", "Connection"): "a connection of sqlite3",
    ("grpc._cython.cygrpc", "Channel"): "a channel of gRPC",
    ("grpc._channel", "Channel"): "a channel of gRPC",
    ("grpc.aio._channel", "Channel"): "a channel of gRPC",
}
#: What a link in /proc/self/fd begins with.
_OPEN = {
    "socket:": "an open socket",
    "pipe:": "an open pipe",
    "anon_inode:[eventpoll]": "an open epoll, as event loops have",
}
# Loaded before any fork.
_LIBC = ctypes.CDLL(None, use_errno=True)


def main(arguments: list[str]) -> None:
    """Initialise the function; `arguments` are the runtime client's, and last the descriptor of the channel."""
    channel = int(arguments.pop())
    given = {*_STANDARD, channel}
    for number in {*map(int, os.listdir("/proc/self/fd"))} - given:
        # What the emulator's event loop, or whoever started the emulator, left open.
        with contextlib.suppress(OSError):
            os.close(number)
    # There is no Runtime API yet. A function that looks for it now fails here, and is then started without a fork.
    config = LambdaConfigProvider(arguments, {**os.environ, _ADDRESS: ""})
    bootstrap.run(config.handler, ForkingClient(socket.socket(fileno=channel), config.use_thread_polling))


class ForkingClient(lambda_runtime_client.LambdaRuntimeClient):  # type: ignore[misc] # it has no types
    """Lambda's runtime client, in which being restored from a snapshot is being forked."""

    def __init__(self, channel: socket.socket, use_thread: bool) -> None:
        super().__init__("", use_thread)
        self._channel = channel

    def post_init_error(self, error_response_data: dict[str, Any], error_type_override: str | None = None) -> None:
        """Give up: the initialisation failed, or a hook before the snapshot did."""
        kind = error_type_override or error_response_data["errorType"]
        self._give_up(f"its initialisation failed: {kind}: {error_response_data['errorMessage']}")

    def restore_next(self) -> None:
        """Fork for each order. Only the forked environments return, and ask for their first event."""
        reason = why_not(self._channel.fileno())
        if reason:
            self._give_up(reason)
        # Collecting garbage would otherwise write to every page that the environments share.
        gc.freeze()
        _tell(self._channel, refused="")
        variables = _forked(self._channel)
        os.environ.update(variables)
        self.lambda_runtime_address = variables[_ADDRESS]
        del sys.modules[_NATIVE]
        native = lambda_runtime_client.runtime_client = importlib.import_module(_NATIVE)
        native.initialize_client(lambda_runtime_client._user_agent())

    def _give_up(self, reason: str) -> None:
        _tell(self._channel, refused=" ".join(reason.split())[:_REASON_CHARACTERS])
        os._exit(0)


def why_not(channel: int) -> str:
    """Return why this process must not be forked, or an empty text; the descriptor `channel` does not count."""
    gc.unfreeze()  # otherwise objects that the function has frozen would not be seen
    kinds = {type(item) for item in gc.get_objects()}
    for (module, name), text in _OBJECTS.items():
        if any((kind.__module__, kind.__name__) == (module, name) for kind in kinds):
            return f"it holds {text}"
    for number in {*map(int, os.listdir("/proc/self/fd"))} - {*_STANDARD, channel}:
        if held := _held(number):
            return f"it holds {held}"
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        pass
    else:
        return "it has started a process"
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1:
        names = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
        return f"it has {threads} threads ({', '.join(names) or 'of native code'})"
    return ""


def _held(number: int) -> str:
    """Return what an open descriptor is, if processes that share it would take each other's data or place in a file."""
    try:
        path, mode = os.readlink(f"/proc/self/fd/{number}"), os.fstat(number).st_mode
    except OSError:  # It was that of the list of descriptors itself.
        return ""
    if stat.S_ISCHR(mode) or stat.S_ISDIR(mode):  # such as /dev/null
        return ""
    for begin, text in _OPEN.items():
        if path.startswith(begin):
            return text
    with contextlib.suppress(OSError):  # It is no file, or may only be written.
        # SQLite forbids that its file is opened beside it, but this reads what is open.
        if os.pread(number, len(_SQLITE_HEADER), 0) == _SQLITE_HEADER:
            return f"the SQLite database {path}"
    return f"the open file {path}"


def _forked(channel: socket.socket) -> dict[str, str]:
    """Fork for each order and tell how each environment ends; return its variables, in a new environment alone."""
    parent, running = os.getpid(), dict[int, tuple[int, int]]()
    poll = select.poll()
    poll.register(channel, select.POLLIN)
    while True:
        for ready, _ in poll.poll():
            if ready != channel.fileno():
                poll.unregister(ready)
                _reap(channel, ready, *running.pop(ready))
                continue
            data, pipes, _, _ = socket.recv_fds(channel, _ORDER_BYTES, 1)
            if not data:  # The emulator needs this parent no longer, or has ended.
                os._exit(0)
            order = json.loads(data)
            try:
                pid = os.fork()
            except OSError:
                _tell(channel, number=order["number"], code=1)
                pid = -1
            if pid == 0:
                _begin(parent, pipes[0], list(running))
                _tell(channel, number=order["number"], pid=os.getpid())
                channel.close()
                variables: dict[str, str] = order["variables"]
                return variables
            os.close(pipes[0])
            if pid > 0:
                end = os.pidfd_open(pid)
                running[end] = order["number"], pid
                poll.register(end, select.POLLIN)


def _begin(parent: int, output: int, others: list[int]) -> None:
    """Give a new environment its process group, death signal, output and random numbers."""
    os.setsid()
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # The parent died before the line above.
        os._exit(1)
    for number in others:
        os.close(number)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    # Python gives `random` a new seed after each fork, and OpenSSL itself. NumPy does not.
    if (numpy_random := sys.modules.get("numpy.random")) is not None:
        numpy_random.seed()


def _reap(channel: socket.socket, end: int, number: int, pid: int) -> None:
    os.close(end)
    _, status = os.waitpid(pid, 0)
    _tell(channel, number=number, code=os.waitstatus_to_exitcode(status))


def _tell(channel: socket.socket, **message: object) -> None:
    channel.send(json.dumps(message).encode())
