"""`python -m tests.histories.sweeper --every SECONDS`: sweeps beside uvicorn, as in compose but more often."""

from __future__ import annotations

import argparse
import signal
import threading

from forgetless.runtime.background_work import RepeatedWork
from forgetless.runtime.composition import services


def main() -> None:
    """Sweep until SIGTERM; when a sweep fails, that is logged, and the next one tries again."""
    parser = argparse.ArgumentParser(prog="python -m tests.histories.sweeper", description=__doc__)
    parser.add_argument("--every", type=float, required=True)
    options = parser.parse_args()
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    RepeatedWork("sweep", _sweep, options.every).run(stopped)


def _sweep() -> bool:
    services().sweep.sweep()
    return False


if __name__ == "__main__":
    main()
