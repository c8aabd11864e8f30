"""Lambda entry point of the schedule that finishes what got stuck."""

from __future__ import annotations

from dataclasses import asdict

from aws_lambda_powertools.utilities.typing import LambdaContext

from forgetless.runtime.composition import services
from forgetless.runtime.logs import logger
from forgetless.runtime.metrics import metered
from forgetless.runtime.start import start

start()


@metered("sweep")
@logger.inject_lambda_context
def handler(event: dict[str, object], context: LambdaContext) -> dict[str, int]:
    """Run one bounded sweep; returns the counts of what it did."""
    del event, context
    report = asdict(services().sweep.sweep())
    if any(report.values()):
        logger.info("swept", extra=report)
    return report
