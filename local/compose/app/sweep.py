"""Sweeps once a minute for as long as the container runs, as the schedule does on Lambda."""

from __future__ import annotations

import logging
import signal
import sys
import threading

from forgetless.domain.errors import ForgetlessError
from forgetless.runtime.composition import services
from forgetless.runtime.start import start

_logger = logging.getLogger("forgetless.sweep")

#: The same as the template's schedule.
EVERY_S = 60.0


def main() -> int:
    """Sweep until SIGTERM; when a sweep fails, the next one tries again."""
    start()
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    while not stopped.wait(EVERY_S):
        try:
            services().sweep.sweep()
        except ForgetlessError as error:
            print(f"sweep: {error.message}", file=sys.stderr, flush=True)
        except Exception:
            _logger.exception("a sweep failed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
