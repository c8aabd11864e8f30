"""Finds the binary in the package milvus-lite, and starts it so that it ends with its owner."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

__all__ = ["LiteServerError", "binary_path", "launch"]

#: When the log of the binary has more bytes than this, it is started again.
MAX_LOG_BYTES = 5_000_000

#: Asks the kernel to end the process with its owner (PR_SET_PDEATHSIG, SIGKILL), then becomes the binary. It is a
#: process of its own, because code between fork and exec is not safe while gRPC's threads run. Left to itself, the
#: binary writes a line about each search into a file of the folder for temporary files, which nobody removes.
_LAUNCH = """
import ctypes, os, sys
owner, libraries, *command = sys.argv[1:]
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 9)
if os.getppid() != int(owner):
    sys.exit("its owner is gone")
known = os.environ.get("LD_LIBRARY_PATH")
path = libraries + ":" + known if known else libraries
ours = {"LD_LIBRARY_PATH": path, "DYLD_LIBRARY_PATH": path, "GLOG_logtostderr": "1", "GLOG_minloglevel": "2"}
os.execve(command[0], command, {**os.environ, **ours})
"""


class LiteServerError(Exception):
    """The server cannot run; the message says what to do."""


def binary_path() -> Path:
    """Return the path of milvus-lite's binary; raises LiteServerError when it is not installed.

    The package itself is never imported, because its `__init__` needs setuptools' pkg_resources.
    """
    spec = importlib.util.find_spec("milvus_lite")
    places = list(spec.submodule_search_locations or []) if spec else []
    for place in places:
        binary = Path(place) / "lib" / "milvus"
        if binary.exists():
            return binary
    raise LiteServerError("milvus-lite 2.5.1 is not installed here; install it, or set the URI of a Milvus")


def launch(database: Path, where: str, log_level: str, *, lock: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start the binary on this file, listening on `where`; it ends itself when its owner releases `lock`."""
    binary = binary_path()
    command = [str(binary), str(database), where, log_level, str(lock)]
    too_long = log.exists() and log.stat().st_size > MAX_LOG_BYTES
    with log.open("wb" if too_long else "ab") as stream:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _LAUNCH, str(os.getpid()), str(binary.parent), *command],
            cwd=lock.parent,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
        )
