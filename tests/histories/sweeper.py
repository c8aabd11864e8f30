"""`python -m tests.histories.sweeper --every SECONDS`: sweeps beside uvicorn, as in compose but more often."""

from __future__ import annotations

import argparse
import signal
import sys
import threading

from forgetless.domain.errors import ForgetlessError
from forgetless.runtime.composition import services


def main() -> None:
    """Sweep until SIGTERM; when a sweep fails, the next one tries again."""
    parser = argparse.ArgumentParser(prog="python -m tests.histories.sweeper", description=__doc__)
    parser.add_argument("--every", type=float, required=True)
    options = parser.parse_args()
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    while not stopped.wait(options.every):
        try:
            services().sweep.sweep()
        except ForgetlessError as error:
            print(f"sweep: {error.message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
