"""Stands in for a part of the service: fake_process.py ROLE [ARGUMENT], with one behaviour for each role."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

READY = '{"ready": true}'


def behave(role: str, argument: str) -> int:
    match role:
        case "ends":
            print(argument, flush=True)
            return 0
        case "fails":
            print(f"Traceback\nfake process: {argument}", file=sys.stderr, flush=True)
            return 3
        case "hangs":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        case "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            print(READY, flush=True)
        case "parent":  # of a process in a session of its own, which it does not end itself
            below = subprocess.Popen([sys.executable, __file__, "deaf"], start_new_session=True)
            print(f"below {below.pid}\n{READY}", flush=True)
        case _:
            print(READY, flush=True)
    time.sleep(60)
    return 0


if __name__ == "__main__":
    raise SystemExit(behave(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""))
