"""Lambda entry point of the schedule that delivers webhooks."""

from __future__ import annotations

import gc

gc.disable()  # What follows stays loaded, so looking through it for garbage is in vain; start() enables it again.

from aws_lambda_powertools.utilities.typing import LambdaContext

from forgetless.runtime.composition import services
from forgetless.runtime.logs import log_report, logger
from forgetless.runtime.metrics import metered
from forgetless.runtime.start import start

start()


@metered("webhooks")
@logger.inject_lambda_context
def handler(event: dict[str, object], context: LambdaContext) -> dict[str, int]:
    """Send the deliveries that are due, for a bounded time; returns how many ended in each way."""
    del event, context
    return log_report("webhooks delivered", services().deliveries.run())
