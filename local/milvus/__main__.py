"""`python -m local.milvus --data DIR --socket PATH` runs Milvus Lite in the foreground and restarts it when it dies.

Deleted rows stay legible in its file until the file is rewritten (compacted): once a day if it has changed, and at
once when a client asks for it at the control address. Milvus Lite is stopped meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from contextlib import ExitStack
from types import FrameType

from local.milvus.compaction import CompactionError
from local.milvus.control import CompactionRequests, ControlServer
from local.milvus.server import LiteServer, LiteServerError
from local.private_files import keep_private

#: Seconds between two checks of the binary; the check after a crash starts it again.
CHECK_SECONDS = 0.2
#: Seconds between two looks whether a compaction is due.
DUE_SECONDS = 60.0
#: The number of crashes in a row, each within the next CHECK_SECONDS, after which the supervisor gives up.
MAX_DEATHS_IN_A_ROW = 25


def main(arguments: list[str] | None = None) -> int:
    """Supervise one server until SIGTERM or SIGINT; return 0 after a clean end, 1 when it cannot run."""
    keep_private()
    parser = argparse.ArgumentParser(prog="python -m local.milvus", description=__doc__)
    parser.add_argument("--data", required=True, help="folder of the data; created if it does not exist")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--socket", default="", help="path of the unix socket, at most 107 bytes")
    where.add_argument(
        "--address", default="", metavar="HOST:PORT", help="listen on TCP instead, without authentication"
    )
    parser.add_argument(
        "--control", default="", metavar="PATH|HOST:PORT", help="answer at this address when the file was compacted"
    )
    parser.add_argument(
        "--compact-hours", type=float, default=24.0, help="compact a changed file so often; 0: never (default: 24)"
    )
    options = parser.parse_args(arguments)
    # A compaction needs a working copy of the file: it is as private as the file, and there is as much space.
    os.environ.setdefault("SQLITE_TMPDIR", options.data)
    stopping = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    server = LiteServer(options.data, options.socket or f"{options.data}/milvus.sock", address=options.address)
    requests = CompactionRequests(server.compacted_at)
    compact_every_s = options.compact_hours * 3600
    try:
        server.start(compact_every_s=compact_every_s)
        server.ready()
        if server.note:
            print(f"note: {server.note}", flush=True)
        with ExitStack() as stack:
            if options.control:
                stack.callback(ControlServer(options.control, requests).close)
            print(json.dumps({"ready": True, "uri": server.uri, "pid": os.getpid()}), flush=True)
            _supervise(server, stopping, requests, compact_every_s)
    except LiteServerError as exc:
        print(exc, file=sys.stderr)
        return 1
    finally:
        server.stop()
    return 0


def _supervise(
    server: LiteServer, stopping: threading.Event, requests: CompactionRequests, compact_every_s: float
) -> None:
    deaths = 0
    look_at = time.monotonic() + DUE_SECONDS
    while not stopping.wait(CHECK_SECONDS):
        if time.monotonic() >= look_at:
            look_at = time.monotonic() + DUE_SECONDS
            if server.compaction_is_due(compact_every_s):
                requests.want()
        if requests.begin():
            _compact(server, requests)
        deaths = 0 if server.check() else deaths + 1
        if deaths == 1:
            print(json.dumps({"restarted": True}), file=sys.stderr, flush=True)
        if deaths >= MAX_DEATHS_IN_A_ROW:
            raise LiteServerError(f"Milvus Lite dies again and again; see {server.log_path}")


def _compact(server: LiteServer, requests: CompactionRequests) -> None:
    began = time.monotonic()
    try:
        server.compact()
    except CompactionError as error:
        print(json.dumps({"compacted": False, "error": str(error)}), file=sys.stderr, flush=True)
        requests.end(str(error))
    else:
        seconds = round(time.monotonic() - began, 2)
        print(json.dumps({"compacted": True, "seconds": seconds}), file=sys.stderr, flush=True)
        requests.end()


if __name__ == "__main__":
    raise SystemExit(main())
