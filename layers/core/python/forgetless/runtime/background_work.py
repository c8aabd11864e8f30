"""Background work: what a deployment without functions does beside its requests, as the functions do it on Lambda."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from forgetless.domain.errors import ForgetlessError
from forgetless.runtime.logs import log_report
from forgetless.runtime.settings import Settings
from forgetless.service.services import Services

__all__ = ["RepeatedWork", "background_work", "running"]

_logger = logging.getLogger(__name__)

#: Seconds between two runs of what the template's schedules run.
MINUTE_S = 60.0
#: Seconds between two looks for jobs while there is nothing to do.
IDLE_S = 1.0
#: How long a process that stops waits for what its threads have begun. What takes longer is done again later.
_STOP_S = 8.0


@dataclass(frozen=True, slots=True)
class RepeatedWork:
    """`turn` does a bounded part of the work and says whether more is due at once; otherwise it rests `every_s`.

    Several processes may do the same work at once: whatever a turn takes is claimed in the ledger.
    """

    name: str
    turn: Callable[[], bool]
    every_s: float

    def run(self, stopped: threading.Event) -> None:
        """Take turns until `stopped` is set. An error is logged, and the next turn tries again."""
        busy = False
        while not stopped.wait(0.0 if busy else self.every_s):
            busy = False
            try:
                busy = self.turn()
            except ForgetlessError as error:
                _logger.warning("background work waits", extra={"work": self.name, "reason": error.message})
            except Exception:
                _logger.exception("background work met an error", extra={"work": self.name})


def background_work(settings: Settings, services: Callable[[], Services]) -> list[RepeatedWork]:
    """Sweep and webhooks, and the jobs that no queue delivers. `services` is called in the threads that do the work."""

    def sweep() -> bool:
        log_report("swept", services().sweep.sweep())
        return False

    def deliver() -> bool:
        log_report("webhooks delivered", services().deliveries.run())
        return False

    def do_bulk_jobs() -> bool:
        return services().bulk_worker.turn()

    def run_adds() -> bool:
        return services().ingest_worker.turn()

    works = [RepeatedWork("sweep", sweep, MINUTE_S), RepeatedWork("webhooks", deliver, MINUTE_S)]
    if not settings.bulk_queue_url:
        works.append(RepeatedWork("bulk jobs", do_bulk_jobs, IDLE_S))
    if not settings.queue_url:
        works.append(RepeatedWork("adds", run_adds, IDLE_S))
    return works


@contextmanager
def running(works: list[RepeatedWork]) -> Iterator[None]:
    """Do the work in threads for as long as the context lasts; its end waits some seconds for what has begun."""
    stopped = threading.Event()
    threads = [threading.Thread(target=work.run, args=(stopped,), name=work.name, daemon=True) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopped.set()
        for thread in threads:
            thread.join(_STOP_S)
