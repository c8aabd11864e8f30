"""Lambda entry point of the ingest queue: one accepted job a record; failed records come again."""

from __future__ import annotations

from aws_lambda_powertools.utilities.batch import SqsFifoPartialProcessor, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from forgetless.domain.limits import JOB_S
from forgetless.runtime.composition import services
from forgetless.runtime.start import start

start()
processor = SqsFifoPartialProcessor(skip_group_on_error=True)
# A batch of one that fails is reported like any other: raised, Lambda would take the function for broken.
processor.raise_on_entire_batch_failure = False


def run_job(record: SQSRecord) -> None:
    """Run the job that the record names."""
    message = record.json_body
    services().ingest.run(message["tenant"], message["job_id"], seconds=JOB_S, receipt=record.receipt_handle)


def handler(event: dict[str, object], context: LambdaContext) -> PartialItemFailureResponse:
    """Run the batch and report the records that failed."""
    return process_partial_response(event=event, record_handler=run_job, processor=processor, context=context)
