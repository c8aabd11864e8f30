"""Lambda entry point of the ingest queue: each record names one accepted job; failed records are delivered again."""

from __future__ import annotations

import gc

gc.disable()  # What follows stays loaded, so looking through it for garbage is in vain; start() enables it again.

from aws_lambda_powertools.utilities.batch import SqsFifoPartialProcessor, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from forgetless.domain.limits import JOB_S
from forgetless.runtime.composition import services
from forgetless.runtime.logs import logger
from forgetless.runtime.metrics import metered
from forgetless.runtime.start import start

start()
processor = SqsFifoPartialProcessor(skip_group_on_error=True)
# If all records of a batch fail, they are only reported: for an exception, Lambda would count the function as broken.
processor.raise_on_entire_batch_failure = False


def run_job(record: SQSRecord) -> None:
    """Run the job that the record names."""
    message = record.json_body
    services().ingest.run(message["tenant"], message["job_id"], seconds=JOB_S, receipt=record.receipt_handle)


@metered("ingest")
@logger.inject_lambda_context
def handler(event: dict[str, object], context: LambdaContext) -> PartialItemFailureResponse:
    """Run the jobs of the batch and report the records that failed."""
    return process_partial_response(event=event, record_handler=run_job, processor=processor, context=context)
