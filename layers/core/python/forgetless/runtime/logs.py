"""Logs: the Powertools logger for the whole package, as JSON lines with the request id. Only ids, never texts."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.utils import copy_config_to_registered_loggers

from forgetless.ports.trace import TraceFilter

if TYPE_CHECKING:
    from forgetless.service.jobs.sweep import SweepReport
    from forgetless.service.webhooks.delivery import DeliveryReport

__all__ = ["log_report", "logger", "share_config"]

#: The functions' logger. Modules of the package use `logging`, and their lines have the same form.
logger = Logger(service="forgetless")


def share_config() -> None:
    """Make the package's own loggers write in the same way as `logger`, with the ids of the current request or job."""
    for handler in logger.handlers:
        if not any(isinstance(one, TraceFilter) for one in handler.filters):
            handler.addFilter(TraceFilter())
    copy_config_to_registered_loggers(logger, include={"forgetless"})


def log_report(message: str, report: SweepReport | DeliveryReport) -> dict[str, int]:
    """The counts of a run by name; they are logged unless it had nothing to do."""
    counts = asdict(report)
    if any(counts.values()):
        logger.info(message, extra=counts)
    return counts
