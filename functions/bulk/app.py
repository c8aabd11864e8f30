"""Lambda entry point of the queue of bulk jobs: a record asks for one portion; failed records are delivered again."""

from __future__ import annotations

import gc

gc.disable()  # What follows stays loaded, so looking through it for garbage is in vain; start() enables it again.

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from forgetless.domain.limits import BULK_PORTION_S
from forgetless.runtime.composition import services
from forgetless.runtime.logs import logger
from forgetless.runtime.metrics import metered
from forgetless.runtime.start import end_by_exception, start

start()
end_by_exception()
processor = BatchProcessor(event_type=EventType.SQS)
# If all records of a batch fail, they are only reported: for an exception, Lambda would count the function as broken.
processor.raise_on_entire_batch_failure = False


def do_portion(record: SQSRecord) -> None:
    """Do the portion that the record asks for."""
    message = record.json_body
    services().bulk.run(
        message["tenant"], message["job_id"], message["version"], seconds=BULK_PORTION_S, waits=message["waits"]
    )


@metered("bulk")
@logger.inject_lambda_context
def handler(event: dict[str, object], context: LambdaContext) -> PartialItemFailureResponse:
    """Do the portions of the batch and report the records that failed."""
    return process_partial_response(event=event, record_handler=do_portion, processor=processor, context=context)
