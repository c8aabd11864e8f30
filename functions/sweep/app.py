"""Lambda entry point of the schedule that finishes what got stuck."""

from __future__ import annotations

import gc

gc.disable()  # What follows stays loaded, so looking through it for garbage is in vain; start() enables it again.

from aws_lambda_powertools.utilities.typing import LambdaContext

from forgetless.runtime.composition import services
from forgetless.runtime.logs import log_report, logger
from forgetless.runtime.metrics import metered
from forgetless.runtime.start import start

start()


@metered("sweep")
@logger.inject_lambda_context
def handler(event: dict[str, object], context: LambdaContext) -> dict[str, int]:
    """Run one bounded sweep; returns the counts of what it did."""
    del event, context
    return log_report("swept", services().sweep.sweep())
