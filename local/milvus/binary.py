"""The binary that milvus-lite brings: where it is, and how it is started so that it ends with its owner."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

__all__ = ["LiteServerError", "binary_path", "launch"]

#: The log of the binary starts anew when it has grown past this.
MAX_LOG_BYTES = 5_000_000

#: Becomes the binary after asking the kernel to end it with its owner (PR_SET_PDEATHSIG, SIGKILL). A process of its
#: own, as code between fork and exec breaks where gRPC's threads run.
_LAUNCH = """
import ctypes, os, sys
owner, libraries, *command = sys.argv[1:]
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 9)
if os.getppid() != int(owner):
    sys.exit("its owner is gone")
known = os.environ.get("LD_LIBRARY_PATH")
path = libraries + ":" + known if known else libraries
os.execve(command[0], command, {**os.environ, "LD_LIBRARY_PATH": path, "DYLD_LIBRARY_PATH": path})
"""


class LiteServerError(Exception):
    """The server cannot run; the message says what to do."""


def binary_path() -> Path:
    """Where milvus-lite's binary is; raises LiteServerError when it is not installed.

    The package itself is never imported: its `__init__` needs setuptools' pkg_resources.
    """
    spec = importlib.util.find_spec("milvus_lite")
    places = list(spec.submodule_search_locations or []) if spec else []
    for place in places:
        binary = Path(place) / "lib" / "milvus"
        if binary.exists():
            return binary
    raise LiteServerError("milvus-lite 2.5.1 is not installed here; install it, or set the URI of a Milvus")


def launch(database: Path, where: str, log_level: str, *, lock: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start the binary on this file, to listen `where`; it ends itself when its owner lets go of `lock`."""
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
