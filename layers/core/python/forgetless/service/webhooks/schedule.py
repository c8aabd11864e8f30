"""DeliverySchedule: sends what is due to webhooks, minute by minute, where no schedule of AWS or the emulator does."""

from __future__ import annotations

import logging
import threading
from dataclasses import asdict

from forgetless.domain.errors import ForgetlessError
from forgetless.service.webhooks.delivery import DeliveryService

__all__ = ["DeliverySchedule"]

_logger = logging.getLogger(__name__)

#: Seconds between two runs, as between those of the template's schedule.
EVERY_S = 60.0


class DeliverySchedule:
    """One thread's work. Several servers may do it at once: each delivery is claimed by one run."""

    def __init__(self, deliveries: DeliveryService) -> None:
        self._deliveries = deliveries

    def work(self, stopped: threading.Event) -> None:
        """Run until `stopped` is set. An error is logged, and the next run tries again."""
        while not stopped.wait(EVERY_S):
            try:
                report = asdict(self._deliveries.run())
            except ForgetlessError as error:
                _logger.warning("the deliveries of webhooks wait", extra={"reason": error.message})
            except Exception:
                _logger.exception("the deliveries of webhooks met an error")
            else:
                if any(report.values()):
                    _logger.info("webhooks delivered", extra=report)
