"""Logs: Powertools' JSON lines with the request id, for the whole package; ids only, never texts."""

from __future__ import annotations

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.utils import copy_config_to_registered_loggers

__all__ = ["logger"]

#: The functions' logger; modules of the package log through `logging` and come out alike.
logger = Logger(service="forgetless")


def share_config() -> None:
    """Let the package's own loggers write as `logger` does."""
    copy_config_to_registered_loggers(logger, include={"forgetless"})
