"""Lambda entry point of the schedule that delivers webhooks."""

from __future__ import annotations

from dataclasses import asdict

from aws_lambda_powertools.utilities.typing import LambdaContext

from forgetless.runtime.composition import services
from forgetless.runtime.logs import logger
from forgetless.runtime.start import start

start()


def handler(event: dict[str, object], context: LambdaContext) -> dict[str, int]:
    """One bounded run over what is due; returns what it did."""
    del event, context
    report = asdict(services().deliveries.run())
    if any(report.values()):
        logger.info("webhooks delivered", extra=report)
    return report
