"""`python -m local.milvus --data DIR --socket PATH` runs Milvus Lite in the foreground and restarts it when it dies."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from types import FrameType

from local.milvus.server import LiteServer, LiteServerError
from local.private_files import keep_private

#: Seconds between two checks of the binary; the check after a crash starts it again.
CHECK_SECONDS = 0.2
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
    options = parser.parse_args(arguments)
    stopping = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    server = LiteServer(options.data, options.socket or f"{options.data}/milvus.sock", address=options.address)
    try:
        server.start()
        server.ready()
        if server.note:
            print(f"note: {server.note}", flush=True)
        print(json.dumps({"ready": True, "uri": server.uri, "pid": os.getpid()}), flush=True)
        _supervise(server, stopping)
    except LiteServerError as exc:
        print(exc, file=sys.stderr)
        return 1
    finally:
        server.stop()
    return 0


def _supervise(server: LiteServer, stopping: threading.Event) -> None:
    deaths = 0
    while not stopping.wait(CHECK_SECONDS):
        deaths = 0 if server.check() else deaths + 1
        if deaths == 1:
            print(json.dumps({"restarted": True}), file=sys.stderr, flush=True)
        if deaths >= MAX_DEATHS_IN_A_ROW:
            raise LiteServerError(f"Milvus Lite dies again and again; see {server.log_path}")


if __name__ == "__main__":
    raise SystemExit(main())
