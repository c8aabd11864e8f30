"""Logs: the Powertools logger for the whole package, as JSON lines with the request id. Only ids, never texts."""

from __future__ import annotations

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.utils import copy_config_to_registered_loggers

from forgetless.ports.trace import TraceFilter

__all__ = ["logger"]

#: The functions' logger. Modules of the package use `logging`, and their lines have the same form.
logger = Logger(service="forgetless")


def share_config() -> None:
    """Make the package's own loggers write in the same way as `logger`, with the ids of the current request or job."""
    for handler in logger.handlers:
        if not any(isinstance(one, TraceFilter) for one in handler.filters):
            handler.addFilter(TraceFilter())
    copy_config_to_registered_loggers(logger, include={"forgetless"})
